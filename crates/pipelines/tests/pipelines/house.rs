//! What the tests share: a folder, a database and an executor that works.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use db::Db;
use kernel::clock::Clock;
use kernel::ctx::{Ctx, Principal};
use kernel::event::Event;
use kernel::task::Stopper;
use rondo_pipelines::run::{Run, RunState, Started, Trigger};
use rondo_pipelines::step::StepRun;
use rondo_pipelines::{Error, Executor, Options, log, pipeline, run};
use tokio::task::JoinHandle;

/// A folder for a pipeline, with a database.
pub(crate) struct House {
    pub(crate) db: Db,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Clock,
}

/// An executor at work.
pub(crate) struct Worker {
    stopper: Stopper,
    task: JoinHandle<()>,
}

impl Worker {
    /// Stops it and waits until its steps are gone.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stopper.stop();
        self.task.await.context("the executor")
    }
}

impl House {
    pub(crate) fn new(db: Db) -> anyhow::Result<Self> {
        Ok(Self { db, dir: tempfile::tempdir()?, clock: Clock::system() })
    }

    pub(crate) fn ctx(&self) -> Ctx {
        Ctx::new(Principal::Person("ada".to_owned()), self.clock.now_us())
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            logs_dir: self.dir.path().join("logs"),
            grace: Duration::from_millis(300),
            poll: Duration::from_millis(5),
            max_steps: 4,
            base_url: "http://127.0.0.1:1".to_owned(),
            ..Options::default()
        }
    }

    pub(crate) fn work(&self) -> Worker {
        self.work_with(self.options())
    }

    pub(crate) fn work_with(&self, options: Options) -> Worker {
        let (stopper, shutdown) = kernel::task::shutdown();
        let executor = Executor::new(self.db.clone(), options, self.clock.clone());
        let task = kernel::task::spawn("executor", executor.run(shutdown));
        Worker { stopper, task }
    }

    /// Stores a pipeline `p` with these steps.
    pub(crate) async fn put(&self, body: &str) -> anyhow::Result<()> {
        let (ctx, dir) = (self.ctx(), self.dir.path().display().to_string());
        let text = format!("[pipeline]\nname = \"p\"\nmodel = \"m\"\n{body}");
        self.db.write(move |tx| pipeline::put(tx, &ctx, "p", &text, &dir).map(drop)).await.context("put")
    }

    pub(crate) async fn start(&self, key: &str) -> Result<Started, Error> {
        self.start_with(Trigger { kind: "manual".to_owned(), logical_key: key.to_owned(), ..Trigger::default() }).await
    }

    pub(crate) async fn start_with(&self, trigger: Trigger) -> Result<Started, Error> {
        let ctx = self.ctx();
        self.db.write(move |tx| run::start(tx, &ctx, "p", &trigger)).await
    }

    /// Starts a run and waits until it has ended.
    pub(crate) async fn finish(&self, key: &str) -> anyhow::Result<Run> {
        let started = self.start(key).await?;
        self.ended(&started.run_id).await
    }

    pub(crate) async fn run(&self, run_id: &str) -> anyhow::Result<Run> {
        let (ctx, run_id) = (self.ctx(), run_id.to_owned());
        Ok(self.db.read(move |tx| run::get(tx, &ctx, &run_id)).await?)
    }

    pub(crate) async fn cancel(&self, run_id: &str) -> Result<Run, Error> {
        let (ctx, run_id) = (self.ctx(), run_id.to_owned());
        self.db.write(move |tx| run::cancel(tx, &ctx, &run_id)).await
    }

    pub(crate) async fn ended(&self, run_id: &str) -> anyhow::Result<Run> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let run = self.run(run_id).await?;
            if run.state.has_ended() {
                return Ok(run);
            }
            if Instant::now() > deadline {
                bail!("the run does not end: {run:?}, {:?}", self.steps(run_id).await?);
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    pub(crate) async fn steps(&self, run_id: &str) -> anyhow::Result<Vec<StepRun>> {
        let (ctx, run_id) = (self.ctx(), run_id.to_owned());
        Ok(self.db.read(move |tx| run::steps(tx, &ctx, &run_id)).await?)
    }

    /// The states of the steps, `a succeeded, b skipped`.
    pub(crate) async fn states(&self, run_id: &str) -> anyhow::Result<String> {
        let steps = self.steps(run_id).await?;
        Ok(steps.iter().map(|step| format!("{} {}", step.step, step.state.as_str())).collect::<Vec<_>>().join(", "))
    }

    pub(crate) fn log_path(&self, run_id: &str, step: &str, attempt: i64) -> PathBuf {
        log::path(&self.options().logs_dir, run_id, step, attempt)
    }

    pub(crate) fn log(&self, run_id: &str, step: &str, attempt: i64) -> anyhow::Result<String> {
        Ok(log::read(&self.log_path(run_id, step, attempt), 0, 1 << 20)?.text)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path(name), text)?)
    }

    /// The content of a file of the pipeline's folder; nothing if it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until a step has written a file that is not empty, and returns it without the white space around it.
    pub(crate) async fn appears(&self, name: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = self.read(name).trim().to_owned();
            if !text.is_empty() {
                return Ok(text);
            }
            if Instant::now() > deadline {
                bail!("{name} does not appear");
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// What was told of runs.
    pub(crate) async fn events(&self) -> anyhow::Result<Vec<Event>> {
        let all = self.db.read(|tx| db::events::after(tx, -1, 1_000)).await?;
        Ok(all.into_iter().filter(|event| event.kind != "pipeline.changed").collect())
    }
}

/// True while the process with that number lives.
pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// The error of a run that should have failed.
pub(crate) fn error_of(run: &Run) -> &str {
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    run.error.as_deref().unwrap_or_default()
}
