//! Logged models: a model that a run wrote, with its own params, tags, metrics and artifacts, before anybody registers it.

use std::collections::BTreeSet;

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;

use crate::metric::{self, Metric, in_few_sizes};
use crate::run::{self, ModelOutput};
use crate::{Error, Pair, Stage, check, experiment, names};

/// Whether the files of a logged model are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// They are on their way.
    Pending,
    /// They are there.
    Ready,
    /// They did not arrive.
    UploadFailed,
}

impl Status {
    /// All, with the numbers that the protocol gives them.
    pub const ALL: [(i64, Self); 3] = [(1, Self::Pending), (2, Self::Ready), (3, Self::UploadFailed)];

    /// As stored and as searched for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Ready => "READY",
            Self::UploadFailed => "UPLOAD_FAILED",
        }
    }
}

/// A logged model.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedModel {
    /// `m-` and 32 hexadecimal digits.
    pub model_id: String,
    /// The experiment.
    pub experiment_id: String,
    /// For people.
    pub name: String,
    /// Where its files lie.
    pub artifact_location: String,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Milliseconds since the epoch.
    pub updated_ms: i64,
    /// Whether its files are there.
    pub status: Status,
    /// Why not.
    pub status_message: Option<String>,
    /// Whether it is deleted.
    pub stage: Stage,
    /// What the client calls its kind.
    pub model_type: Option<String>,
    /// The run that wrote it.
    pub source_run_id: Option<String>,
    /// By key.
    pub params: Vec<Pair>,
    /// By key.
    pub tags: Vec<Pair>,
    /// Every point that was logged about it.
    pub metrics: Vec<Metric>,
}

/// What is to become a logged model.
#[derive(Clone, Debug, Default)]
pub struct NewModel {
    /// The experiment.
    pub experiment_id: String,
    /// Its name; otherwise one is made up.
    pub name: Option<String>,
    /// What the client calls its kind.
    pub model_type: Option<String>,
    /// The run that writes it.
    pub source_run_id: Option<String>,
    /// Params to begin with.
    pub params: Vec<Pair>,
    /// Tags to begin with.
    pub tags: Vec<Pair>,
}

pub(crate) const COLUMNS: &str = "SELECT l.model_id, l.experiment_id, l.name, l.artifact_location, l.created_ms,
    l.updated_ms, l.status, l.status_message, l.lifecycle_stage, l.model_type, l.source_run_id
    FROM logged_models l WHERE l.workspace = ";

/// Creates a logged model whose files are on their way.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, new: NewModel) -> Result<LoggedModel, Error> {
    create_as(tx, ctx, format!("m-{}", kernel::id::random_hex()), new)
}

/// The same under an id that is free.
pub(crate) fn create_as(tx: &mut Tx<'_>, ctx: &Ctx, model_id: String, new: NewModel) -> Result<LoggedModel, Error> {
    new.name.as_deref().map_or(Ok(()), check::model_name)?;
    let (experiment, location) = experiment::active(tx, ctx, &new.experiment_id)?;
    let location = experiment::artifact_uri(&location, &["models", &model_id, "artifacts"]);
    tx.execute(
        "INSERT INTO logged_models (model_id, workspace, experiment_id, name, artifact_location, created_ms,
            updated_ms, status, lifecycle_stage, model_type, source_run_id)
         VALUES ($1, $2, $3, $4, $5, $6, $6, 'PENDING', 'active', $7, $8)",
        &[
            (&model_id).into(),
            (&ctx.workspace).into(),
            experiment.into(),
            new.name.unwrap_or_else(names::random).into(),
            location.into(),
            ctx.now_ms().into(),
            new.model_type.into(),
            new.source_run_id.into(),
        ],
    )?;
    log_params(tx, ctx, &model_id, &new.params)?;
    set_tags(tx, ctx, &model_id, &new.tags)?;
    get(tx, ctx, &model_id, false)
}

/// A logged model; a deleted one only if asked for.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, model_id: &str, allow_deleted: bool) -> Result<LoggedModel, Error> {
    let mut sql = Sql::new();
    sql.push(COLUMNS).bind(&ctx.workspace).push(" AND l.model_id = ").bind(model_id);
    let model = tx.query_built(&sql)?.first().map(read).transpose()?;
    let model = model.filter(|model| allow_deleted || model.stage == Stage::Active);
    fill(tx, model.into_iter().collect())?.pop().ok_or_else(|| missing(model_id))
}

/// Says whether the files arrived.
pub fn finalize(tx: &mut Tx<'_>, ctx: &Ctx, model_id: &str, status: Status) -> Result<LoggedModel, Error> {
    tx.execute(
        "UPDATE logged_models SET status = $3, updated_ms = $4 WHERE workspace = $1 AND model_id = $2",
        &[(&ctx.workspace).into(), model_id.into(), status.as_str().into(), ctx.now_ms().into()],
    )?;
    get(tx, ctx, model_id, true)
}

/// Puts a logged model into the bin.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, model_id: &str) -> Result<(), Error> {
    let changed = tx.execute(
        "UPDATE logged_models SET lifecycle_stage = 'deleted', updated_ms = $3
         WHERE workspace = $1 AND model_id = $2",
        &[(&ctx.workspace).into(), model_id.into(), ctx.now_ms().into()],
    )?;
    if changed == 0 { Err(missing(model_id)) } else { Ok(()) }
}

/// Sets tags; of several with one key the last counts.
pub fn set_tags(tx: &mut Tx<'_>, ctx: &Ctx, model_id: &str, tags: &[Pair]) -> Result<(), Error> {
    require(tx, ctx, model_id)?;
    for tag in tags {
        tx.execute(
            "INSERT INTO logged_model_tags (model_id, key, value) VALUES ($1, $2, $3)
             ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
            &[model_id.into(), (&tag.key).into(), (&tag.value).into()],
        )?;
    }
    Ok(())
}

/// Deletes a tag; one that is not there is an error.
pub fn delete_tag(tx: &mut Tx<'_>, ctx: &Ctx, model_id: &str, key: &str) -> Result<(), Error> {
    require(tx, ctx, model_id)?;
    let deleted =
        tx.execute("DELETE FROM logged_model_tags WHERE model_id = $1 AND key = $2", &[model_id.into(), key.into()])?;
    if deleted == 0 {
        return Err(Error::not_found(format!("No tag with key '{key}' found for model with ID '{model_id}'.")));
    }
    Ok(())
}

/// The tag that lists the registered versions of a logged model.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

/// Notes in the tag that clients read that the model was registered.
pub fn note_version(tx: &mut Tx<'_>, ctx: &Ctx, model_id: &str, name: &str, version: i64) -> Result<(), Error> {
    let row = tx.query_opt(
        "SELECT value FROM logged_model_tags WHERE model_id = $1 AND key = $2",
        &[model_id.into(), VERSIONS_TAG.into()],
    )?;
    let before = row.map(|row| row.text("value")).transpose()?.unwrap_or_default();
    let mut versions: Vec<serde_json::Value> = serde_json::from_str(&before).unwrap_or_default();
    let version = serde_json::json!({ "name": name, "version": version });
    if !versions.contains(&version) {
        versions.push(version);
    }
    set_tags(tx, ctx, model_id, &[Pair::new(VERSIONS_TAG, serde_json::Value::Array(versions).to_string())])
}

/// Adds params; like those of runs they are written once.
pub fn log_params(tx: &mut Tx<'_>, ctx: &Ctx, model_id: &str, params: &[Pair]) -> Result<(), Error> {
    require(tx, ctx, model_id)?;
    for param in params {
        tx.execute(
            "INSERT INTO logged_model_params (model_id, key, value) VALUES ($1, $2, $3)
             ON CONFLICT (model_id, key) DO NOTHING",
            &[model_id.into(), (&param.key).into(), (&param.value).into()],
        )?;
        let row = tx.query_opt(
            "SELECT value FROM logged_model_params WHERE model_id = $1 AND key = $2",
            &[model_id.into(), (&param.key).into()],
        )?;
        if let Some(old) = row.map(|row| row.text("value")).transpose()?
            && old != param.value
        {
            let message = format!(
                "Changing param values is not allowed. Param with key='{}' was already logged with value='{old}' for \
                 model ID='{model_id}'. Attempted logging new value '{}'.",
                param.key, param.value
            );
            return Err(Error::invalid("params", message));
        }
    }
    Ok(())
}

/// Says that a run wrote models.
pub fn log_outputs(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, models: &[ModelOutput]) -> Result<(), Error> {
    run::active(tx, ctx, run_id)?;
    models.iter().try_for_each(|output| link(tx, run_id, &output.model_id, "output", output.step))
}

/// Says that a run, which was checked, read a model.
pub(crate) fn link_input(tx: &mut Tx<'_>, run_id: &str, model_id: &str) -> Result<(), Error> {
    link(tx, run_id, model_id, "input", 0)
}

fn link(tx: &mut Tx<'_>, run_id: &str, model_id: &str, direction: &'static str, step: i64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO run_models (run_id, model_id, direction, step) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        &[run_id.into(), model_id.into(), direction.into(), step.into()],
    )?;
    Ok(())
}

/// Writes those points of a run that are about a logged model.
pub(crate) fn put_metrics(tx: &mut Tx<'_>, run_id: &str, metrics: &[Metric]) -> Result<(), Error> {
    let about: Vec<(&str, &Metric)> =
        metrics.iter().filter_map(|metric| Some((metric.model_id.as_deref()?, metric))).collect();
    let mut known = BTreeSet::new();
    for (model_id, _) in &about {
        if known.insert(*model_id) {
            is_of_same_workspace(tx, model_id, run_id)?;
        }
    }
    for chunk in in_few_sizes(&about) {
        let mut sql = Sql::new();
        let mut lead = "INSERT INTO logged_model_metrics (model_id, key, timestamp_ms, step, value, is_nan, run_id,
            dataset_name, dataset_digest) VALUES (";
        for (model_id, metric) in chunk {
            let (value, is_nan) = metric::stored(metric.value);
            let (name, digest) = metric.dataset.as_ref().map_or(("", ""), |(name, digest)| (name, digest));
            sql.push(lead).bind(*model_id).push(", ").bind(&metric.key).push(", ").bind(metric.timestamp_ms);
            sql.push(", ").bind(metric.step).push(", ").bind(value).push(", ").bind(is_nan).push(", ").bind(run_id);
            sql.push(", ").bind(name).push(", ").bind(digest).push(")");
            lead = ", (";
        }
        tx.execute_built(sql.push(" ON CONFLICT DO NOTHING"))?;
    }
    Ok(())
}

/// Models with their params, tags and metrics, in the given order.
pub(crate) fn fill(tx: &mut Tx<'_>, mut models: Vec<LoggedModel>) -> Result<Vec<LoggedModel>, Error> {
    for model in &mut models {
        let id = [(&model.model_id).into()];
        let params = tx.query("SELECT key, value FROM logged_model_params WHERE model_id = $1 ORDER BY key", &id)?;
        model.params = params.iter().map(pair).collect::<Result<_, Error>>()?;
        let tags = tx.query("SELECT key, value FROM logged_model_tags WHERE model_id = $1 ORDER BY key", &id)?;
        model.tags = tags.iter().map(pair).collect::<Result<_, Error>>()?;
        let metrics = tx.query(
            "SELECT key, value, is_nan, timestamp_ms, step, run_id, model_id, dataset_name, dataset_digest
             FROM logged_model_metrics WHERE model_id = $1 ORDER BY key, timestamp_ms, step, value",
            &id,
        )?;
        model.metrics = metrics.iter().map(read_metric).collect::<Result<_, Error>>()?;
    }
    Ok(models)
}

/// A row with [`COLUMNS`].
pub(crate) fn read(row: &Row) -> Result<LoggedModel, Error> {
    let status = row.str("status")?;
    let known = Status::ALL.into_iter().map(|(_, known)| known).find(|known| known.as_str() == status);
    Ok(LoggedModel {
        model_id: row.text("model_id")?,
        experiment_id: row.i64("experiment_id")?.to_string(),
        name: row.text("name")?,
        artifact_location: row.text("artifact_location")?,
        created_ms: row.i64("created_ms")?,
        updated_ms: row.i64("updated_ms")?,
        status: known.ok_or_else(|| db::Error::corrupt("status", status))?,
        status_message: row.opt_text("status_message")?,
        stage: Stage::read(row)?,
        model_type: row.opt_text("model_type")?,
        source_run_id: row.opt_text("source_run_id")?,
        params: Vec::new(),
        tags: Vec::new(),
        metrics: Vec::new(),
    })
}

fn read_metric(row: &Row) -> Result<Metric, Error> {
    let (name, digest) = (row.text("dataset_name")?, row.text("dataset_digest")?);
    Ok(Metric {
        model_id: Some(row.text("model_id")?),
        dataset: (!name.is_empty()).then_some((name, digest)),
        run_id: Some(row.text("run_id")?),
        ..metric::read(row)?
    })
}

fn pair(row: &Row) -> Result<Pair, Error> {
    Ok(Pair { key: row.text("key")?, value: row.text("value")? })
}

fn require(tx: &mut Tx<'_>, ctx: &Ctx, model_id: &str) -> Result<(), Error> {
    let row = tx.query_opt(
        "SELECT 1 AS there FROM logged_models WHERE workspace = $1 AND model_id = $2",
        &[(&ctx.workspace).into(), model_id.into()],
    )?;
    row.map(|_| ()).ok_or_else(|| missing(model_id))
}

/// An error if there is no such model in the workspace of a run.
fn is_of_same_workspace(tx: &mut Tx<'_>, model_id: &str, run_id: &str) -> Result<(), Error> {
    let row = tx.query_opt(
        "SELECT 1 AS there FROM logged_models m JOIN runs r ON r.workspace = m.workspace
         WHERE m.model_id = $1 AND r.run_id = $2",
        &[model_id.into(), run_id.into()],
    )?;
    row.map(|_| ()).ok_or_else(|| missing(model_id))
}

fn missing(model_id: &str) -> Error {
    Error::not_found(format!("Logged model with ID '{model_id}' not found."))
}
