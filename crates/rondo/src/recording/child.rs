//! The command: started with MLflow's variables, its output copied, our signals handed on.
//!
//! It runs in a process group that dies with us, however we die, so that a resumed run never competes with its own first attempt.
//! On a terminal it stays in our group instead: there the keyboard's signals reach it without us, and job control works.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use pipelines::process::{Group, Signal};
use record::spool::About;
use rustix::process::{Pid, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

use super::{Options, Output, Sender, console};
use crate::term::hinted;

/// How long output may go on after the command has ended, written by what it left behind.
const TRAILING: Duration = Duration::from_secs(2);

/// A command that runs.
pub(super) struct Child {
    process: tokio::process::Child,
    pid: u32,
    group: Option<Group>,
    signals: Vec<(Signal, Listener)>,
    output: tokio::sync::mpsc::Receiver<()>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// The exit code to pass on.
    pub(super) code: u8,
    /// FINISHED, FAILED or KILLED.
    pub(super) status: &'static str,
}

/// All variables of the command but those that lead to the relay.
pub(super) fn variables(options: &Options, about: &About) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    for (name, value) in &options.variables {
        if value.is_empty() {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    all.insert("RONDO_SEED".to_owned(), about.seed.clone());
    // Python's own randomness: the order of sets of text. `random` is what it does without being asked.
    let random = all.get("PYTHONHASHSEED").is_none_or(|value| value.is_empty() || value == "random");
    if random && options.caller.is_none() {
        let hash_seed = about.seed.parse::<u32>().unwrap_or(0);
        all.insert("PYTHONHASHSEED".to_owned(), hash_seed.to_string());
    }
    all
}

/// Fails when there is no such program, before anything is recorded.
pub(super) fn check_program(argv: &[String], directory: &Path) -> anyhow::Result<()> {
    let Some(name) = argv.first() else { return Ok(()) };
    let place = if name.contains('/') { directory.join(name).to_string_lossy().into_owned() } else { name.clone() };
    match record::program::find(&place) {
        Some(_) => Ok(()),
        None => Err(hinted(format!("there is no program `{name}`"), "check its name, and whether it may be executed")),
    }
}

/// Starts the command.
pub(super) fn start(
    options: &Options,
    about: &About,
    relay_url: &str,
    sender: &Sender,
    log: &Path,
) -> anyhow::Result<Child> {
    let (program, arguments) = about.argv.split_first().context("a command")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&about.directory).env_clear().envs(variables(options, about));
    command.env("MLFLOW_TRACKING_URI", relay_url).env("MLFLOW_RUN_ID", &about.run_id);
    command.env_remove("MLFLOW_EXPERIMENT_NAME").env_remove("MLFLOW_EXPERIMENT_ID").env_remove("MLFLOW_REGISTRY_URI");
    // Without one, `mlflow` takes the experiment of the run; with one it would hold the command to it.
    if let Some(target) = about.target.as_ref().filter(|_| options.experiment.is_some()) {
        command.env("MLFLOW_EXPERIMENT_ID", &target.experiment_id);
    }
    if let Some(workspace) = &about.workspace {
        command.env("MLFLOW_WORKSPACE", workspace);
    }
    // We measure it ourselves.
    command.env("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false");
    // Its links would lead to the relay, which ends with the run; we print one that lasts.
    command.env("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true");
    command.env("PYTHONUNBUFFERED", "1");
    command.env("RONDO_RUN_ID", &about.run_id).env("RONDO_ATTEMPT", about.attempt.to_string());
    command.env("RONDO_RUN_SPOOL", sender.spool().dir());
    let (out, out_end) = std::io::pipe()?;
    let (err, err_end) = std::io::pipe()?;
    command.stdout(out_end).stderr(err_end);
    let group = if std::io::stdin().is_terminal() { None } else { Some(Group::open()?) };
    let signals = listen()?;
    let child = match &group {
        Some(group) => group.spawn(&mut command),
        None => command.spawn(),
    };
    let child = child.with_context(|| format!("`{program}` cannot be started"))?;
    // The writing ends of the pipes are the command's alone.
    drop(command);
    let pid = child.id().context("the command ended at once")?;
    let file = console::open(log)?;
    let (done, output) = tokio::sync::mpsc::channel(1);
    let copies = [
        Box::new({
            let file = file.clone();
            let aside = options.output == Output::Stderr;
            move || {
                if aside {
                    console::copy(out, std::io::stderr(), &file);
                } else {
                    console::copy(out, std::io::stdout(), &file);
                }
            }
        }) as Box<dyn FnOnce() + Send>,
        Box::new(move || console::copy(err, std::io::stderr(), &file)),
    ];
    for copy in copies {
        let done = done.clone();
        std::thread::spawn(move || {
            copy();
            drop(done);
        });
    }
    Ok(Child { process: child, pid, group, signals, output })
}

fn listen() -> anyhow::Result<Vec<(Signal, Listener)>> {
    let known = [
        (Signal::INT, SignalKind::interrupt()),
        (Signal::TERM, SignalKind::terminate()),
        (Signal::HUP, SignalKind::hangup()),
        (Signal::QUIT, SignalKind::quit()),
        (Signal::USR1, SignalKind::user_defined1()),
        (Signal::USR2, SignalKind::user_defined2()),
    ];
    known.into_iter().map(|(number, kind)| Ok((number, signal(kind)?))).collect()
}

impl Child {
    /// The number of its process.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, handing on the signals that we get.
    pub(super) async fn wait(mut self) -> anyhow::Result<Ended> {
        let mut asked = false;
        let status = loop {
            tokio::select! {
                status = self.process.wait() => break status?,
                signal = next(&mut self.signals) => {
                    asked |= !matches!(signal, Signal::USR1 | Signal::USR2);
                    self.hand_on(signal);
                }
            }
        };
        // Both ends of the output, or what is left behind keeps writing and is not waited for.
        let _ = tokio::time::timeout(TRAILING, self.output.recv()).await;
        if let Some(group) = self.group.take() {
            group.kill().await;
        }
        Ok(ended(status, asked))
    }

    fn hand_on(&self, signal: Signal) {
        let own = || i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        match (&self.group, signal) {
            (Some(group), Signal::INT | Signal::TERM | Signal::HUP | Signal::QUIT) => group.signal(signal),
            // The terminal has sent these to everyone in our group.
            (None, Signal::INT | Signal::QUIT) => {}
            _ => {
                if let Some(pid) = own() {
                    let _ = kill_process(pid, signal);
                }
            }
        }
    }
}

async fn next(signals: &mut [(Signal, Listener)]) -> Signal {
    let waiting = signals.iter_mut().map(|(number, listener)| {
        Box::pin(async move {
            listener.recv().await;
            *number
        })
    });
    futures_util::future::select_all(waiting).await.0
}

fn ended(status: ExitStatus, asked: bool) -> Ended {
    use std::os::unix::process::ExitStatusExt as _;
    let number = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    let code = u8::try_from(number).unwrap_or(1);
    let status = match (code, status.signal().is_some() || asked) {
        (0, _) => "FINISHED",
        (_, true) => "KILLED",
        (_, false) => "FAILED",
    };
    Ended { code, status }
}
