//! What turns: a task for each reaction reads events, a task for each lane works through jobs.

use std::time::Duration;

use kernel::task::{Shutdown, spawn};
use tokio::task::JoinHandle;

use crate::{Error, House, admission, announce, evaluation, job, reaction, rollout, schedule, settle, watch, webhook};

/// How long a lane sleeps when nothing wakes it.
const IDLE: Duration = Duration::from_secs(1);
/// The wait before a failed job is tried again: doubled each time, at most this.
const LONGEST_WAIT_US: i64 = 300_000_000;
/// How often a job is tried.
const MAX_ATTEMPTS: i64 = 8;

/// Starts everything that acts on its own, until the shutdown; the tasks.
pub fn start(house: &House, shutdown: &Shutdown) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    for reaction in &reaction::TABLE {
        let (house, shutdown) = (house.clone(), shutdown.clone());
        tasks.push(spawn(reaction.name, async move { react(&house, reaction, shutdown).await }));
    }
    for kind in job::Kind::ALL {
        let (house, shutdown) = (house.clone(), shutdown.clone());
        tasks.push(spawn("conductor-lane", async move { work(&house, kind, shutdown).await }));
    }
    let (watched, until) = (house.clone(), shutdown.clone());
    tasks.push(spawn("conductor-watch", async move { watch::run(&watched, until).await }));
    let (settled, until) = (house.clone(), shutdown.clone());
    tasks.push(spawn("conductor-settle", async move { settle::run(&settled, until).await }));
    let (scheduled, until) = (house.clone(), shutdown.clone());
    tasks.push(spawn("conductor-schedule", async move { schedule::run(&scheduled, until).await }));
    tasks
}

async fn react(house: &House, reaction: &'static reaction::Reaction, mut shutdown: Shutdown) {
    let mut commits = house.db.subscribe();
    loop {
        match reaction::catch_up(house, reaction).await {
            Ok(0) => {}
            Ok(_) => {
                house.nudge();
                continue;
            }
            Err(error) => {
                tracing::error!(reaction.name = reaction.name, %error, "a reaction failed and will be tried again");
            }
        }
        tokio::select! {
            () = shutdown.wait() => return,
            _ = commits.changed() => {}
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}

async fn work(house: &House, kind: job::Kind, mut shutdown: Shutdown) {
    loop {
        let nudged = house.nudged();
        match step(house, kind).await {
            Ok(true) => {
                house.nudge();
                continue;
            }
            Ok(false) => {}
            Err(error) => tracing::error!(job.lane = ?kind, %error, "the job queue cannot be read"),
        }
        tokio::select! {
            () = shutdown.wait() => return,
            () = nudged => {}
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}

/// Does the next job of a lane; true if there was one.
async fn step(house: &House, kind: job::Kind) -> Result<bool, Error> {
    let now_us = house.clock.now_us();
    let Some(next) = house.db.read(move |tx| job::next(tx, kind, now_us)).await? else { return Ok(false) };
    let house = match house.within(&next.workspace).await {
        Ok(house) => house,
        Err(error) => {
            // A workspace that is not there any more has nobody to tell.
            give_up_or_postpone(house, None, next, &error).await?;
            return Ok(true);
        }
    };
    let done = match kind {
        job::Kind::Admit => admission::work(&house, &next).await,
        job::Kind::Evaluate => evaluation::work(&house, &next).await,
        job::Kind::Roll => rollout::work(&house, &next).await,
        job::Kind::Webhook => webhook::work(&house, &next).await,
        job::Kind::Announce => announce::work(&house, &next).await,
    };
    if let Err(error) = done {
        give_up_or_postpone(&house, Some(kind), next, &error).await?;
    }
    Ok(true)
}

/// A passing failure is tried again later. A lasting one is told: the lane publishes what did not come of the job, so that nobody
/// waits for it in vain.
async fn give_up_or_postpone(
    house: &House,
    told_by: Option<job::Kind>,
    job: job::Job,
    error: &Error,
) -> Result<(), Error> {
    use kernel::error::{Classified as _, Kind};
    let ctx = house.conductor_ctx();
    let reason = error.to_string();
    let passing = matches!(error.kind(), Kind::Unavailable | Kind::Overloaded | Kind::Internal);
    let last = !passing || job.attempts + 1 >= MAX_ATTEMPTS;
    tracing::warn!(job.key = job.key, job.attempt = job.attempts + 1, job.last = last, error = reason, "a job failed");
    house
        .db
        .write(move |tx| {
            if !last {
                let wait_us = (1_000_000_i64 << job.attempts.min(10)).min(LONGEST_WAIT_US);
                return job::postpone(tx, &job.key, ctx.now_us + wait_us, &reason);
            }
            match told_by {
                Some(job::Kind::Admit) => admission::give_up(tx, &ctx, &job, &reason)?,
                Some(job::Kind::Evaluate) => evaluation::give_up(tx, &ctx, &job, &reason)?,
                Some(job::Kind::Roll) => rollout::give_up(tx, &ctx, &job, &reason)?,
                Some(job::Kind::Webhook | job::Kind::Announce) | None => {}
            }
            job::fail(tx, &ctx, &job.key, &reason)
        })
        .await
}
