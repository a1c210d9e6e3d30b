//! Runs: one execution of somebody's code, and what it logged.

mod details;

use db::{Row, Tx, Value};
use kernel::ctx::Ctx;

use crate::dataset::DatasetInput;
use crate::metric::{self, Metric};
use crate::{Error, Pair, Stage, check, experiment, names, tag};

pub(crate) use details::{fill, of_runs as fill_rows};

/// The tag that holds a run's name.
pub const NAME_TAG: &str = "mlflow.runName";

/// How a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It runs.
    Running,
    /// It is to run later.
    Scheduled,
    /// It ended well.
    Finished,
    /// It ended badly.
    Failed,
    /// It was ended.
    Killed,
}

impl Status {
    /// All, with the numbers that the protocol gives them.
    pub const ALL: [(i64, Self); 5] =
        [(1, Self::Running), (2, Self::Scheduled), (3, Self::Finished), (4, Self::Failed), (5, Self::Killed)];

    /// As stored and as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// The status of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().map(|(_, status)| status).find(|status| status.as_str() == name)
    }
}

/// What is to become a run.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    /// The experiment.
    pub experiment_id: String,
    /// Who runs it.
    pub user_id: String,
    /// Its name; otherwise that of the tag `mlflow.runName`, otherwise one is made up.
    pub run_name: String,
    /// Milliseconds since the epoch, as the client says.
    pub start_ms: i64,
    /// Tags to begin with.
    pub tags: Vec<Pair>,
}

/// What a run is, without what it logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// 32 hexadecimal digits.
    pub run_id: String,
    /// The experiment.
    pub experiment_id: String,
    /// For people.
    pub run_name: String,
    /// Who ran it.
    pub user_id: String,
    /// How it goes.
    pub status: Status,
    /// Milliseconds since the epoch.
    pub start_ms: i64,
    /// Milliseconds since the epoch.
    pub end_ms: Option<i64>,
    /// Where its artifacts lie.
    pub artifact_uri: String,
    /// Whether it is deleted.
    pub stage: Stage,
}

/// A model that a run wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelOutput {
    /// The logged model.
    pub model_id: String,
    /// The step at which it was written.
    pub step: i64,
}

/// A run with everything it logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What it is.
    pub info: RunInfo,
    /// By key.
    pub params: Vec<Pair>,
    /// The latest point of each metric, by key.
    pub metrics: Vec<Metric>,
    /// By key.
    pub tags: Vec<Pair>,
    /// The datasets it read, in the order in which they were logged.
    pub datasets: Vec<DatasetInput>,
    /// The logged models it read.
    pub model_inputs: Vec<String>,
    /// The logged models it wrote.
    pub model_outputs: Vec<ModelOutput>,
}

/// What changes on a run; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// How it goes.
    pub status: Option<Status>,
    /// Milliseconds since the epoch.
    pub end_ms: Option<i64>,
    /// Its name; an empty one stays.
    pub run_name: Option<String>,
}

/// Starts a run in an experiment that is not deleted.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, new: NewRun) -> Result<Run, Error> {
    create_as(tx, ctx, kernel::id::random_hex(), new)
}

/// The same under an id that is free.
pub(crate) fn create_as(tx: &mut Tx<'_>, ctx: &Ctx, run_id: String, new: NewRun) -> Result<Run, Error> {
    let (experiment, location) = experiment::active(tx, ctx, &new.experiment_id)?;
    let mut tags = Vec::with_capacity(new.tags.len() + 1);
    for (index, given) in new.tags.into_iter().enumerate() {
        tags.push(check::tag(given, |field| format!("tags[{index}].{field}"))?);
    }
    let run_name = settle_name(new.run_name, &mut tags)?;
    let artifact_uri = experiment::artifact_uri(&location, &[&run_id, "artifacts"]);
    tx.execute(
        "INSERT INTO runs
            (run_id, workspace, experiment_id, name, user_id, status, start_ms, artifact_uri, lifecycle_stage)
         VALUES ($1, $2, $3, $4, $5, 'RUNNING', $6, $7, 'active')",
        &[
            (&run_id).into(),
            (&ctx.workspace).into(),
            experiment.into(),
            run_name.into(),
            new.user_id.into(),
            new.start_ms.into(),
            artifact_uri.into(),
        ],
    )?;
    for given in &tags {
        tag::put(tx, &run_id, given)?;
    }
    get(tx, ctx, &run_id)
}

/// A run with everything it logged, deleted or not.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<Run, Error> {
    let info = info(tx, ctx, run_id)?;
    fill(tx, vec![info])?.pop().ok_or_else(|| missing(run_id))
}

/// What a run is, deleted or not.
pub fn info(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<RunInfo, Error> {
    let row = tx.query_opt(
        "SELECT run_id, experiment_id, name, user_id, status, start_ms, end_ms, artifact_uri, lifecycle_stage
         FROM runs WHERE run_id = $1 AND workspace = $2",
        &[run_id.into(), (&ctx.workspace).into()],
    )?;
    read_info(&row.ok_or_else(|| missing(run_id))?)
}

/// Changes a run that is not deleted.
pub fn update(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, change: Change) -> Result<RunInfo, Error> {
    active(tx, ctx, run_id)?;
    if let Some(status) = change.status {
        tx.execute("UPDATE runs SET status = $2 WHERE run_id = $1", &[run_id.into(), status.as_str().into()])?;
        metric::settle(tx, run_id)?;
    }
    if let Some(end_ms) = change.end_ms {
        tx.execute("UPDATE runs SET end_ms = $2 WHERE run_id = $1", &[run_id.into(), end_ms.into()])?;
    }
    if let Some(name) = change.run_name.filter(|name| !name.is_empty()) {
        tag::put(tx, run_id, &check::tag(Pair::new(NAME_TAG, name), str::to_owned)?)?;
    }
    info(tx, ctx, run_id)
}

/// Puts a run into another experiment. Its artifacts stay where they are.
pub fn put_into(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, experiment_id: &str) -> Result<RunInfo, Error> {
    active(tx, ctx, run_id)?;
    let (experiment, _) = experiment::active(tx, ctx, experiment_id)?;
    for statement in [
        "UPDATE runs SET experiment_id = $2 WHERE run_id = $1",
        "UPDATE metric_series SET experiment_id = $2 WHERE run_id = $1",
    ] {
        tx.execute(statement, &[run_id.into(), experiment.into()])?;
    }
    info(tx, ctx, run_id)
}

/// Puts a run into the bin.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<(), Error> {
    set_stage(tx, ctx, run_id, Stage::Deleted, Some(ctx.now_ms()))
}

/// Takes a run out of the bin.
pub fn restore(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<(), Error> {
    set_stage(tx, ctx, run_id, Stage::Active, None)
}

/// The experiment of a run that takes changes.
pub(crate) fn active(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<i64, Error> {
    let row = tx.query_opt(
        "SELECT experiment_id, lifecycle_stage FROM runs WHERE run_id = $1 AND workspace = $2",
        &[run_id.into(), (&ctx.workspace).into()],
    )?;
    let row = row.ok_or_else(|| missing(run_id))?;
    match Stage::read(&row)? {
        Stage::Active => Ok(row.i64("experiment_id")?),
        Stage::Deleted => Err(Error::Deleted { what: "run", id: run_id.to_owned() }),
    }
}

/// A run's row, with the columns of [`info`].
pub(crate) fn read_info(row: &Row) -> Result<RunInfo, Error> {
    let status = row.str("status")?;
    Ok(RunInfo {
        run_id: row.text("run_id")?,
        experiment_id: row.i64("experiment_id")?.to_string(),
        run_name: row.text("name")?,
        user_id: row.text("user_id")?,
        status: Status::parse(status).ok_or_else(|| db::Error::corrupt("status", status))?,
        start_ms: row.i64("start_ms")?,
        end_ms: row.opt_i64("end_ms")?,
        artifact_uri: row.text("artifact_uri")?,
        stage: Stage::read(row)?,
    })
}

fn set_stage(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, stage: Stage, deleted: Option<i64>) -> Result<(), Error> {
    let changed = tx.execute(
        "UPDATE runs SET lifecycle_stage = $3, deleted_ms = $4 WHERE run_id = $1 AND workspace = $2",
        &[run_id.into(), (&ctx.workspace).into(), stage.as_str().into(), Value::from(deleted)],
    )?;
    if changed == 0 { Err(missing(run_id)) } else { Ok(()) }
}

/// The name of a new run: given, tagged or made up. The tag is there afterwards.
fn settle_name(given: String, tags: &mut Vec<Pair>) -> Result<String, Error> {
    let tagged = tags.iter().find(|tag| tag.key == NAME_TAG).map(|tag| tag.value.clone());
    let tagged = tagged.filter(|name| !name.is_empty());
    let name = match (given.is_empty(), tagged) {
        (false, Some(tagged)) if tagged != given => {
            let message = format!(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values \
                 (run_name='{given}', mlflow.runName='{tagged}')."
            );
            return Err(Error::invalid("run_name", message));
        }
        (false, _) => check::truncated(given, check::MAX_TAG_VALUE),
        (true, Some(tagged)) => tagged,
        (true, None) => names::random(),
    };
    tags.retain(|tag| tag.key != NAME_TAG);
    tags.push(Pair::new(NAME_TAG, &name));
    Ok(name)
}

fn missing(run_id: &str) -> Error {
    Error::not_found(format!("Run with id={run_id} not found"))
}
