//! The shapes of MLflow's protocol, as far as they are copied. Times are milliseconds since the epoch.

use serde::{Deserialize, Serialize};

use super::number;

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
    )*};
}

shapes! {
    /// A param or a tag.
    Pair {
        /// The key.
        key: String,
        /// The value.
        value: String,
    }

    /// An experiment.
    Experiment {
        /// A number as text.
        experiment_id: String,
        /// Unique.
        name: String,
        /// Where the artifacts of its runs lie.
        artifact_location: String,
        /// `active` or `deleted`.
        lifecycle_stage: String,
        /// When it was made.
        creation_time: i64,
        /// Tags.
        tags: Vec<Pair>,
    }

    /// A run.
    Run {
        /// What it is.
        info: RunInfo,
        /// What it logged.
        data: RunData,
        /// What it read.
        inputs: RunInputs,
        /// What it wrote.
        outputs: RunOutputs,
    }

    /// What a run is.
    RunInfo {
        /// 32 hexadecimal digits.
        run_id: String,
        /// The experiment.
        experiment_id: String,
        /// For people.
        run_name: String,
        /// Who ran it.
        user_id: String,
        /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
        status: String,
        /// When it began.
        start_time: i64,
        /// When it ended.
        end_time: Option<i64>,
        /// Where its artifacts lie.
        artifact_uri: String,
        /// `active` or `deleted`.
        lifecycle_stage: String,
    }

    /// What a run logged.
    RunData {
        /// The latest point of each metric.
        metrics: Vec<Point>,
        /// Params.
        params: Vec<Pair>,
        /// Tags.
        tags: Vec<Pair>,
    }

    /// A point of a metric.
    Point {
        /// Its name.
        key: String,
        /// The value; it may be NaN.
        #[serde(with = "number")]
        value: f64,
        /// When.
        timestamp: i64,
        /// The step.
        step: i64,
    }

    /// What a run read.
    RunInputs {
        /// Datasets.
        dataset_inputs: Vec<DatasetInput>,
        /// Logged models.
        model_inputs: Vec<ModelInput>,
    }

    /// A dataset as an input.
    DatasetInput {
        /// About this use of it.
        tags: Vec<Pair>,
        /// The dataset.
        dataset: Dataset,
    }

    /// A dataset.
    Dataset {
        /// Its name.
        name: String,
        /// Tells its versions apart.
        digest: String,
        /// The kind of source.
        source_type: String,
        /// Where it came from, as JSON.
        source: String,
        /// Its columns, as JSON.
        #[serde(skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
        /// Counts, as JSON.
        #[serde(skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
    }

    /// A logged model as an input.
    ModelInput {
        /// Which.
        model_id: String,
    }

    /// What a run wrote.
    RunOutputs {
        /// Logged models.
        model_outputs: Vec<ModelOutput>,
    }

    /// A logged model as an output.
    ModelOutput {
        /// Which.
        model_id: String,
        /// At which step.
        step: i64,
    }

    /// A logged model.
    LoggedModel {
        /// What it is.
        info: ModelInfo,
        /// What was logged about it.
        data: ModelData,
    }

    /// What a logged model is.
    ModelInfo {
        /// `m-` and 32 hexadecimal digits.
        model_id: String,
        /// The experiment.
        experiment_id: String,
        /// For people.
        name: String,
        /// When it was made.
        creation_timestamp_ms: i64,
        /// Where its files lie.
        artifact_uri: String,
        /// `LOGGED_MODEL_PENDING`, `LOGGED_MODEL_READY` or `LOGGED_MODEL_UPLOAD_FAILED`.
        status: String,
        /// What the client calls its kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        model_type: Option<String>,
        /// The run that wrote it.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_run_id: Option<String>,
        /// Tags.
        tags: Vec<Pair>,
    }

    /// What was logged about a logged model.
    ModelData {
        /// Params.
        params: Vec<Pair>,
        /// Points.
        metrics: Vec<ModelMetric>,
    }

    /// A point about a logged model.
    ModelMetric {
        /// Its name.
        key: String,
        /// The value; it may be NaN.
        #[serde(with = "number")]
        value: f64,
        /// When.
        timestamp: i64,
        /// The step.
        step: i64,
        /// The logged model.
        model_id: String,
        /// The run that logged it.
        run_id: String,
        /// The dataset it was measured on.
        #[serde(skip_serializing_if = "Option::is_none")]
        dataset_name: Option<String>,
        /// Its digest.
        #[serde(skip_serializing_if = "Option::is_none")]
        dataset_digest: Option<String>,
    }

    /// A registered model.
    RegisteredModel {
        /// Its name.
        name: String,
        /// When it was made.
        creation_timestamp: i64,
        /// When it was changed.
        last_updated_timestamp: i64,
        /// What people say of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Tags.
        tags: Vec<Pair>,
        /// Aliases.
        aliases: Vec<Alias>,
    }

    /// A name for a version.
    Alias {
        /// The name.
        alias: String,
        /// The version.
        version: String,
    }

    /// A version of a registered model.
    ModelVersion {
        /// The model.
        name: String,
        /// Its number, as text.
        version: String,
        /// When it was made.
        creation_timestamp: i64,
        /// When it was changed.
        last_updated_timestamp: i64,
        /// `None`, `Staging`, `Production` or `Archived`.
        current_stage: String,
        /// What people say of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Where its files are, as it was put.
        source: String,
        /// The run that made it.
        #[serde(skip_serializing_if = "Option::is_none")]
        run_id: Option<String>,
        /// A link to that run elsewhere.
        #[serde(skip_serializing_if = "Option::is_none")]
        run_link: Option<String>,
        /// The logged model that it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        model_id: Option<String>,
        /// Tags.
        tags: Vec<Pair>,
    }
}
