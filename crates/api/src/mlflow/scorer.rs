//! Scorers.

use access::Permission::{Edit, View};
use axum::extract::State;
use conductor::House;
use serde_json::{Value, json};
use tracking::scorer::{self, ScorerVersion};

use super::wire::Fields;
use super::{Answer, Body, Error, Routes, answer, empty, read, write};
use crate::principal::Caller;
use crate::route::{get, post};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/scorers/register", post(Edit, register))
        .route("/scorers/list", get(View, list))
        .route("/scorers/versions", get(View, versions))
        .route("/scorers/get", get(View, get_one))
        .route("/scorers/delete", crate::route::delete(Edit, delete))
        .route("/scorers/online-configs", get(View, online_configs))
}

fn shape(scorer: ScorerVersion) -> Value {
    json!({
        "experiment_id": scorer.experiment_id,
        "scorer_name": scorer.name,
        "scorer_version": scorer.version,
        "serialized_scorer": scorer.serialized,
        "creation_time": scorer.created_ms,
        "scorer_id": scorer.scorer_id,
    })
}

fn shapes(scorers: Vec<ScorerVersion>) -> Answer {
    let shown: Vec<Value> = scorers.into_iter().map(shape).collect();
    answer(if shown.is_empty() { json!({}) } else { json!({ "scorers": shown }) })
}

async fn register(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (experiment_id, name) = (fields.required("experiment_id")?, fields.required("name")?);
    let serialized = fields.required("serialized_scorer")?;
    let made = write(&house, who, move |tx, ctx| scorer::register(tx, ctx, &experiment_id, &name, &serialized)).await?;
    answer(json!({
        "version": made.version,
        "scorer_id": made.scorer_id,
        "experiment_id": made.experiment_id.to_string(),
        "name": made.name,
        "serialized_scorer": made.serialized,
        "creation_time": made.created_ms,
    }))
}

async fn list(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let one = fields.text("experiment_id")?.filter(|id| !id.is_empty());
    let many = fields.value("experiment_ids")?.map(|_| fields.texts("experiment_ids")).transpose()?;
    let found = match (one, many) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid(
                "Cannot specify both 'experiment_id' and 'experiment_ids'. Use 'experiment_ids' to scope the query to multiple \
                 experiments, or 'experiment_id' to scope it to a single experiment.",
            ));
        }
        (Some(id), None) => read(&house, who, move |tx, ctx| scorer::list(tx, ctx, &id)).await?,
        (None, many) => read(&house, who, move |tx, ctx| scorer::list_many(tx, ctx, many.as_deref())).await?,
    };
    shapes(found)
}

async fn versions(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let (experiment_id, name) = named(&body.fields())?;
    shapes(read(&house, who, move |tx, ctx| scorer::versions(tx, ctx, &experiment_id, &name)).await?)
}

async fn get_one(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let ((experiment_id, name), version) = (named(&fields)?, fields.integer("version")?);
    let found = read(&house, who, move |tx, ctx| scorer::get(tx, ctx, &experiment_id, &name, version)).await?;
    answer(json!({ "scorer": shape(found) }))
}

async fn delete(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let ((experiment_id, name), version) = (named(&fields)?, fields.integer("version")?);
    write(&house, who, move |tx, ctx| scorer::delete(tx, ctx, &experiment_id, &name, version)).await?;
    empty()
}

/// No scorer runs by itself here.
async fn online_configs(body: Body) -> Answer {
    let _ids = body.fields().texts("scorer_ids")?;
    answer(json!({ "configs": [] }))
}

fn named(fields: &Fields<'_>) -> Result<(String, String), Error> {
    Ok((fields.required("experiment_id")?, fields.required("name")?))
}
