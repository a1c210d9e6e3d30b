//! Runs, their params and tags, and batches of everything.

use access::Permission::{Edit, View};
use axum::extract::State;
use conductor::House;
use kernel::ctx::Ctx;
use kernel::page::Page;
use serde::Serialize;
use serde_json::{Value, json};
use tracking::Pair;
use tracking::batch::{self, Batch};
use tracking::run::{self, Change, NewRun, Run, Status};
use tracking::search::{self, RunSearch};
use tracking::{param, tag};

use super::metric::read_metric;
use super::shape::{RunInfoShape, RunShape, read_pairs, read_view};
use super::{Answer, Body, Error, Fields, JsonBytes, Routes, answer, answer_large, empty, points, read, write};
use crate::principal::Caller;
use crate::route::{get, post};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/runs/create", post(Edit, create))
        .route("/runs/get", get(View, get_by_id))
        .route("/runs/search", post(View, search))
        .route("/runs/update", post(Edit, update))
        .route("/runs/delete", post(Edit, delete))
        .route("/runs/restore", post(Edit, restore))
        .route("/runs/log-parameter", post(Edit, log_param))
        .route("/runs/set-tag", post(Edit, set_tag))
        .route("/runs/delete-tag", post(Edit, delete_tag))
        .route("/runs/log-batch", post(Edit, log_batch))
        .route("/runs/log-model", post(Edit, log_model))
}

async fn create(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let new = NewRun {
        experiment_id: fields.text_or_empty("experiment_id")?,
        user_id: fields.text_or_empty("user_id")?,
        run_name: fields.text_or_empty("run_name")?,
        start_ms: fields.integer("start_time")?.unwrap_or(0),
        tags: read_pairs(&fields, "tags")?,
    };
    let run = write(&house, who, move |tx, ctx| run::create(tx, ctx, new)).await?;
    answer(json!({ "run": RunShape::from(run) }))
}

async fn get_by_id(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let run_id = body.fields().run_id()?;
    let run = read(&house, who, move |tx, ctx| run::get(tx, ctx, &run_id)).await?;
    answer(json!({ "run": RunShape::from(run) }))
}

#[derive(Debug, Serialize)]
struct SearchAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<RunShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let wanted = RunSearch {
        experiment_ids: fields.texts("experiment_ids")?,
        filter: fields.text_or_empty("filter")?,
        view: read_view(&fields, "run_view_type")?,
        max_results: fields.integer("max_results")?.unwrap_or(1_000),
        order_by: fields.texts("order_by")?,
        page_token: fields.text("page_token")?,
    };
    let page = found(&house, &house.ctx(who), wanted).await?;
    let page = page.map(RunShape::from);
    answer_large(SearchAnswer { runs: page.items, next_page_token: page.next_token }).await
}

/// Searches where readers do; only if metrics wait that it asks for, among the writers.
async fn found(house: &House, ctx: &Ctx, wanted: RunSearch) -> Result<Page<Run>, tracking::Error> {
    let (own, search) = (ctx.clone(), wanted.clone());
    match house.db.read(move |tx| search::runs(tx, &own, &search)).await {
        Err(tracking::Error::Unsettled) => {
            let ctx = ctx.clone();
            house.db.write(move |tx| search::settled_runs(tx, &ctx, &wanted)).await
        }
        found => found,
    }
}

async fn update(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let run_id = fields.run_id()?;
    let change = Change {
        status: fields.choice("status", &Status::ALL, Status::as_str)?,
        end_ms: fields.integer("end_time")?,
        run_name: fields.text("run_name")?,
    };
    let info = write(&house, who, move |tx, ctx| run::update(tx, ctx, &run_id, change)).await?;
    answer(json!({ "run_info": RunInfoShape::from(info) }))
}

async fn delete(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let run_id = body.fields().run_id()?;
    write(&house, who, move |tx, ctx| run::delete(tx, ctx, &run_id)).await?;
    empty()
}

async fn restore(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let run_id = body.fields().run_id()?;
    write(&house, who, move |tx, ctx| run::restore(tx, ctx, &run_id)).await?;
    empty()
}

async fn log_param(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let run_id = fields.run_id()?;
    let logged = Pair { key: fields.required("key")?, value: fields.text_or_empty("value")? };
    write(&house, who, move |tx, ctx| param::log(tx, ctx, &run_id, logged)).await?;
    empty()
}

async fn set_tag(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let run_id = fields.run_id()?;
    let given = Pair { key: fields.required("key")?, value: fields.text_or_empty("value")? };
    write(&house, who, move |tx, ctx| tag::set(tx, ctx, &run_id, given)).await?;
    empty()
}

async fn delete_tag(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (run_id, key) = (fields.run_id()?, fields.required("key")?);
    write(&house, who, move |tx, ctx| tag::delete(tx, ctx, &run_id, &key)).await?;
    empty()
}

async fn log_batch(State(house): State<House>, Caller(who): Caller, bytes: JsonBytes) -> Answer {
    let (run_id, batch) = match points::read_batch(&bytes.0) {
        Some(plain) => plain,
        None => read_batch(&bytes.body()?.fields())?,
    };
    write(&house, who, move |tx, ctx| batch::log(tx, ctx, &run_id, batch)).await?;
    empty()
}

fn read_batch(fields: &Fields<'_>) -> Result<(String, Batch), Error> {
    let run_id = fields.run_id()?;
    let batch = Batch {
        metrics: fields.list("metrics")?.iter().map(read_metric).collect::<Result<_, Error>>()?,
        params: read_pairs(fields, "params")?,
        tags: read_pairs(fields, "tags")?,
    };
    Ok((run_id, batch))
}

/// What clients before MLflow 3 call when they have logged a model: it is noted in a tag of the run.
async fn log_model(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let run_id = fields.run_id()?;
    let text = fields.required("model_json")?;
    let malformed = || Error::invalid(format!("Malformed model info. \n {text} \n is not a valid JSON."));
    let Value::Object(model) = serde_json::from_str(&text).map_err(|_| malformed())? else {
        return Err(malformed());
    };
    let wanted = ["artifact_path", "flavors", "utc_time_created", "run_id"];
    if let Some(name) = wanted.into_iter().find(|name| !model.contains_key(*name)) {
        return Err(Error::invalid(format!("Model json is missing mandatory fields: {{'{name}'}}")));
    }
    write(&house, who, move |tx, ctx| tag::append_model(tx, ctx, &run_id, model)).await?;
    empty()
}
