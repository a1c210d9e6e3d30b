//! Ending steps: timeouts, wishes to cancel, a server that stops. Nothing of a step outlives it.

use std::time::Duration;

use anyhow::Context as _;
use kernel::error::{Classified, Kind};
use rondo_pipelines::run::RunState;
use rondo_pipelines::{MIGRATIONS, Options};
use testkit::on_both;

use crate::house::{House, error_of, lives};

/// Three generations write their numbers; one ignores polite signals, one leaves the group.
const FAMILY: &str = "sh -c 'echo $$ > child; exec sleep 60' & \
    sh -c 'trap \\\"\\\" TERM; echo $$ > deaf; while true; do sleep 0.1; done' & \
    setsid sh -c 'echo $$ > runaway; exec sleep 60' & \
    echo $$ > parent; wait";

async fn family(house: &House) -> anyhow::Result<Vec<String>> {
    let mut pids = Vec::new();
    for name in ["parent", "child", "deaf", "runaway"] {
        let pid = house.appears(name).await?;
        assert!(lives(&pid), "{name} has begun");
        pids.push(pid);
    }
    Ok(pids)
}

fn living(pids: &[String]) -> Vec<&String> {
    pids.iter().filter(|pid| lives(pid)).collect()
}

#[tokio::test]
async fn a_timeout_ends_all_generations() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put(&format!("[step.a]\nrun = \"{FAMILY}\"\ntimeout = \"1500ms\"")).await?;
        let worker = house.work();
        let started = house.start("k").await?;
        let pids = family(&house).await?;
        let run = house.ended(&started.run_id).await?;
        assert_eq!(error_of(&run), "took longer than its timeout of 1.5 s");
        assert!(living(&pids).is_empty(), "still there: {:?} of {pids:?}", living(&pids));
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_step_that_ends_leaves_nothing_behind() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put("[step.a]\nrun = \"sleep 60 & echo $! > one; setsid sleep 60 & echo $! > two\"").await?;
        let worker = house.work();
        let run = house.finish("k").await?;
        assert_eq!(run.state, RunState::Succeeded);
        let pids = [house.appears("one").await?, house.appears("two").await?];
        assert!(living(&pids).is_empty(), "still there: {:?}", living(&pids));
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_polite_step_may_tidy_up() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house
            .put("[step.a]\nrun = \"trap 'echo tidy > note; exit 0' TERM; echo $$ > up; while true; do sleep 0.01; done\"")
            .await?;
        let worker = house.work_with(Options { grace: Duration::from_secs(20), ..house.options() });
        let started = house.start("k").await?;
        house.appears("up").await?;
        house.cancel(&started.run_id).await?;
        house.ended(&started.run_id).await?;
        assert_eq!(house.read("note"), "tidy\n");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_run_ends_with_its_processes() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house
            .put(&format!("[step.a]\nrun = \"{FAMILY}\"\nretries = 5\n[step.b]\nrun = \"true\"\nneeds = [\"a\"]"))
            .await?;
        let worker = house.work();
        let started = house.start("k").await?;
        let pids = family(&house).await?;
        house.cancel(&started.run_id).await?;
        let run = house.ended(&started.run_id).await?;
        assert_eq!((run.state, run.error.as_deref()), (RunState::Cancelled, Some("cancelled by person:ada")));
        assert_eq!(house.states(&run.run_id).await?, "a cancelled, b cancelled");
        assert!(living(&pids).is_empty());
        let last = house.events().await?.pop().context("an event")?;
        assert_eq!(
            (last.kind.as_str(), last.payload["reason"].as_str()),
            ("pipeline.failed", Some("cancelled by person:ada"))
        );
        let error = house.cancel(&run.run_id).await.expect_err("it has ended");
        assert_eq!(error.kind(), Kind::Precondition);
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_run_that_waits_is_cancelled_at_once() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put("[step.a]\nrun = \"echo x > ran\"").await?;
        let started = house.start("k").await?;
        assert_eq!(house.cancel(&started.run_id).await?.state, RunState::Cancelled);
        let worker = house.work();
        house.finish("k2").await?;
        assert_eq!(house.states(&started.run_id).await?, "a cancelled");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_stopping_server_ends_its_steps_and_the_next_one_begins_them_again() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house
            .put(
                "[step.a]\nrun = \"echo a >> ran\"\n\
                 [step.b]\nrun = \"echo b >> ran; test -e again || { echo $$ > up; exec sleep 60; }\"\nneeds = [\"a\"]",
            )
            .await?;
        let worker = house.work();
        let started = house.start("k").await?;
        let pid = house.appears("up").await?;
        worker.stop().await?;
        assert!(!lives(&pid));
        let run = house.run(&started.run_id).await?;
        assert_eq!(run.state, RunState::Pending);
        house.write("again", "")?;
        let worker = house.work();
        let run = house.ended(&started.run_id).await?;
        assert_eq!(run.state, RunState::Succeeded);
        assert_eq!(house.read("ran"), "a\nb\nb\n", "what had ended did not run again");
        let step = house.steps(&run.run_id).await?.remove(1);
        assert_eq!((step.attempt, step.failures), (2, 0), "it was no failure of the step");
        worker.stop().await
    })
    .await;
}
