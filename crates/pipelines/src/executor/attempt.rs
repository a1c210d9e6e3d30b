//! One step of a run: skipped, or attempted until it succeeds, fails for good, or is stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::watch;

use super::drive::Wish;
use super::{Executor, environment};
use crate::definition::Step;
use crate::process::{self, Group};
use crate::run::{self, Run};
use crate::step::{self, Cached, Failure};
use crate::{Error, log, step_key};

/// No wait between attempts is longer.
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// How an attempt's processes ended.
enum Ended {
    Exited(ExitStatus),
    TimedOut,
    Stopped(Wish),
    NotStarted(String),
}

/// Works on a step until it has ended or the wish says otherwise. An error is one of ours, not of the step.
pub(super) async fn work(
    executor: &Executor,
    run: &Run,
    step: &Step,
    before: BTreeMap<String, String>,
    mut wish: watch::Receiver<Wish>,
) -> Result<(), Error> {
    loop {
        // The slot is given back during the wait for the next attempt.
        let slot = tokio::select! {
            slot = executor.step_slots.acquire() => slot,
            _ = stopped(&mut wish) => return Ok(()),
        };
        let Some(wait) = once(executor, run, step, &before, &mut wish).await? else { return Ok(()) };
        drop(slot);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped(&mut wish) => return Ok(()),
        }
    }
}

/// Skips the step or attempts it once; returns how long to wait for the next attempt, if there is to be one.
async fn once(
    executor: &Executor,
    run: &Run,
    step: &Step,
    before: &BTreeMap<String, String>,
    wish: &mut watch::Receiver<Wish>,
) -> Result<Option<Duration>, Error> {
    let name = step.name.clone();
    let key = match blocking({
        let (step, run, before) = (step.clone(), run.clone(), before.clone());
        move || step_key::of(&step, &run, &before)
    })
    .await
    {
        Ok(key) => key,
        Err(problem) => {
            transact(executor, run, move |tx, ctx, run| step::fail_before(tx, ctx, &run.run_id, &name, &problem))
                .await?;
            return Ok(None);
        }
    };
    if let Some(cached) = unchanged(executor, run, step, &key).await? {
        transact(executor, run, move |tx, ctx, run| step::skip(tx, ctx, &run.run_id, &name, &cached)).await?;
        return Ok(None);
    }
    let group = match Group::open() {
        Ok(group) => group,
        Err(error) => {
            let problem = format!("no process can be started: {error}");
            transact(executor, run, move |tx, ctx, run| step::fail_before(tx, ctx, &run.run_id, &name, &problem))
                .await?;
            return Ok(None);
        }
    };
    let identity = group.identity().clone();
    let claim =
        transact(executor, run, move |tx, ctx, run| step::claim(tx, ctx, &run.run_id, &name, &key, &identity)).await?;
    let Some(attempt) = claim else { return Ok(None) };
    let log = log::path(&executor.options.logs_dir, &run.run_id, &step.name, attempt);
    let ended = run_in(executor, run, (step, attempt), group, &log, wish).await;
    publish(executor, run, step, attempt, &log, ended).await
}

/// Writes the end of an attempt into the database, in one transaction.
async fn publish(
    executor: &Executor,
    run: &Run,
    step: &Step,
    attempt: i64,
    log: &Path,
    ended: Ended,
) -> Result<Option<Duration>, Error> {
    let name = step.name.clone();
    let failure = match ended {
        Ended::Stopped(Wish::Cancel) => {
            transact(executor, run, move |tx, ctx, run| step::cancel(tx, ctx, &run.run_id, &name, attempt)).await?;
            return Ok(None);
        }
        // The row stays as it is: whoever takes the run up again puts it back.
        Ended::Stopped(_) => return Ok(None),
        Ended::Exited(status) if status.success() => match made(run, step).await {
            Ok(outs) => {
                let published =
                    transact(executor, run, move |tx, ctx, run| step::succeed(tx, ctx, run, &name, attempt, &outs))
                        .await?;
                if !published {
                    tracing::warn!(
                        run.id = run.run_id,
                        step.name = step.name,
                        "an attempt had lost its claim; its result is dropped"
                    );
                }
                return Ok(None);
            }
            Err(problem) => Failure { error: problem, exit_code: Some(0), retries: step.retries.max },
        },
        Ended::Exited(status) => failure(step, exit_text(status, log), status.code().map(i64::from)),
        Ended::TimedOut => {
            let seconds = step.timeout_us.unwrap_or_default() as f64 / 1e6;
            failure(step, format!("took longer than its timeout of {seconds} s"), None)
        }
        Ended::NotStarted(problem) => failure(step, problem, None),
    };
    tracing::info!(
        run.id = run.run_id,
        step.name = step.name,
        step.attempt = attempt,
        error = failure.error,
        "an attempt failed"
    );
    let failures =
        transact(executor, run, move |tx, ctx, run| step::fail(tx, ctx, &run.run_id, &name, attempt, &failure)).await?;
    Ok(failures.map(|failures| backoff(step, failures)))
}

/// Runs the step as a member of the group until it ends or has to; afterwards nothing of it is alive.
async fn run_in(
    executor: &Executor,
    run: &Run,
    (step, attempt): (&Step, i64),
    group: Group,
    log: &Path,
    wish: &mut watch::Receiver<Wish>,
) -> Ended {
    let ended = match spawn(executor, run, (step, attempt), &group, log).await {
        Ok(child) => wait(executor, step, &group, child, wish).await,
        Err(problem) => Ended::NotStarted(problem),
    };
    group.kill().await;
    let (run_id, name) = (run.run_id.clone(), step.name.clone());
    blocking(move || process::kill_leftovers(None, &run_id, &name, attempt)).await;
    ended
}

async fn spawn(
    executor: &Executor,
    run: &Run,
    (step, attempt): (&Step, i64),
    group: &Group,
    log: &Path,
) -> Result<Child, String> {
    let paths: Vec<PathBuf> = step.outs.iter().map(|out| Path::new(&run.dir).join(out)).collect();
    let log = log.to_owned();
    let file = blocking(move || {
        paths.iter().try_for_each(|path| remove(path))?;
        log::create(&log).map_err(|error| error.to_string())
    })
    .await?;
    let other = file.try_clone().map_err(|error| format!("its log cannot be opened: {error}"))?;
    let mut command = environment::command(step, run, attempt, &executor.options);
    command.stdout(file).stderr(other);
    group.spawn(&mut command).map_err(|error| format!("it cannot be started in {:?}: {error}", run.dir))
}

async fn wait(
    executor: &Executor,
    step: &Step,
    group: &Group,
    mut child: Child,
    wish: &mut watch::Receiver<Wish>,
) -> Ended {
    let timeout = step.timeout_us.map(|us| Duration::from_micros(us.unsigned_abs()));
    let ended = tokio::select! {
        status = child.wait() => return exited(status),
        () = tokio::time::sleep(timeout.unwrap_or_default()), if timeout.is_some() => Ended::TimedOut,
        wish = stopped(wish) => Ended::Stopped(wish),
    };
    group.terminate();
    tokio::select! {
        _ = tokio::time::timeout(executor.options.grace, child.wait()) => {}
        () = executor.lost() => {}
    }
    ended
}

fn exited(status: std::io::Result<ExitStatus>) -> Ended {
    status.map_or_else(|error| Ended::NotStarted(format!("its end cannot be waited for: {error}")), Ended::Exited)
}

/// Resolves when the wish is no longer to go on.
async fn stopped(wish: &mut watch::Receiver<Wish>) -> Wish {
    match wish.wait_for(|wish| *wish != Wish::GoOn).await {
        Ok(wish) => *wish,
        Err(_) => Wish::Interrupt,
    }
}

/// What the step made the last time, if nothing it depends on has changed since and all of it is still there.
async fn unchanged(executor: &Executor, run: &Run, step: &Step, key: &str) -> Result<Option<Cached>, Error> {
    let nothing_to_compare = step.deps.is_empty() && step.outs.is_empty() && step.needs.is_empty();
    if step.always || nothing_to_compare {
        return Ok(None);
    }
    let name = step.name.clone();
    let (run_of, key) = (run.clone(), key.to_owned());
    let cached =
        executor.db.read(move |tx| step::cached(tx, &run_of, &name)).await?.filter(|cached| cached.step_key == key);
    let Some(cached) = cached else { return Ok(None) };
    Ok(made(run, step).await.is_ok_and(|outs| outs == cached.outs).then_some(cached))
}

/// The digests of what the step promised to make.
async fn made(run: &Run, step: &Step) -> Result<BTreeMap<String, String>, String> {
    let (dir, outs) = (PathBuf::from(&run.dir), step.outs.clone());
    let all = blocking(move || step_key::contents(&dir, &outs)).await?;
    let there = |(path, digest): (String, Option<String>)| {
        let missing = || format!("it ended well but did not make `{path}`");
        digest.ok_or_else(missing).map(|digest| (path.clone(), digest))
    };
    all.into_iter().map(there).collect()
}

/// What a step made before goes, so that it cannot be taken for what it makes now.
fn remove(path: &Path) -> Result<(), String> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.map_err(|error| format!("`{}` cannot be removed before the step makes it: {error}", path.display()))
}

fn failure(step: &Step, error: String, exit_code: Option<i64>) -> Failure {
    Failure { error, exit_code, retries: step.retries.max }
}

fn exit_text(status: ExitStatus, log: &Path) -> String {
    let how = match (status.code(), std::os::unix::process::ExitStatusExt::signal(&status)) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => status.to_string(),
    };
    log::last_line(log).map_or_else(|| how.clone(), |line| format!("{how}: {line}"))
}

fn backoff(step: &Step, failures: i64) -> Duration {
    let first = Duration::from_micros(step.retries.backoff_us.unsigned_abs());
    let doublings = u32::try_from(failures.saturating_sub(1).clamp(0, 30)).unwrap_or_default();
    first.saturating_mul(1 << doublings).min(LONGEST_BACKOFF)
}

async fn transact<T: Send + 'static>(
    executor: &Executor,
    run: &Run,
    work: impl FnOnce(&mut db::Tx<'_>, &kernel::ctx::Ctx, &Run) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (ctx, run) = (run::executor_ctx(run, executor.clock.now_us()), run.clone());
    let locked = move |tx: &mut db::Tx<'_>| {
        run::lock(tx, &run.run_id)?;
        work(tx, &ctx, &run)
    };
    executor.db.write(locked).await
}

/// Runs what touches files or the process table off the runtime. A panic in there is passed on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
