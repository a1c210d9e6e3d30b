//! The executor works off pending runs: it takes one after the other, drives the steps of several at a time, and picks up
//! where a server left off that died.
//!
//! After a crash the processes of every step that was marked running are ended before the step waits again; that costs the
//! step no failure. A polite shutdown does the same with its own steps.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use db::Db;
use kernel::clock::Clock;
use kernel::task::Shutdown;
use tokio::sync::{Notify, Semaphore};

use crate::run::{self, Run};
use crate::{Error, process, step};

mod attempt;
mod drive;
mod environment;

/// How the executor works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the logs of steps are kept.
    pub logs_dir: PathBuf,
    /// How long a step has to end after it was asked to, before it is made to.
    pub grace: Duration,
    /// How many runs are under way at a time; those of one pipeline go one after the other in any case.
    pub max_runs: usize,
    /// How many steps run at a time, over all runs.
    pub max_steps: usize,
    /// How often it looks for runs nobody told it of, and for wishes to cancel.
    pub poll: Duration,
    /// The address of this server, given to steps as `RONDO_URL` and `MLFLOW_TRACKING_URI`.
    pub base_url: String,
    /// More variables for every step.
    pub env: BTreeMap<String, String>,
    /// More variables for the steps of a workspace, as the token with which they may call this server.
    pub workspace_env: WorkspaceEnv,
}

/// The variables that the steps of a workspace find, by its name.
#[derive(Clone, Default)]
pub struct WorkspaceEnv(Option<Arc<EnvOf>>);

type EnvOf = dyn Fn(&str) -> BTreeMap<String, String> + Send + Sync;

impl WorkspaceEnv {
    /// What this function says of a workspace.
    pub fn new(of: impl Fn(&str) -> BTreeMap<String, String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(of)))
    }

    pub(crate) fn of(&self, workspace: &str) -> BTreeMap<String, String> {
        self.0.as_ref().map(|of| of(workspace)).unwrap_or_default()
    }
}

impl std::fmt::Debug for WorkspaceEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkspaceEnv(..)")
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            logs_dir: PathBuf::from("pipeline-logs"),
            grace: Duration::from_secs(10),
            max_runs: 4,
            max_steps: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            poll: Duration::from_millis(250),
            base_url: String::new(),
            env: BTreeMap::new(),
            workspace_env: WorkspaceEnv::default(),
        }
    }
}

/// Works off runs until it is told to stop.
#[derive(Clone, Debug)]
pub struct Executor {
    db: Db,
    options: Arc<Options>,
    clock: Clock,
    slots: Arc<Semaphore>,
    step_slots: Arc<Semaphore>,
    freed: Arc<Notify>,
    lost: Option<Shutdown>,
}

impl Executor {
    /// An executor that does nothing before [`Executor::run`]. One database has one executor at a time.
    pub fn new(db: Db, options: Options, clock: Clock) -> Self {
        let slots = Arc::new(Semaphore::new(options.max_runs.max(1)));
        let step_slots = Arc::new(Semaphore::new(options.max_steps.max(1)));
        Self { db, options: Arc::new(options), clock, slots, step_slots, freed: Arc::new(Notify::new()), lost: None }
    }

    /// An executor that may act only until `lost` says that it has lost its right to: then steps under way are ended at once, and not
    /// asked to end. Whoever says so tells the shutdown too.
    #[must_use]
    pub fn until(mut self, lost: Shutdown) -> Self {
        self.lost = Some(lost);
        self
    }

    fn has_lost(&self) -> bool {
        self.lost.as_ref().is_some_and(Shutdown::is_stopping)
    }

    /// Resolves when the executor has lost its right to act.
    async fn lost(&self) {
        match self.lost.clone() {
            Some(mut lost) => lost.wait().await,
            None => std::future::pending().await,
        }
    }

    /// Picks up what a dead server left, then works off runs. When told to stop it ends the steps under way, which will begin
    /// again at the next start, and returns when they are gone.
    pub async fn run(self, mut shutdown: Shutdown) {
        let mut events = self.db.subscribe();
        self.recover_all(&mut shutdown).await;
        while !shutdown.is_stopping() {
            self.take_all(&shutdown).await;
            tokio::select! {
                () = shutdown.wait() => break,
                () = self.freed.notified() => {}
                _ = events.changed() => {}
                () = tokio::time::sleep(self.options.poll) => {}
            }
        }
        let all = u32::try_from(self.options.max_runs.max(1)).unwrap_or(u32::MAX);
        drop(self.slots.acquire_many(all).await);
    }

    /// Starts to drive as many waiting runs as there are free slots.
    async fn take_all(&self, shutdown: &Shutdown) {
        while let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            let now_us = self.clock.now_us();
            let run = match self.db.read(run::any_waiting).await {
                Ok(true) => self.db.write(move |tx| run::take(tx, now_us)).await,
                Ok(false) => return,
                Err(error) => Err(error),
            };
            match run {
                Ok(Some(run)) => {
                    let (executor, shutdown) = (self.clone(), shutdown.clone());
                    kernel::task::spawn("pipeline run", async move {
                        executor.work_on(run, shutdown).await;
                        drop(slot);
                        executor.freed.notify_one();
                    });
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for pipeline runs; trying again");
                    return;
                }
            }
        }
    }

    /// Drives one run. If that fails for a reason outside of its steps, the run waits for its turn again.
    async fn work_on(&self, run: Run, mut shutdown: Shutdown) {
        tracing::info!(run.id = run.run_id, pipeline.name = run.pipeline, "a pipeline run begins");
        let run_id = run.run_id.clone();
        match drive::drive(self, run, &mut shutdown).await {
            Ok(drive::Left::Ended) => {}
            Ok(drive::Left::Interrupted) if self.has_lost() => {}
            Ok(drive::Left::Interrupted) => self.recover_stubbornly(&run_id).await,
            Err(Error::Db(error)) if error.is_fenced() => {
                tracing::info!(run.id = run_id, "a pipeline run is left to whoever may work on it now");
            }
            Err(error) => {
                tracing::warn!(run.id = run_id, %error, "a pipeline run cannot go on now; it will be taken up again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.recover_stubbornly(&run_id).await;
            }
        }
    }

    async fn recover_all(&self, shutdown: &mut Shutdown) {
        while !shutdown.is_stopping() {
            match self.db.read(run::marked_running).await {
                Ok(runs) => {
                    for run_id in runs {
                        tracing::info!(run.id = run_id, "a pipeline run was cut off; it goes on where it was");
                        self.recover_stubbornly(&run_id).await;
                    }
                    return;
                }
                Err(error) => tracing::warn!(%error, "cannot look for interrupted pipeline runs; trying again"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Tries a few times: the database may be away for a moment. What stays undone is done at the next start.
    async fn recover_stubbornly(&self, run_id: &str) {
        for _ in 0..60 {
            if self.has_lost() {
                return;
            }
            match self.recover(run_id).await {
                Ok(()) => return,
                Err(Error::Db(error)) if error.is_fenced() => return,
                Err(error) => tracing::warn!(run.id = run_id, %error, "cannot put a pipeline run back; trying again"),
            }
            tokio::select! {
                () = self.lost() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Ends what is left of the run's steps, then lets the run wait for its turn.
    async fn recover(&self, run_id: &str) -> Result<(), Error> {
        let id = run_id.to_owned();
        let steps = self.db.read(move |tx| step::of_run(tx, &id)).await?;
        for step in steps.into_iter().filter(|step| step.state == step::StepState::Running) {
            let kill = move || process::kill_leftovers(step.identity.as_ref(), &step.run_id, &step.step, step.attempt);
            drop(tokio::task::spawn_blocking(kill).await);
        }
        let id = run_id.to_owned();
        let now_us = self.clock.now_us();
        self.db.write(move |tx| run::put_back(tx, &id, now_us)).await
    }
}
