//! Verdicts and the decisions on them.

use rondo_registry::verdict::{self, Digests, NewVerdict, State};
use rondo_registry::{model, version};

use super::{MIGRATIONS, events, model_with, on_day, refused, write};
use kernel::ctx::{Ctx, Principal};
use kernel::error::{Classified as _, Kind};
use kernel::event::kind;

fn passed(version: &str) -> NewVerdict {
    NewVerdict {
        model: "m".to_owned(),
        version: version.to_owned(),
        pointer: "production".to_owned(),
        passed: true,
        ..NewVerdict::default()
    }
}

#[tokio::test]
async fn a_verdict_is_kept_with_its_evidence() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 2).await;
        let made = write(&db, |tx| {
            let new = NewVerdict {
                champion: Some("1".to_owned()),
                metric: Some("brier".to_owned()),
                difference: Some(0.0125),
                low: Some(0.0025),
                high: Some(0.0225),
                rows: 12_345,
                slices: serde_json::json!([{ "slice": "carrier=UA" }]),
                digests: Digests { model: Some("d1".to_owned()), ..Digests::default() },
                evidence: serde_json::json!({ "reason": "better by 0.0125" }),
                ..passed("2")
            };
            verdict::record(tx, &on_day(3), new)
        })
        .await;
        assert_eq!((made.state, made.passed, made.rows), (State::Passed, true, 12_345));
        assert_eq!((made.difference, made.low, made.high), (Some(0.0125), Some(0.0025), Some(0.0225)));
        assert_eq!(made.pointer.to_string(), "Production");
        assert_eq!(made.created_us, on_day(3).now_us);
        let id = made.id.clone();
        assert_eq!(write(&db, move |tx| verdict::get(tx, &on_day(3), &id)).await, made);
        let told = events(&db).await.pop().unwrap();
        assert_eq!(told.kind, kind::VERDICT_PASSED);
        assert_eq!(told.payload["verdict_id"], made.id.as_str());
        assert_eq!(told.payload["summary"], "better by 0.0125");
        assert_eq!(told.payload["pointer"], "Production");

        let found = |champion: Option<&'static str>| {
            let db = db.clone();
            async move {
                write(&db, move |tx| {
                    verdict::latest_passing(tx, &on_day(3), "m", "2", &"Production".parse()?, champion)
                })
                .await
            }
        };
        assert!(found(Some("1")).await.is_some());
        assert!(found(None).await.is_none());
        let failed = NewVerdict { passed: false, champion: Some("1".to_owned()), ..passed("2") };
        write(&db, move |tx| verdict::record(tx, &on_day(3), failed)).await;
        assert!(found(Some("1")).await.is_none(), "the last word counts");
        let all = write(&db, |tx| verdict::list(tx, &on_day(3), "m", 10)).await;
        assert_eq!(all.iter().map(|one| one.state).collect::<Vec<_>>(), [State::Failed, State::Passed]);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_measured_has_not_passed() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 1).await;
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let new = NewVerdict { low: Some(number), ..passed("1") };
            let error = refused(&db, move |tx| verdict::record(tx, &on_day(1), new)).await;
            assert_eq!(error.kind(), Kind::Invalid);
            let new = NewVerdict { low: Some(number), passed: false, ..passed("1") };
            assert_eq!(write(&db, move |tx| verdict::record(tx, &on_day(1), new)).await.low, None);
        }
        let error = refused(&db, |tx| verdict::record(tx, &on_day(1), passed("2"))).await;
        assert_eq!(error.kind(), Kind::NotFound);
        let new = NewVerdict { pointer: "Archived".to_owned(), ..passed("1") };
        let error = refused(&db, move |tx| verdict::record(tx, &on_day(1), new)).await;
        assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("pointer")));
    })
    .await;
}

#[tokio::test]
async fn a_person_decides_once() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 1).await;
        let id = write(&db, |tx| verdict::record(tx, &on_day(1), passed("1"))).await.id;
        let bob = Ctx::new(Principal::Person("bob".to_owned()), on_day(2).now_us);
        let (one, by) = (id.clone(), bob.clone());
        let approved = write(&db, move |tx| verdict::approve(tx, &by, &one, true, Some("fine"))).await;
        assert_eq!(approved.state, State::Approved);
        assert_eq!(approved.approved_by.as_deref(), Some("person:bob"));
        assert_eq!(approved.approved_us, Some(bob.now_us));
        assert_eq!(approved.note.as_deref(), Some("fine"));
        let told = events(&db).await.pop().unwrap();
        assert_eq!((told.kind.as_str(), told.actor.as_str()), (kind::APPROVAL_GIVEN, "person:bob"));
        assert_eq!((&told.payload["approved"], &told.payload["four_eyes"]), (&true.into(), &true.into()));

        let error = refused(&db, move |tx| verdict::approve(tx, &bob, &id, false, None)).await;
        assert_eq!(error.kind(), Kind::Precondition);
        let id = write(&db, |tx| verdict::record(tx, &on_day(3), passed("1"))).await.id;
        let rejected = write(&db, move |tx| verdict::approve(tx, &on_day(3), &id, false, None)).await;
        assert_eq!((rejected.state, rejected.approved_by, rejected.passed), (State::Rejected, None, true));
        assert_eq!(events(&db).await.pop().unwrap().payload["four_eyes"], false, "ada registered it herself");
        let failed = NewVerdict { passed: false, ..passed("1") };
        let id = write(&db, move |tx| verdict::record(tx, &on_day(3), failed)).await.id;
        let error = refused(&db, move |tx| verdict::approve(tx, &on_day(3), &id, true, None)).await;
        assert_eq!(error.kind(), Kind::Precondition, "{error}");
        let error = refused(&db, |tx| verdict::approve(tx, &on_day(3), "no-such", true, None)).await;
        assert_eq!(error.kind(), Kind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn four_eyes_are_two_people() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 1).await;
        let id = write(&db, |tx| verdict::record(tx, &on_day(1), passed("1"))).await.id;
        let policy = rondo_registry::policy::Policy { four_eyes: true, ..Default::default() };
        write(&db, move |tx| rondo_registry::policy::set(tx, &on_day(1), "m", &policy)).await;
        let one = id.clone();
        let error = refused(&db, move |tx| verdict::approve(tx, &on_day(2), &one, true, None)).await;
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
        assert!(error.to_string().contains("registered version 1 of `m`"), "{error}");
        let bob = Ctx::new(Principal::Person("bob".to_owned()), on_day(2).now_us);
        let approved = write(&db, move |tx| verdict::approve(tx, &bob, &id, true, None)).await;
        assert_eq!(approved.state, State::Approved);
        let id = write(&db, |tx| verdict::record(tx, &on_day(3), passed("1"))).await.id;
        let rejected = write(&db, move |tx| verdict::approve(tx, &on_day(3), &id, false, None)).await;
        assert_eq!(rejected.state, State::Rejected, "whoever registered it may say no");
    })
    .await;
}

#[tokio::test]
async fn a_verdict_outlives_its_model_but_does_not_speak_for_the_next() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 1).await;
        let id = write(&db, |tx| verdict::record(tx, &on_day(1), passed("1"))).await.id;
        write(&db, |tx| model::delete(tx, &on_day(1), "m")).await;
        model_with(&db, "m", 1).await;
        assert!(write(&db, move |tx| verdict::get(tx, &on_day(1), &id)).await.passed);
        let found = write(&db, |tx| {
            version::get(tx, &on_day(1), "m", "1")?;
            verdict::latest_passing(tx, &on_day(1), "m", "1", &"Production".parse()?, None)
        })
        .await;
        assert_eq!(found, None);
    })
    .await;
}
