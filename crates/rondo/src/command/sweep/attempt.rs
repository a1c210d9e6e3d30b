//! One trial in the hands of this worker: its process from start to end, and the beats meanwhile.
//!
//! The process runs in a group of its own that cannot outlive the worker: when the worker is killed the process goes too, before the
//! trial is given to somebody else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use pipelines::process::Group;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior};

use super::link::Link;
use super::template::Template;

/// How much of the end of a log is looked at for a reason, bytes.
const TAIL: u64 = 4_096;
/// How much of the last line is told.
const MAX_REASON: usize = 500;

/// What all attempts of a worker share.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) link: Link,
    pub(super) name: String,
    pub(super) template: Template,
    /// Where logs and files of values go.
    pub(super) folder: PathBuf,
    /// How long a process has to end politely.
    pub(super) grace: Duration,
    /// Whether a rule may end trials early, so that beats come quicker.
    pub(super) judges: bool,
    pub(super) token: Option<String>,
    pub(super) workspace: Option<String>,
}

/// A trial that was claimed.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) number: i64,
    pub(super) attempt: i64,
    pub(super) lease: String,
    pub(super) params: BTreeMap<String, String>,
    run_id: String,
    experiment_id: String,
    settings: Value,
    lease_seconds: u64,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ended {
    /// The server has taken it: the trial as it is now.
    Told(Value),
    /// The trial is another's.
    Lost,
    /// It was given back.
    Released,
}

impl Task {
    /// Reads the answer to a claim; `None` if it has no trial.
    pub(super) fn read(answer: &Value, lease: &str) -> Option<Self> {
        let trial = answer["trial"].as_object()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let params = trial.get("params")?.as_object()?;
        Some(Self {
            number: trial.get("number")?.as_i64()?,
            attempt: trial.get("attempt")?.as_i64()?,
            lease: lease.to_owned(),
            params: params.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            run_id: text(trial.get("run_id")?),
            experiment_id: text(&answer["experiment_id"]),
            settings: trial.get("settings")?.clone(),
            lease_seconds: answer["lease_seconds"].as_u64().unwrap_or(60),
        })
    }
}

/// Runs the process of a trial to its end, or until `stop` says that the worker is to leave.
pub(super) async fn run(setting: &Setting, task: &Task, stop: &mut kernel::task::Shutdown) -> anyhow::Result<Ended> {
    let folder = setting.folder.join(task.number.to_string());
    let log = folder.join(format!("attempt-{}.log", task.attempt));
    let started = start(setting, task, &folder, &log);
    let (group, mut child) = match started {
        Ok(started) => started,
        Err(error) => return tell(setting, task, "failed", Some(format!("{error:#}"))).await,
    };
    let halt = watch(setting, task, &mut child, stop).await?;
    match halt {
        Halt::Exited(status) => {
            // What the process has left behind goes with it.
            group.kill().await;
            let reason = (!status.success()).then(|| reason(status, &log));
            tell(setting, task, if status.success() { "finished" } else { "failed" }, reason).await
        }
        Halt::Told => {
            end(group, &mut child, setting.grace).await;
            tell(setting, task, "killed", None).await
        }
        Halt::Lost => {
            group.kill().await;
            Ok(Ended::Lost)
        }
        Halt::Leaving => {
            end(group, &mut child, setting.grace).await;
            // An error here is the server's loss of interest: the lease runs out.
            drop(setting.link.release(task.number, &task.lease).await);
            Ok(Ended::Released)
        }
    }
}

/// Why to stop looking after a process.
enum Halt {
    Exited(ExitStatus),
    Told,
    Lost,
    Leaving,
}

async fn watch(
    setting: &Setting,
    task: &Task,
    child: &mut Child,
    stop: &mut kernel::task::Shutdown,
) -> anyhow::Result<Halt> {
    let third = Duration::from_millis(task.lease_seconds * 1_000 / 3);
    let quick = if setting.judges { Duration::from_secs(1) } else { Duration::from_secs(10) };
    let mut beats = tokio::time::interval_at(Instant::now() + third.min(quick), third.min(quick));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            status = child.wait() => return Ok(Halt::Exited(status?)),
            () = stop.wait() => return Ok(Halt::Leaving),
            _ = beats.tick() => match setting.link.beat(task.number, &task.lease).await {
                Ok(Some(answer)) if answer["stop"].is_string() => return Ok(Halt::Told),
                Ok(_) => {}
                Err(refused) if refused.is_lost => return Ok(Halt::Lost),
                Err(refused) => return Err(refused.into()),
            },
        }
    }
}

fn start(setting: &Setting, task: &Task, folder: &Path, log: &Path) -> anyhow::Result<(Group, Child)> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let values = folder.join("params.json");
    std::fs::write(&values, serde_json::to_vec_pretty(&task.settings)?)
        .with_context(|| format!("{} cannot be written", values.display()))?;
    let output = std::fs::File::create(log).with_context(|| format!("{} cannot be made", log.display()))?;
    let filled = setting.template.fill(&task.params);
    let (program, arguments) = filled.split_first().context("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
    command
        .env("MLFLOW_TRACKING_URI", setting.link.base())
        .env("MLFLOW_RUN_ID", &task.run_id)
        .env("MLFLOW_EXPERIMENT_ID", &task.experiment_id)
        .env_remove("MLFLOW_EXPERIMENT_NAME")
        .env("RONDO_SWEEP", &setting.name)
        .env("RONDO_TRIAL", task.number.to_string())
        .env("RONDO_ATTEMPT", task.attempt.to_string())
        .env("RONDO_PARAMS_FILE", std::path::absolute(&values)?)
        .envs(task.params.iter().map(|(name, value)| (tracking::sweep::environment_name(name), value)));
    if let Some(token) = &setting.token {
        command.env("MLFLOW_TRACKING_TOKEN", token);
    }
    if let Some(workspace) = &setting.workspace {
        command.env("MLFLOW_WORKSPACE", workspace);
    }
    let group = Group::open()?;
    let child = group.spawn(&mut command).with_context(|| format!("`{program}` cannot be started"))?;
    Ok((group, child))
}

/// Ends a process politely, then by force.
async fn end(group: Group, child: &mut Child, grace: Duration) {
    group.terminate();
    drop(tokio::time::timeout(grace, child.wait()).await);
    group.kill().await;
}

async fn tell(setting: &Setting, task: &Task, outcome: &str, error: Option<String>) -> anyhow::Result<Ended> {
    let body = json!({ "lease": task.lease, "outcome": outcome, "error": error });
    match setting.link.end(task.number, &body).await {
        Ok(trial) => Ok(Ended::Told(trial)),
        Err(refused) if refused.is_lost => Ok(Ended::Lost),
        Err(refused) => Err(refused.into()),
    }
}

/// How a process ended, with the last line that it wrote.
fn reason(status: ExitStatus, log: &Path) -> String {
    let how = match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    };
    let last = last_line(log).filter(|line| !line.is_empty());
    last.map_or(how.clone(), |line| format!("{how}: {line}"))
}

fn last_line(log: &Path) -> Option<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', "");
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().take(MAX_REASON).collect())
}
