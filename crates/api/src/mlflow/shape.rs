//! The shapes that several nouns send: pairs, metrics, runs. Unset fields and empty lists are left out, as a proto would.

use serde::Serialize;
use tracking::dataset::DatasetInput;
use tracking::run::{ModelOutput, Run, RunInfo};
use tracking::{Pair, View};

use super::Error;
use super::wire::{Double, Fields};

/// A key and its value.
#[derive(Debug, Serialize)]
pub(crate) struct PairShape {
    key: String,
    value: String,
}

impl PairShape {
    /// A pair from its halves.
    pub(crate) fn new(key: String, value: String) -> Self {
        Self { key, value }
    }
}

/// Pairs as they are sent.
pub(crate) fn pairs(pairs: Vec<Pair>) -> Vec<PairShape> {
    pairs.into_iter().map(|pair| PairShape { key: pair.key, value: pair.value }).collect()
}

/// Pairs as they come: the key must be there, the value may be absent.
pub(crate) fn read_pairs(fields: &Fields<'_>, name: &'static str) -> Result<Vec<Pair>, Error> {
    let read = |item: Fields<'_>| Ok(Pair { key: item.required("key")?, value: item.text_or_empty("value")? });
    fields.list(name)?.into_iter().map(read).collect()
}

/// Which stages a listing shows.
pub(crate) fn read_view(fields: &Fields<'_>, name: &'static str) -> Result<View, Error> {
    let choices = [(1, View::ActiveOnly), (2, View::DeletedOnly), (3, View::All)];
    let shown = |view| match view {
        View::ActiveOnly => "ACTIVE_ONLY",
        View::DeletedOnly => "DELETED_ONLY",
        View::All => "ALL",
    };
    Ok(fields.choice(name, &choices, shown)?.unwrap_or_default())
}

/// A point of a metric.
#[derive(Debug, Serialize)]
pub(crate) struct MetricShape {
    key: String,
    value: Double,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
}

impl From<tracking::metric::Metric> for MetricShape {
    fn from(metric: tracking::metric::Metric) -> Self {
        let (dataset_name, dataset_digest) = metric.dataset.unzip();
        Self {
            key: metric.key,
            value: Double(metric.value),
            timestamp: metric.timestamp_ms,
            step: metric.step,
            dataset_name,
            dataset_digest,
            model_id: metric.model_id,
            run_id: metric.run_id,
        }
    }
}

/// Points as they are sent.
pub(crate) fn metrics(metrics: Vec<tracking::metric::Metric>) -> Vec<MetricShape> {
    metrics.into_iter().map(MetricShape::from).collect()
}

/// A run with everything it logged.
#[derive(Debug, Serialize)]
pub(crate) struct RunShape {
    info: RunInfoShape,
    data: RunDataShape,
    inputs: RunInputsShape,
    outputs: RunOutputsShape,
}

/// What a run is. The id is sent under both of its names.
#[derive(Debug, Serialize)]
pub(crate) struct RunInfoShape {
    run_id: String,
    run_uuid: String,
    run_name: String,
    experiment_id: String,
    user_id: String,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: String,
    lifecycle_stage: &'static str,
}

#[derive(Debug, Serialize)]
struct RunDataShape {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<PairShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairShape>,
}

#[derive(Debug, Serialize)]
struct RunInputsShape {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<DatasetInputShape>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<ModelInputShape>,
}

#[derive(Debug, Serialize)]
struct RunOutputsShape {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_outputs: Vec<ModelOutputShape>,
}

#[derive(Debug, Serialize)]
struct DatasetInputShape {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairShape>,
    dataset: DatasetShape,
}

#[derive(Debug, Serialize)]
struct DatasetShape {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
}

#[derive(Debug, Serialize)]
struct ModelInputShape {
    model_id: String,
}

#[derive(Debug, Serialize)]
struct ModelOutputShape {
    model_id: String,
    step: i64,
}

impl From<Run> for RunShape {
    fn from(run: Run) -> Self {
        let output = |output: ModelOutput| ModelOutputShape { model_id: output.model_id, step: output.step };
        Self {
            info: run.info.into(),
            data: RunDataShape { metrics: metrics(run.metrics), params: pairs(run.params), tags: pairs(run.tags) },
            inputs: RunInputsShape {
                dataset_inputs: run.datasets.into_iter().map(DatasetInputShape::from).collect(),
                model_inputs: run.model_inputs.into_iter().map(|model_id| ModelInputShape { model_id }).collect(),
            },
            outputs: RunOutputsShape { model_outputs: run.model_outputs.into_iter().map(output).collect() },
        }
    }
}

impl From<RunInfo> for RunInfoShape {
    fn from(info: RunInfo) -> Self {
        Self {
            run_uuid: info.run_id.clone(),
            run_id: info.run_id,
            run_name: info.run_name,
            experiment_id: info.experiment_id,
            user_id: info.user_id,
            status: info.status.as_str(),
            start_time: info.start_ms,
            end_time: info.end_ms,
            artifact_uri: info.artifact_uri,
            lifecycle_stage: info.stage.as_str(),
        }
    }
}

impl From<DatasetInput> for DatasetInputShape {
    fn from(input: DatasetInput) -> Self {
        let dataset = DatasetShape {
            name: input.name,
            digest: input.digest,
            source_type: input.source_type,
            source: input.source,
            schema: input.schema,
            profile: input.profile,
        };
        Self { tags: pairs(input.tags), dataset }
    }
}
