//! MLflow's SQL store in an SQLite file (`mlflow.db`), of any version since runs have steps. Tables and columns that an older store lacks
//! are taken as empty.

use std::path::{Path, PathBuf};

use db::{Foreign, Row};

use super::{
    Alias, Dataset, DatasetInput, Experiment, File, Layout, LoggedModel, ModelData, ModelInfo, ModelInput, ModelMetric,
    ModelOutput, ModelVersion, Pair, Point, RegisteredModel, Run, RunData, RunInfo, RunInputs, RunOutputs, Store,
    local_folder, walk,
};
use crate::Result;

/// An SQL store.
#[derive(Debug)]
pub(crate) struct Database {
    home: PathBuf,
    file: Foreign,
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = Foreign::open(path)?;
        file.query("SELECT experiment_id FROM experiments LIMIT 1", &[])?;
        let home = path.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self { home: home.to_owned(), file })
    }

    fn has(&self, table: &str) -> Result<bool> {
        let found = self
            .file
            .query("SELECT 1 AS there FROM sqlite_master WHERE type = 'table' AND name = $1", &[table.into()])?;
        Ok(!found.is_empty())
    }

    /// Rows of a table that older stores do not have.
    fn rows(&self, table: &str, sql: &'static str, id: &str) -> Result<Vec<Row>> {
        if self.has(table)? { Ok(self.file.query(sql, &[id.into()])?) } else { Ok(Vec::new()) }
    }

    fn pairs(&self, table: &str, sql: &'static str, id: &str) -> Result<Vec<Pair>> {
        self.rows(table, sql, id)?.iter().map(pair).collect()
    }

    fn inputs(&self, run_id: &str) -> Result<RunInputs> {
        let sql = "SELECT i.input_uuid, d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema,
                d.dataset_profile
            FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
            WHERE i.destination_id = $1 AND i.source_type = 'DATASET' ORDER BY d.name, d.digest";
        let mut inputs = RunInputs::default();
        for row in self.rows("inputs", sql, run_id)? {
            let tags = "SELECT name AS key, value FROM input_tags WHERE input_uuid = $1 ORDER BY name";
            inputs.dataset_inputs.push(DatasetInput {
                tags: self.pairs("input_tags", tags, row.str("input_uuid")?)?,
                dataset: Dataset {
                    name: row.text("name")?,
                    digest: row.text("digest")?,
                    source_type: text(&row, "dataset_source_type")?,
                    source: text(&row, "dataset_source")?,
                    schema: row.opt_text("dataset_schema")?,
                    profile: row.opt_text("dataset_profile")?,
                },
            });
        }
        let sql = "SELECT destination_id FROM inputs WHERE source_id = $1 AND source_type = 'RUN_INPUT'
            AND destination_type = 'MODEL_INPUT' ORDER BY destination_id";
        for row in self.rows("inputs", sql, run_id)? {
            inputs.model_inputs.push(ModelInput { model_id: row.text("destination_id")? });
        }
        Ok(inputs)
    }

    fn outputs(&self, run_id: &str) -> Result<RunOutputs> {
        let sql = "SELECT destination_id, step FROM inputs WHERE source_id = $1 AND source_type = 'RUN_OUTPUT'
            AND destination_type = 'MODEL_OUTPUT' ORDER BY step, destination_id";
        let mut outputs = RunOutputs::default();
        if self.has("logged_models")? {
            for row in self.rows("inputs", sql, run_id)? {
                outputs
                    .model_outputs
                    .push(ModelOutput { model_id: row.text("destination_id")?, step: row.i64("step")? });
            }
        }
        Ok(outputs)
    }

    fn logged_model(&self, row: &Row) -> Result<LoggedModel> {
        let model_id = row.text("model_id")?;
        let sql =
            "SELECT metric_name AS key, metric_value AS value, metric_timestamp_ms AS timestamp, metric_step AS step,
                run_id, dataset_name, dataset_digest, FALSE AS is_nan
            FROM logged_model_metrics WHERE model_id = $1 ORDER BY metric_name, metric_timestamp_ms, metric_step";
        let metrics = self.rows("logged_model_metrics", sql, &model_id)?;
        let tags =
            "SELECT tag_key AS key, tag_value AS value FROM logged_model_tags WHERE model_id = $1 ORDER BY tag_key";
        let params = "SELECT param_key AS key, param_value AS value FROM logged_model_params WHERE model_id = $1
            ORDER BY param_key";
        Ok(LoggedModel {
            info: ModelInfo {
                experiment_id: row.i64("experiment_id")?.to_string(),
                name: row.text("name")?,
                creation_timestamp_ms: row.opt_i64("creation_timestamp_ms")?.unwrap_or(0),
                artifact_uri: text(row, "artifact_location")?,
                status: match row.opt_i64("status")? {
                    Some(2) => "LOGGED_MODEL_READY",
                    Some(3) => "LOGGED_MODEL_UPLOAD_FAILED",
                    _ => "LOGGED_MODEL_PENDING",
                }
                .to_owned(),
                model_type: row.opt_text("model_type")?,
                source_run_id: filled(row, "source_run_id")?,
                tags: self.pairs("logged_model_tags", tags, &model_id)?,
                model_id: model_id.clone(),
            },
            data: ModelData {
                params: self.pairs("logged_model_params", params, &model_id)?,
                metrics: metrics.iter().map(|row| model_metric(row, &model_id)).collect::<Result<_>>()?,
            },
        })
    }
}

impl Store for Database {
    fn experiments(&mut self) -> Result<Vec<Experiment>> {
        let rows = self.file.query("SELECT * FROM experiments ORDER BY experiment_id", &[])?;
        let tags = "SELECT key, value FROM experiment_tags WHERE experiment_id = CAST($1 AS INTEGER) ORDER BY key";
        let read = |row: &Row| {
            let id = row.i64("experiment_id")?.to_string();
            Ok(Experiment {
                name: row.text("name")?,
                artifact_location: text(row, "artifact_location")?,
                lifecycle_stage: text(row, "lifecycle_stage")?,
                creation_time: row.opt_i64("creation_time").ok().flatten().unwrap_or(0),
                tags: self.pairs("experiment_tags", tags, &id)?,
                experiment_id: id,
            })
        };
        rows.iter().map(read).collect()
    }

    fn run_ids(&mut self, experiment_id: &str) -> Result<Vec<String>> {
        let sql = "SELECT run_uuid FROM runs WHERE experiment_id = CAST($1 AS INTEGER) ORDER BY start_time, run_uuid";
        let rows = self.file.query(sql, &[experiment_id.into()])?;
        rows.iter().map(|row| Ok(row.text("run_uuid")?)).collect()
    }

    fn run(&mut self, _experiment_id: &str, run_id: &str) -> Result<Run> {
        let rows = self.file.query("SELECT * FROM runs WHERE run_uuid = $1", &[run_id.into()])?;
        let info = rows.first().map(run_info).transpose()?.unwrap_or_default();
        let latest = "SELECT key, value, timestamp, step, is_nan FROM latest_metrics WHERE run_uuid = $1 ORDER BY key";
        let metrics = self.rows("latest_metrics", latest, run_id)?;
        let params = "SELECT key, value FROM params WHERE run_uuid = $1 ORDER BY key";
        let tags = "SELECT key, value FROM tags WHERE run_uuid = $1 ORDER BY key";
        Ok(Run {
            info,
            data: RunData {
                metrics: metrics.iter().map(point).collect::<Result<_>>()?,
                params: self.pairs("params", params, run_id)?,
                tags: self.pairs("tags", tags, run_id)?,
            },
            inputs: self.inputs(run_id)?,
            outputs: self.outputs(run_id)?,
        })
    }

    fn history(&mut self, run: &Run, key: &str) -> Result<Vec<Point>> {
        let sql = "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = $1 AND key = $2
            ORDER BY timestamp, step, value";
        let rows = self.file.query(sql, &[(&run.info.run_id).into(), key.into()])?;
        rows.iter().map(point).collect()
    }

    fn logged_models(&mut self, experiment_id: &str) -> Result<Vec<LoggedModel>> {
        let sql = "SELECT * FROM logged_models WHERE experiment_id = CAST($1 AS INTEGER) AND lifecycle_stage = 'active'
            ORDER BY creation_timestamp_ms, model_id";
        self.rows("logged_models", sql, experiment_id)?.iter().map(|row| self.logged_model(row)).collect()
    }

    fn registered_models(&mut self) -> Result<Vec<RegisteredModel>> {
        let tags = "SELECT key, value FROM registered_model_tags WHERE name = $1 ORDER BY key";
        let aliases = "SELECT alias, version FROM registered_model_aliases WHERE name = $1 ORDER BY alias";
        let alias = |row: &Row| Ok(Alias { alias: row.text("alias")?, version: row.i64("version")?.to_string() });
        let read = |row: &Row| {
            let name = row.text("name")?;
            Ok(RegisteredModel {
                creation_timestamp: row.opt_i64("creation_time")?.unwrap_or(0),
                last_updated_timestamp: row.opt_i64("last_updated_time")?.unwrap_or(0),
                description: filled(row, "description")?,
                tags: self.pairs("registered_model_tags", tags, &name)?,
                aliases: self
                    .rows("registered_model_aliases", aliases, &name)?
                    .iter()
                    .map(alias)
                    .collect::<Result<_>>()?,
                name,
            })
        };
        self.file.query("SELECT * FROM registered_models ORDER BY name", &[])?.iter().map(read).collect()
    }

    fn versions(&mut self, name: &str) -> Result<Vec<ModelVersion>> {
        let sql =
            "SELECT * FROM model_versions WHERE name = $1 AND current_stage <> 'Deleted_Internal' ORDER BY version";
        let tags = "SELECT version, key, value FROM model_version_tags WHERE name = $1 ORDER BY key";
        let tags = self.rows("model_version_tags", tags, name)?;
        let read = |row: &Row| {
            let number = row.i64("version")?;
            let own = tags.iter().filter(|tag| tag.i64("version").is_ok_and(|of| of == number));
            let source = text(row, "source")?;
            let model_id = source.strip_prefix("models:/").filter(|id| id.starts_with("m-") && !id.contains('/'));
            Ok(ModelVersion {
                name: name.to_owned(),
                version: number.to_string(),
                creation_timestamp: row.opt_i64("creation_time")?.unwrap_or(0),
                last_updated_timestamp: row.opt_i64("last_updated_time")?.unwrap_or(0),
                current_stage: filled(row, "current_stage")?.unwrap_or_else(|| "None".to_owned()),
                description: filled(row, "description")?,
                run_id: filled(row, "run_id")?,
                run_link: row.opt_text("run_link").ok().flatten().filter(|text| !text.is_empty()),
                model_id: model_id.map(str::to_owned),
                tags: own.map(pair).collect::<Result<_>>()?,
                source,
            })
        };
        self.file.query(sql, &[name.into()])?.iter().map(read).collect()
    }

    fn artifacts(&mut self, location: &str) -> Result<Option<Vec<File>>> {
        // mlruns/EXPERIMENT/RUN/artifacts, or mlruns/EXPERIMENT/models/MODEL/artifacts.
        let parts = if location.contains("/models/m-") { 5 } else { 4 };
        let layout = Layout { parts, levels: parts - 1 };
        local_folder(location, &self.home, layout).map(|folder| walk(&folder)).transpose()
    }
}

fn run_info(row: &Row) -> Result<RunInfo> {
    Ok(RunInfo {
        run_id: row.text("run_uuid")?,
        experiment_id: row.i64("experiment_id")?.to_string(),
        run_name: text(row, "name")?,
        user_id: text(row, "user_id")?,
        status: text(row, "status")?,
        start_time: row.opt_i64("start_time")?.unwrap_or(0),
        end_time: row.opt_i64("end_time")?,
        artifact_uri: text(row, "artifact_uri")?,
        lifecycle_stage: text(row, "lifecycle_stage")?,
    })
}

fn point(row: &Row) -> Result<Point> {
    let value = if row.bool("is_nan")? { f64::NAN } else { row.f64("value")? };
    Ok(Point { key: row.text("key")?, value, timestamp: row.i64("timestamp")?, step: row.i64("step")? })
}

fn model_metric(row: &Row, model_id: &str) -> Result<ModelMetric> {
    let Point { key, value, timestamp, step } = point(row)?;
    let run_id = row.text("run_id")?;
    let (dataset_name, dataset_digest) = (filled(row, "dataset_name")?, filled(row, "dataset_digest")?);
    Ok(ModelMetric { key, value, timestamp, step, model_id: model_id.to_owned(), run_id, dataset_name, dataset_digest })
}

fn pair(row: &Row) -> Result<Pair> {
    Ok(Pair { key: row.text("key")?, value: text(row, "value")? })
}

fn text(row: &Row, column: &str) -> Result<String> {
    Ok(row.opt_text(column)?.unwrap_or_default())
}

fn filled(row: &Row, column: &str) -> Result<Option<String>> {
    Ok(row.opt_text(column)?.filter(|text| !text.is_empty()))
}
