//! Logged models: their life, their metrics, searching them.

use db::Db;
use testkit::on_both;
use tracking::batch::{self, Batch};
use tracking::logged_model::{self, LoggedModel, NewModel, Status};
use tracking::metric::Metric;
use tracking::run::ModelOutput;
use tracking::search::{self, DatasetFilter, ModelOrder, ModelSearch};
use tracking::{Error, MIGRATIONS, dataset};

use crate::{a_run, assert_error, get, pairs, read, write};

async fn a_model(db: &Db, name: &str, run_id: &str) -> LoggedModel {
    let new = NewModel {
        experiment_id: "0".to_owned(),
        name: Some(name.to_owned()),
        model_type: Some("sklearn".to_owned()),
        source_run_id: Some(run_id.to_owned()),
        params: pairs(&[("depth", name)]),
        tags: pairs(&[("team", "a")]),
    };
    write(db, move |tx, ctx| logged_model::create(tx, ctx, new)).await.unwrap()
}

#[tokio::test]
async fn a_model_goes_from_pending_to_ready_to_the_bin() {
    on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        let model = a_model(&db, "m", &run_id).await;
        let id = model.model_id.clone();
        assert!(id.starts_with("m-") && id.len() == 34, "{id}");
        assert_eq!(model.artifact_location, format!("mlflow-artifacts:/0/models/{id}/artifacts"));
        assert_eq!(
            (model.status, model.params, model.tags),
            (Status::Pending, pairs(&[("depth", "m")]), pairs(&[("team", "a")]))
        );
        let own = id.clone();
        let ready = write(&db, move |tx, ctx| {
            logged_model::set_tags(tx, ctx, &own, &pairs(&[("team", "b"), ("x", "1"), ("x", "2")]))?;
            logged_model::delete_tag(tx, ctx, &own, "team")?;
            logged_model::log_params(tx, ctx, &own, &pairs(&[("depth", "m"), ("more", "1")]))?;
            logged_model::finalize(tx, ctx, &own, Status::Ready)
        });
        let ready = ready.await.unwrap();
        assert_eq!((ready.status, ready.tags), (Status::Ready, pairs(&[("x", "2")])));
        let own = id.clone();
        let changed = write(&db, move |tx, ctx| logged_model::log_params(tx, ctx, &own, &pairs(&[("depth", "9")])));
        assert_error(changed.await, "Changing param values is not allowed");
        let own = id.clone();
        let missing = write(&db, move |tx, ctx| logged_model::delete_tag(tx, ctx, &own, "team")).await;
        assert_error(missing, "No tag with key 'team' found for model with ID");
        let own = id.clone();
        write(&db, move |tx, ctx| logged_model::delete(tx, ctx, &own)).await.unwrap();
        let own = id.clone();
        assert_error(
            read(&db, move |tx, ctx| logged_model::get(tx, ctx, &own, false)).await,
            &format!("Logged model with ID '{id}' not found."),
        );
        assert!(read(&db, move |tx, ctx| logged_model::get(tx, ctx, &id, true)).await.is_ok());
        let bad = NewModel { experiment_id: "0".to_owned(), name: Some("a/b".to_owned()), ..NewModel::default() };
        assert_error(write(&db, move |tx, ctx| logged_model::create(tx, ctx, bad)).await, "Invalid model name ('a/b')");
    })
    .await;
}

#[tokio::test]
async fn runs_know_the_models_they_read_and_wrote() {
    on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        let (first, second) = (a_model(&db, "a", &run_id).await.model_id, a_model(&db, "b", &run_id).await.model_id);
        let (own, wrote, reads) = (run_id.clone(), first.clone(), second.clone());
        let log = write(&db, move |tx, ctx| {
            let output = ModelOutput { model_id: wrote, step: 3 };
            logged_model::log_outputs(tx, ctx, &own, std::slice::from_ref(&output))?;
            logged_model::log_outputs(tx, ctx, &own, &[output])?;
            dataset::log_inputs(tx, ctx, &own, &[], &[reads])
        });
        log.await.unwrap();
        let run = get(&db, &run_id).await;
        assert_eq!(run.model_outputs, [ModelOutput { model_id: first, step: 3 }]);
        assert_eq!(run.model_inputs, [second]);
    })
    .await;
}

#[tokio::test]
async fn points_about_a_model_are_its_metrics_too() {
    on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        let id = a_model(&db, "m", &run_id).await.model_id;
        let point = Metric {
            key: "mae".to_owned(),
            value: 0.5,
            timestamp_ms: 1,
            model_id: Some(id.clone()),
            dataset: Some(("d".to_owned(), "1".to_owned())),
            ..Metric::default()
        };
        let log = |run_id: String, metric: Metric| {
            let batch = Batch { metrics: vec![metric.clone(), metric], ..Batch::default() };
            write(&db, move |tx, ctx| batch::log(tx, ctx, &run_id, batch))
        };
        log(run_id.clone(), point.clone()).await.unwrap();
        let metrics = read(&db, move |tx, ctx| logged_model::get(tx, ctx, &id, false)).await.unwrap().metrics;
        assert_eq!(metrics, [Metric { run_id: Some(run_id.clone()), ..point.clone() }]);
        assert_eq!(get(&db, &run_id).await.metrics.len(), 1);
        let astray = Metric { model_id: Some("m-nope".to_owned()), ..point };
        assert_error(log(run_id, astray).await, "Logged model with ID 'm-nope' not found.");
    })
    .await;
}

fn by(filter: &str) -> ModelSearch {
    ModelSearch {
        experiment_ids: vec!["0".to_owned()],
        filter: filter.to_owned(),
        datasets: Vec::new(),
        max_results: 100,
        order_by: Vec::new(),
        page_token: None,
    }
}

async fn names(db: &Db, search: ModelSearch) -> Result<String, Error> {
    let page = read(db, move |tx, ctx| search::logged_models(tx, ctx, &search)).await?;
    Ok(page.items.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn models_are_searched() {
    on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        for (name, mae, dataset) in [("a", 1.0, "d"), ("b", 2.0, "d"), ("c", f64::NAN, "e"), ("x", 0.0, "")] {
            let id = a_model(&db, name, &run_id).await.model_id;
            if dataset.is_empty() {
                continue;
            }
            let metric = Metric {
                key: "mae".to_owned(),
                value: mae,
                model_id: Some(id),
                dataset: Some((dataset.to_owned(), "1".to_owned())),
                ..Metric::default()
            };
            let (own, batch) = (run_id.clone(), Batch { metrics: vec![metric], ..Batch::default() });
            write(&db, move |tx, ctx| batch::log(tx, ctx, &own, batch)).await.unwrap();
        }
        let by_name =
            ModelOrder { field_name: "name".to_owned(), ascending: true, dataset_name: None, dataset_digest: None };
        let check = |filter: &'static str, expect: &'static str| {
            let search = ModelSearch { order_by: vec![by_name.clone()], ..by(filter) };
            let db = &db;
            async move { assert_eq!(names(db, search).await.unwrap(), expect, "{filter}") }
        };
        check("", "a b c x").await;
        check("metrics.mae > 1.5", "b").await;
        check("metrics.mae != 1", "b c").await;
        check("params.depth = 'b'", "b").await;
        check("params.depth IN ('a', 'c') AND tags.team = 'a'", "a c").await;
        check("name LIKE 'A'", "").await;
        check("name ILIKE 'A'", "a").await;
        check("creation_time > 1 AND status = 'PENDING'", "a b c x").await;
        check("attributes.model_type != 'sklearn'", "").await;
        let dataset = |name: &str| vec![DatasetFilter { name: name.to_owned(), digest: None }];
        let on_d = ModelSearch { order_by: vec![by_name.clone()], datasets: dataset("d"), ..by("") };
        assert_eq!(names(&db, on_d).await.unwrap(), "a b");
        let on_e = ModelSearch { datasets: dataset("e"), ..by("metrics.mae > 0") };
        assert_eq!(names(&db, on_e).await.unwrap(), "");
        let by_mae = ModelOrder { field_name: "metrics.mae".to_owned(), ascending: false, ..by_name };
        let ordered = ModelSearch { order_by: vec![by_mae], ..by("name != 'c'") };
        assert_eq!(names(&db, ordered).await.unwrap(), "b a x");
        for (wrong, expect) in [
            ("metric.mae > 1", "Invalid entity type: 'metric'"),
            ("creation_time = 'a'", "Expected numeric value"),
            ("nope = 'a'", "Invalid attribute key 'nope'"),
            ("name > 'a'", "Invalid comparator '>'"),
        ] {
            assert_error(names(&db, by(wrong)).await, expect);
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_continues_only_its_own_search() {
    on_both(MIGRATIONS, |db| async move {
        let run_id = a_run(&db).await;
        for name in ["a", "b", "c"] {
            a_model(&db, name, &run_id).await;
        }
        let first = ModelSearch { max_results: 2, ..by("name != 'z'") };
        let next = first.clone();
        let page = read(&db, move |tx, ctx| search::logged_models(tx, ctx, &first)).await.unwrap();
        let token = page.next_token.clone();
        assert_eq!((page.items.len(), token.is_some()), (2, true));
        let rest = ModelSearch { page_token: token.clone(), ..next };
        let rest = read(&db, move |tx, ctx| search::logged_models(tx, ctx, &rest)).await.unwrap();
        assert_eq!((rest.items.len(), rest.next_token), (1, None));
        let other = ModelSearch { page_token: token, ..by("") };
        assert_error(names(&db, other).await, "Filter string in the page token does not match");
    })
    .await;
}
