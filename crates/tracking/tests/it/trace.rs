//! Traces, their spans, and what is said of them.

use rondo_tracking::assessment::{self, Change, Kind, NewAssessment};
use rondo_tracking::search::{self, TraceSearch};
use rondo_tracking::trace::span::{self, Span};
use rondo_tracking::trace::{self, Deletion, State, Trace};
use rondo_tracking::{MIGRATIONS, Pair};
use serde_json::json;

use super::{a_run, assert_error, pairs, read, write};

fn new(id: &str) -> Trace {
    Trace {
        trace_id: id.to_owned(),
        experiment_id: "0".to_owned(),
        request_ms: 1_000,
        duration_ms: Some(20),
        state: State::Ok,
        metadata: pairs(&[("who", "ada")]),
        tags: pairs(&[("env", "dev"), (trace::SPANS_TAG, "not theirs to say")]),
        ..Trace::default()
    }
}

fn a_span(trace_id: &str, span_id: &str, parent: Option<&str>) -> Span {
    Span {
        trace_id: trace_id.to_owned(),
        span_id: span_id.to_owned(),
        parent_id: parent.map(str::to_owned),
        name: format!("span {span_id}"),
        kind: Some("LLM".to_owned()),
        status: "OK",
        start_ns: 5_000_000_000,
        end_ns: Some(5_040_000_000),
        inputs: Some("q".repeat(1_001)),
        content: json!({ "span_id": span_id }).to_string(),
        ..Span::default()
    }
}

async fn found(db: &db::Db, filter: &str) -> Vec<String> {
    let wanted = TraceSearch {
        experiment_ids: vec!["0".to_owned()],
        filter: filter.to_owned(),
        max_results: 10,
        ..TraceSearch::default()
    };
    let page = read(db, move |tx, ctx| search::traces(tx, ctx, &wanted)).await.unwrap();
    page.items.into_iter().map(|trace| trace.trace_id).collect()
}

#[tokio::test]
async fn what_a_client_says_and_what_its_spans_say_come_in_any_order() {
    testkit::on_both(MIGRATIONS, |db| async move {
        for (id, info_first) in [("tr-a", true), ("tr-b", false)] {
            let say = |tx: &mut db::Tx<'_>, ctx: &kernel::ctx::Ctx, id: &str| {
                trace::start(tx, ctx, new(id), Vec::new()).map(|_| ())
            };
            let both = write(&db, move |tx, ctx| {
                if info_first {
                    say(tx, ctx, id)?;
                }
                span::log(tx, ctx, "0", None, vec![a_span(id, "01", None), a_span(id, "02", Some("01"))])?;
                if !info_first {
                    say(tx, ctx, id)?;
                }
                trace::get(tx, ctx, id)
            })
            .await
            .unwrap();
            assert_eq!(
                (both.request_ms, both.duration_ms, both.state),
                (1_000, Some(20), State::Ok),
                "the client is right"
            );
            assert_eq!(both.tag(trace::SPANS_TAG), Some("TRACKING_STORE"));
            assert_eq!(both.tag(trace::ARTIFACTS_TAG).unwrap(), format!("mlflow-artifacts:/0/traces/{id}/artifacts"));
            assert_eq!(both.tag("env"), Some("dev"));
            assert!(both.metadata.contains(&Pair::new("who", "ada")));
        }
        let spans = read(&db, |tx, _| span::of_traces(tx, &["tr-a".to_owned()])).await.unwrap();
        assert_eq!(spans["tr-a"], [r#"{"span_id":"01"}"#, r#"{"span_id":"02"}"#]);
    })
    .await;
}

#[tokio::test]
async fn spans_alone_make_a_trace_that_grows_until_its_root_ends() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        let early = write(&db, move |tx, ctx| {
            span::log(tx, ctx, "0", Some(&run_id), vec![a_span("tr-a", "02", Some("01"))])?;
            trace::get(tx, ctx, "tr-a")
        })
        .await
        .unwrap();
        assert_eq!((early.state, early.request_ms, early.duration_ms), (State::InProgress, 5_000, Some(40)));
        let whole = write(&db, |tx, ctx| {
            let root = Span {
                start_ns: 4_000_000_000,
                end_ns: Some(6_000_000_000),
                status: "ERROR",
                ..a_span("tr-a", "01", None)
            };
            span::log(tx, ctx, "0", None, vec![root])?;
            trace::get(tx, ctx, "tr-a")
        })
        .await
        .unwrap();
        assert_eq!((whole.state, whole.request_ms, whole.duration_ms), (State::Error, 4_000, Some(2_000)));
        assert_eq!(
            (whole.tag(trace::NAME_TAG), whole.request_preview.as_ref().map(String::len)),
            (Some("span 01"), Some(1_000))
        );
        assert!(whole.metadata.iter().any(|pair| pair.key == trace::RUN_KEY));
    })
    .await;
}

#[tokio::test]
async fn a_judgement_is_overridden_changed_and_deleted() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let said = |value: serde_json::Value, overrides: Option<String>| NewAssessment {
            name: "ok".to_owned(),
            body: json!({ "value": value }),
            source_type: "HUMAN".to_owned(),
            source_id: "ada".to_owned(),
            metadata: Some(json!({ "a": "1" })),
            overrides,
            ..NewAssessment::default()
        };
        write(&db, move |tx, ctx| {
            let made = trace::start(tx, ctx, new("tr-a"), vec![said(json!(true), None)])?;
            let first = made.assessments[0].clone();
            assert!(first.valid && first.assessment_id.starts_with("a-"));
            let second = assessment::create(tx, ctx, "tr-a", said(json!(0.5), Some(first.assessment_id.clone())))?;
            assert!(!assessment::get(tx, ctx, "tr-a", &first.assessment_id)?.valid);
            let change =
                Change { rationale: Some("so".to_owned()), metadata: Some(json!({ "b": "2" })), ..Change::default() };
            let changed = assessment::update(tx, ctx, "tr-a", &second.assessment_id, change)?;
            assert_eq!(changed.said.metadata, Some(json!({ "a": "1", "b": "2" })));
            assert_eq!(changed.said.body, json!({ "value": 0.5 }));
            let other = Change { body: Some((Kind::Expectation, json!({ "value": 1 }))), ..Change::default() };
            assert_error(
                assessment::update(tx, ctx, "tr-a", &second.assessment_id, other),
                "Cannot update expectation",
            );
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(found(&db, "feedback.ok >= 0.5").await, ["tr-a"]);
        assert!(found(&db, "feedback.ok = 'true'").await.is_empty(), "it is overridden");
        write(&db, |tx, ctx| {
            let all = trace::get(tx, ctx, "tr-a")?.assessments;
            let newest = all.iter().find(|one| one.valid).unwrap();
            assessment::delete(tx, ctx, "tr-a", &newest.assessment_id)
        })
        .await
        .unwrap();
        assert_eq!(found(&db, "feedback.ok = 'true'").await, ["tr-a"]);
    })
    .await;
}

#[tokio::test]
async fn searches_tags_links_and_deletions() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        let linked = run_id.clone();
        write(&db, move |tx, ctx| {
            for (at, id) in ["tr-a", "tr-b", "tr-c"].into_iter().enumerate() {
                let later = Trace { request_ms: 1_000 + at as i64, ..new(id) };
                trace::start(tx, ctx, later, Vec::new())?;
            }
            trace::set_tag(tx, ctx, "tr-a", Pair::new("team", "x"))?;
            assert_error(trace::set_tag(tx, ctx, "tr-a", Pair::new(trace::SPANS_TAG, "x")), "immutable");
            assert_error(trace::delete_tag(tx, ctx, "tr-a", "nope"), "No trace tag with key 'nope'");
            trace::link_to_run(tx, ctx, &linked, &["tr-b".to_owned(), "tr-nope".to_owned()])?;
            trace::link_prompts(tx, ctx, "tr-c", &["qa/2".to_owned()])?;
            trace::start(tx, ctx, Trace { trace_id: "../up".to_owned(), ..new("x") }, Vec::new()).map(|_| ()).or(Ok(()))
        })
        .await
        .unwrap();
        assert_eq!(found(&db, "").await, ["tr-c", "tr-b", "tr-a"], "the newest first");
        assert_eq!(found(&db, "tags.team = 'x'").await, ["tr-a"]);
        assert_eq!(found(&db, &format!("attributes.run_id = '{run_id}'")).await, ["tr-b"]);
        assert_eq!(found(&db, "prompt = 'qa/2'").await, ["tr-c"]);
        assert_eq!(found(&db, "end_time_ms <= 1020 AND status = 'OK'").await, ["tr-a"]);
        for (filter, text) in [
            ("nope = 'x'", "Invalid attribute key 'nope'"),
            ("metric.x = 1", "Invalid entity type 'metric'"),
            ("name RLIKE '('", "Invalid regular expression '('"),
            ("span.nope = 'x'", "Invalid span key"),
            ("prompt = 'x'", "name/version"),
        ] {
            let wanted = TraceSearch { filter: filter.to_owned(), max_results: 1, ..TraceSearch::default() };
            assert_error(read(&db, move |tx, ctx| search::traces(tx, ctx, &wanted)).await, text);
        }
        let by_time =
            Deletion { experiment_id: "0".to_owned(), until_ms: Some(5_000), most: Some(1), ..Deletion::default() };
        let gone = write(&db, move |tx, ctx| trace::delete(tx, ctx, &by_time)).await.unwrap();
        assert_eq!(gone, ["mlflow-artifacts:/0/traces/tr-a/artifacts"]);
        let both = Deletion {
            trace_ids: vec!["tr-b".to_owned()],
            until_ms: Some(1),
            experiment_id: "0".to_owned(),
            most: None,
        };
        assert_error(write(&db, move |tx, ctx| trace::delete(tx, ctx, &both)).await, "Only one of");
        let by_id =
            Deletion { trace_ids: vec!["tr-b".to_owned()], experiment_id: "0".to_owned(), ..Deletion::default() };
        assert_eq!(write(&db, move |tx, ctx| trace::delete(tx, ctx, &by_id)).await.unwrap().len(), 1);
        assert_eq!(found(&db, "").await, ["tr-c"]);
    })
    .await;
}

#[tokio::test]
async fn what_comes_late_does_not_bring_a_deleted_trace_back() {
    testkit::on_both(MIGRATIONS, |db| async move {
        for id in ["tr-a", "tr-b"] {
            write(&db, move |tx, ctx| trace::start(tx, ctx, new(id), Vec::new())).await.unwrap();
        }
        let wanted =
            Deletion { experiment_id: "0".to_owned(), trace_ids: vec!["tr-a".to_owned()], ..Deletion::default() };
        write(&db, move |tx, ctx| trace::delete(tx, ctx, &wanted)).await.unwrap();
        let late = vec![a_span("tr-a", "1", None), a_span("tr-b", "1", None), a_span("tr-c", "1", None)];
        write(&db, move |tx, ctx| span::log(tx, ctx, "0", None, late)).await.unwrap();
        let again = write(&db, |tx, ctx| trace::start(tx, ctx, new("tr-a"), Vec::new())).await;
        assert_error(again, "Trace with ID 'tr-a' was deleted.");
        assert_eq!(found(&db, "").await, ["tr-c", "tr-b"]);
    })
    .await;
}

#[tokio::test]
async fn traces_are_searched_by_expressions_and_by_what_is_absent() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        for (id, name) in [("tr-a", "checkout v1"), ("tr-b", "Checkout v22"), ("tr-c", "search")] {
            let mut one = new(id);
            one.request_ms = 1_000 + i64::from(id.as_bytes()[3]);
            one.tags.push(Pair::new(trace::NAME_TAG, name));
            write(&db, move |tx, ctx| trace::start(tx, ctx, one, Vec::new())).await.unwrap();
        }
        let (run, ids) = (run_id.clone(), vec!["tr-c".to_owned()]);
        write(&db, move |tx, ctx| trace::link_to_run(tx, ctx, &run, &ids)).await.unwrap();
        let mut span = a_span("tr-b", "1", None);
        span.content = json!({ "attributes": [{ "key": "model", "value": { "string_value": "large" } }] }).to_string();
        write(&db, move |tx, ctx| span::log(tx, ctx, "0", None, vec![span])).await.unwrap();
        for (filter, expect) in [
            ("name RLIKE '^[cC]heckout v[0-9]+$'", vec!["tr-b", "tr-a"]),
            ("name RLIKE 'v\\d\\d'", vec!["tr-b"]),
            ("tags.env RLIKE 'd.v'", vec!["tr-c", "tr-b", "tr-a"]),
            ("tags.none RLIKE '.*'", vec![]),
            ("run_id IS NULL", vec!["tr-b", "tr-a"]),
            ("run_id IS NOT NULL", vec!["tr-c"]),
            ("name IS NOT NULL AND metadata.who RLIKE 'a'", vec!["tr-c", "tr-b", "tr-a"]),
            ("span.attributes.model != 'small'", vec!["tr-b"]),
            ("span.attributes.model != 'large'", vec![]),
        ] {
            assert_eq!(found(&db, filter).await, expect, "{filter}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_trace_may_end_apart_from_its_beginning() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let begun = Trace { state: State::InProgress, duration_ms: None, ..new("tr-old") };
        write(&db, move |tx, ctx| trace::start(tx, ctx, begun, Vec::new())).await.unwrap();
        let (metadata, tags) = (pairs(&[("more", "m")]), pairs(&[("env", "prod"), (trace::SPANS_TAG, "no")]));
        let ended =
            write(&db, move |tx, ctx| trace::end(tx, ctx, "tr-old", (State::Error, 1_500), &metadata, tags)).await;
        let ended = ended.unwrap();
        assert_eq!((ended.state, ended.duration_ms), (State::Error, Some(500)));
        assert!(ended.metadata.contains(&Pair::new("more", "m")) && ended.metadata.contains(&Pair::new("who", "ada")));
        assert_eq!(ended.tag("env"), Some("prod"));
        let missing = write(&db, |tx, ctx| trace::end(tx, ctx, "tr-none", (State::Ok, 1), &[], Vec::new())).await;
        assert_error(missing, "Trace with ID 'tr-none' not found.");
    })
    .await;
}
