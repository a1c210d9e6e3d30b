//! `rondo sweep work`: takes trials and runs a command for each, several at a time, until the sweep is over.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use kernel::task::Shutdown;
use serde_json::Value;

use super::attempt::{self, Ended, Setting, Task};
use super::board::Board;
use super::link::Link;
use super::template::Template;
use crate::cli::Work;
use crate::command::Session;
use crate::term::hinted;

/// How often a slot without work asks again.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the line about the whole is brought up to date.
const REFRESH: Duration = Duration::from_secs(2);

/// What the slots of a worker share.
struct Worker {
    setting: Setting,
    board: Board,
    /// Who works, for people.
    identity: String,
    /// Trials that failed one after the other.
    failures: Cell<u32>,
    max_failures: u32,
}

pub(super) async fn run(session: &Session, work: &Work) -> anyhow::Result<()> {
    let link = Link::new(session.client.clone(), &work.name);
    let sweep = link.sweep_soon().await?;
    let space = sweep["definition"]["space"].as_object().context("the server's answer has no space")?;
    let params: Vec<&str> = space.keys().map(String::as_str).collect();
    let template = Template::new(&work.command, &params)?;
    let folder = work.logs.clone().unwrap_or_else(|| PathBuf::from(".rondo/sweeps").join(&work.name));
    let worker = Worker {
        setting: Setting {
            link,
            name: work.name.clone(),
            template,
            folder,
            grace: Duration::from_secs(work.grace),
            judges: sweep["definition"]["stopping"]["rule"] != "none",
            token: session.client.token().map(str::to_owned),
            workspace: session.client.workspace().map(str::to_owned),
        },
        board: Board::new(session.json, work.parallel as usize),
        identity: this_process(),
        failures: Cell::new(0),
        max_failures: work.max_failures,
    };
    worker.board.whole(&sweep);
    let (stopper, stop) = kernel::task::shutdown();
    let slots = join_all((0..work.parallel as usize).map(|slot| worker.slot(slot, stop.clone())));
    let ended = tokio::select! {
        ended = finish_or_stop(slots, &stopper) => ended,
        () = worker.refresh() => Vec::new(),
    };
    ended.into_iter().collect::<anyhow::Result<()>>()?;
    worker.board.closes(&worker.setting.link.sweep_soon().await?);
    if worker.gives_up() {
        let logs = worker.setting.folder.display();
        return Err(hinted(
            format!("the last {} trials failed one after the other", worker.failures.get()),
            format!("read the logs in {logs}; --max-failures says how many are too many"),
        ));
    }
    Ok(())
}

/// Waits for all slots; on a signal asks them to leave first.
async fn finish_or_stop<T>(slots: impl Future<Output = T>, stopper: &kernel::task::Stopper) -> T {
    let mut slots = std::pin::pin!(slots);
    tokio::select! {
        ended = &mut slots => ended,
        () = signal() => {
            stopper.stop();
            slots.await
        }
    }
}

async fn signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

impl Worker {
    async fn slot(&self, slot: usize, mut stop: Shutdown) -> anyhow::Result<()> {
        loop {
            if self.gives_up() {
                return Ok(());
            }
            let lease = kernel::id::random_hex();
            let claimed = tokio::select! {
                claimed = self.setting.link.claim(&self.identity, &lease) => claimed?,
                () = stop.wait() => return Ok(()),
            };
            let Some(task) = Task::read(&claimed, &lease) else {
                if claimed["over"] == true {
                    return Ok(());
                }
                self.board.waits(slot);
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => continue,
                    () = stop.wait() => return Ok(()),
                }
            };
            self.board.begins(slot, &task);
            let ended = attempt::run(&self.setting, &task, &mut stop).await?;
            if self.took(&task, &ended) {
                return Ok(());
            }
        }
    }

    /// Shows how an attempt ended; true if the slot is to leave.
    fn took(&self, task: &Task, ended: &Ended) -> bool {
        match ended {
            Ended::Told(trial) => {
                let failed = trial["state"] == "failed";
                self.failures.set(if failed { self.failures.get() + 1 } else { 0 });
                self.board.ended(task, trial);
                false
            }
            Ended::Lost => {
                self.board.left(task, "lost");
                false
            }
            Ended::Released => {
                self.board.left(task, "released");
                true
            }
        }
    }

    fn gives_up(&self) -> bool {
        self.failures.get() >= self.max_failures
    }

    /// Keeps the line about the whole up to date; never ends.
    async fn refresh(&self) {
        loop {
            tokio::time::sleep(REFRESH).await;
            if let Ok(sweep) = self.setting.link.sweep().await {
                self.board.whole(&sweep);
            }
        }
    }
}

/// Who works, for people: host and process.
fn this_process() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let host = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    format!("{}:{}", host.as_deref().unwrap_or("localhost"), std::process::id())
}

/// Values of a listing that a worker and `show` share.
pub(super) fn trial_cells(trial: &Value) -> Vec<String> {
    use crate::command::show::{cell, time};
    let value = match &trial["error"] {
        Value::String(error) => error.clone(),
        _ => cell(&trial["value"]),
    };
    vec![
        cell(&trial["number"]),
        cell(&trial["state"]),
        value,
        cell(&trial["step"]),
        cell(&trial["params"]),
        cell(&trial["attempt"]),
        cell(&trial["worker"]),
        time(&trial["ended_us"]),
    ]
}
