//! What runs read: datasets and logged models as inputs.

use access::Permission::{Edit, View};
use axum::extract::State;
use conductor::House;
use serde_json::json;
use tracking::dataset::{self, DatasetInput, Summary};

use super::shape::read_pairs;

use super::{Answer, Body, Error, Fields, Routes, answer, empty, read, write};
use crate::principal::Caller;
use crate::route::post;

/// The most experiments of one search for datasets.
const MAX_EXPERIMENTS: usize = 20;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/runs/log-inputs", post(Edit, log_inputs))
        .route("/experiments/search-datasets", post(View, search))
}

async fn log_inputs(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let run_id = fields.run_id()?;
    let datasets = fields.list("datasets")?.iter().map(read_input).collect::<Result<Vec<_>, Error>>()?;
    let models = fields.list("models")?.iter().map(|item| item.required("model_id")).collect::<Result<Vec<_>, _>>()?;
    write(&house, who, move |tx, ctx| dataset::log_inputs(tx, ctx, &run_id, &datasets, &models)).await?;
    empty()
}

fn read_input(item: &Fields<'_>) -> Result<DatasetInput, Error> {
    let dataset = item.object("dataset")?.ok_or_else(|| Error::invalid("Dataset cannot be None"))?;
    Ok(DatasetInput {
        name: dataset.required("name")?,
        digest: dataset.required("digest")?,
        source_type: dataset.text_or_empty("source_type")?,
        source: dataset.text_or_empty("source")?,
        schema: dataset.text("schema")?,
        profile: dataset.text("profile")?,
        tags: read_pairs(item, "tags")?,
    })
}

async fn search(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let ids = body.fields().texts("experiment_ids")?;
    if ids.is_empty() {
        return Err(Error::invalid("SearchDatasets request must specify at least one experiment_id."));
    }
    if ids.len() > MAX_EXPERIMENTS {
        let got = ids.len();
        return Err(Error::invalid(format!(
            "SearchDatasets request cannot specify more than {MAX_EXPERIMENTS} experiment_ids. Received {got} experiment_ids."
        )));
    }
    let found = read(&house, who, move |tx, ctx| dataset::summaries(tx, ctx, &ids)).await?;
    let shown: Vec<_> = found.into_iter().map(summary).collect();
    answer(if shown.is_empty() { json!({}) } else { json!({ "dataset_summaries": shown }) })
}

fn summary(summary: Summary) -> serde_json::Value {
    let mut shown = json!({
        "experiment_id": summary.experiment_id,
        "name": summary.name,
        "digest": summary.digest,
    });
    if let (Some(context), Some(shown)) = (summary.context, shown.as_object_mut()) {
        shown.insert("context".to_owned(), context.into());
    }
    shown
}
