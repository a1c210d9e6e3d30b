//! Evaluation datasets, their records, and scorers.

use db::Db;
use serde_json::{Map, Value, json};
use testkit::on_both;
use tracking::evaluation_dataset::record::{self, Upserted};
use tracking::evaluation_dataset::{self, EvaluationDataset};
use tracking::search::{self, EvaluationDatasetSearch};
use tracking::{MIGRATIONS, experiment, scorer};

use crate::{assert_error, pairs, read, write};

async fn a_dataset(db: &Db, name: &str, tags: Value) -> EvaluationDataset {
    let (name, tags) = (name.to_owned(), tags.as_object().cloned().unwrap_or_default());
    write(db, move |tx, ctx| evaluation_dataset::create(tx, ctx, &name, &tags, &["0".to_owned()])).await.unwrap()
}

async fn upsert(db: &Db, id: &str, records: Value) -> Result<Upserted, tracking::Error> {
    let (id, records) = (id.to_owned(), records.as_array().cloned().unwrap_or_default());
    write(db, move |tx, ctx| record::upsert(tx, ctx, &id, &records)).await
}

async fn records(db: &Db, id: &str, most: i64, token: Option<String>) -> (Vec<record::Record>, Option<String>) {
    let id = id.to_owned();
    let page = read(db, move |tx, ctx| record::page(tx, ctx, &id, most, token.as_deref())).await.unwrap();
    (page.items, page.next_token)
}

#[tokio::test]
async fn the_same_inputs_change_the_record_that_is_there() {
    on_both(MIGRATIONS, |db| async move {
        let made = a_dataset(&db, "d", json!({ "mlflow.user": "ann", "n": 1, "yes": true, "none": null })).await;
        assert_eq!(made.tags, pairs(&[("mlflow.user", "ann"), ("n", "1"), ("yes", "True")]));
        assert_eq!((made.created_by.as_deref(), made.records, made.schema.clone()), (Some("ann"), 0, None));
        let sent = json!([
            { "inputs": { "q": "a", "n": 1 }, "expectations": { "x": 1 }, "tags": { "t": "1" }, "outputs": "text" },
            { "inputs": { "n": 1, "q": "a" }, "expectations": { "y": 2.5 }, "tags": { "t": "2", "mlflow.user": "bob" } },
            { "inputs": { "n": 1.0, "q": "a" }, "outputs": null },
        ]);
        let counts = upsert(&db, &made.dataset_id, sent).await.unwrap();
        assert_eq!(counts, Upserted { inserted: 2, updated: 1 });
        let (found, token) = records(&db, &made.dataset_id, 10, None).await;
        let merged = found.iter().find(|one| one.inputs["n"] == json!(1)).unwrap();
        assert_eq!(merged.expectations, Some(json!({ "x": 1, "y": 2.5 })));
        assert_eq!(merged.tags, Some(json!({ "t": "2", "mlflow.user": "bob" })));
        assert_eq!((merged.outputs.clone(), merged.updated_by.as_deref()), (Some(json!("text")), Some("bob")));
        assert_eq!((found.len(), token), (2, None));
        let id = made.dataset_id.clone();
        let now = read(&db, move |tx, ctx| evaluation_dataset::get(tx, ctx, &id)).await.unwrap();
        let schema: Value = serde_json::from_str(now.schema.as_deref().unwrap()).unwrap();
        let expect = json!({
            "inputs": { "q": "string", "n": "integer" }, "outputs": "string",
            "expectations": { "x": "integer", "y": "float" }, "version": "1.0",
        });
        assert_eq!((schema, now.records, now.updated_by.as_deref()), (expect, 2, Some("bob")));
    })
    .await;
}

#[tokio::test]
async fn a_batch_with_a_wrong_record_changes_nothing() {
    on_both(MIGRATIONS, |db| async move {
        let made = a_dataset(&db, "d", json!({})).await;
        for wrong in [json!({ "inputs": [] }), json!(3), json!({ "inputs": {}, "source": { "source_type": "RUMOUR" } })]
        {
            let failed = upsert(&db, &made.dataset_id, json!([{ "inputs": { "a": 1 } }, wrong])).await;
            assert_error(failed, "");
        }
        assert_eq!(records(&db, &made.dataset_id, 10, None).await.0, []);
        assert_error(upsert(&db, "d-none", json!([])).await, "Evaluation dataset with id 'd-none' not found");
    })
    .await;
}

#[tokio::test]
async fn records_come_in_pages_and_are_deleted() {
    on_both(MIGRATIONS, |db| async move {
        let made = a_dataset(&db, "d", json!({})).await;
        let many: Vec<Value> = (0..25).map(|number| json!({ "inputs": { "n": number } })).collect();
        upsert(&db, &made.dataset_id, many.into()).await.unwrap();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let (page, next) = records(&db, &made.dataset_id, 10, token).await;
            seen.extend(page.into_iter().map(|one| one.record_id));
            token = next;
            if token.is_none() {
                break;
            }
        }
        let mut distinct = seen.clone();
        distinct.dedup();
        assert_eq!((seen.len(), &distinct), (25, &seen));
        let (id, some) = (made.dataset_id.clone(), seen[..4].to_vec());
        assert_eq!(write(&db, move |tx, ctx| record::delete(tx, ctx, &id, &some)).await.unwrap(), 4);
        let id = made.dataset_id.clone();
        assert_eq!(read(&db, move |tx, ctx| evaluation_dataset::get(tx, ctx, &id)).await.unwrap().records, 21);
        let id = made.dataset_id.clone();
        write(&db, move |tx, ctx| evaluation_dataset::delete(tx, ctx, &id)).await.unwrap();
        assert_eq!(records(&db, &made.dataset_id, 10, None).await.0, []);
    })
    .await;
}

#[tokio::test]
async fn datasets_are_found_by_experiment_and_filter() {
    on_both(MIGRATIONS, |db| async move {
        for (name, team) in [("alpha", "a"), ("Beta", "b"), ("gamma", "a")] {
            a_dataset(&db, name, json!({ "team": team })).await;
        }
        let other = write(&db, |tx, ctx| experiment::create(tx, ctx, "other", None, &[])).await.unwrap();
        let find = async |filter: &str, experiment: &str| {
            let wanted = EvaluationDatasetSearch {
                experiment_ids: vec![experiment.to_owned()],
                filter: filter.to_owned(),
                max_results: 10,
                order_by: vec!["name ASC".to_owned()],
                page_token: None,
            };
            let page = read(&db, move |tx, ctx| search::evaluation_datasets(tx, ctx, &wanted)).await;
            page.map(|page| page.items.into_iter().map(|one| one.name).collect::<Vec<_>>())
        };
        assert_eq!(find("tags.team = 'a'", "0").await.unwrap(), ["alpha", "gamma"]);
        assert_eq!(find("name ILIKE 'b%' AND created_time > 0", "0").await.unwrap(), ["Beta"]);
        assert_eq!(find("name IN ('alpha', 'gamma') AND name >= 'b'", "0").await.unwrap(), ["gamma"]);
        assert_eq!(find("", &other).await.unwrap(), [""; 0]);
        assert_error(find("nothing = 'a'", "0").await, "Invalid attribute key 'nothing' specified.");
        assert_error(find("name NOT IN ('a')", "0").await, "List values for 'name'");
    })
    .await;
}

#[tokio::test]
async fn scorers_come_in_versions() {
    on_both(MIGRATIONS, |db| async move {
        let register = async |name: &str, text: &str| {
            let (name, text) = (name.to_owned(), text.to_owned());
            write(&db, move |tx, ctx| scorer::register(tx, ctx, "0", &name, &text)).await
        };
        let get = async |version| read(&db, move |tx, ctx| scorer::get(tx, ctx, "0", "s", version)).await;
        for expect in 1..=3 {
            assert_eq!(register("s", "{}").await.unwrap().version, expect);
        }
        register("a", "{}").await.unwrap();
        let listed = read(&db, |tx, ctx| scorer::list(tx, ctx, "0")).await.unwrap();
        let shown: Vec<_> = listed.iter().map(|one| (one.name.as_str(), one.version)).collect();
        assert_eq!(shown, [("a", 1), ("s", 3)]);
        assert_eq!((get(None).await.unwrap().version, get(Some(2)).await.unwrap().version), (3, 2));
        write(&db, |tx, ctx| scorer::delete(tx, ctx, "0", "s", Some(2))).await.unwrap();
        assert_error(get(Some(2)).await, "Scorer with name 's' and version 2 not found for experiment 0.");
        write(&db, |tx, ctx| scorer::delete(tx, ctx, "0", "s", None)).await.unwrap();
        assert_error(get(None).await, "Scorer with name 's' not found for experiment 0.");
        assert_error(register(" ", "{}").await, "Scorer name cannot be empty");
        assert_error(register("x", "[]").await, "'serialized_scorer' is not a JSON object");
        let bound: Map<String, Value> = Map::new();
        let unknown =
            write(&db, move |tx, ctx| evaluation_dataset::create(tx, ctx, "d", &bound, &["99".to_owned()])).await;
        assert_error(unknown, "No Experiment with id=99");
    })
    .await;
}
