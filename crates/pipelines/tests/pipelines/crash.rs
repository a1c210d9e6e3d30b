//! A server that is killed: its steps die with it, and the next one goes on where it was, publishing each result once.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rondo_pipelines::MIGRATIONS;
use rondo_pipelines::run::RunState;
use testkit::TestDb;

use crate::house::{House, lives};

const URL: &str = "RONDO_TEST_CRASH_URL";
const LOGS: &str = "RONDO_TEST_CRASH_LOGS";

/// The server that gets killed: this very test, run by the others in a process of its own.
#[tokio::test]
#[ignore = "it is the child process of the tests beside it"]
async fn child() -> anyhow::Result<()> {
    let Ok(url) = std::env::var(URL) else { return Ok(()) };
    let house = House::new(db::Db::open(&url, &[MIGRATIONS]).await?)?;
    let options = rondo_pipelines::Options { logs_dir: std::env::var(LOGS)?.into(), ..house.options() };
    let worker = house.work_with(options);
    tokio::time::sleep(Duration::from_mins(1)).await;
    worker.stop().await
}

fn server(database: &TestDb, house: &House) -> anyhow::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(URL, database.url())
        .env(LOGS, house.options().logs_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("the child server")
}

async fn dies(pid: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while lives(pid) {
        ensure!(Instant::now() < deadline, "{pid} outlives its server");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

// On the engine of a laptop; that the SQL means the same on the other one is what all other tests show.
#[tokio::test]
async fn after_a_kill_the_next_server_goes_on() -> anyhow::Result<()> {
    let database = TestDb::sqlite()?;
    let house = House::new(database.open(&[MIGRATIONS]).await?)?;
    house
        .put(
            "[step.a]\nrun = \"echo a >> ran; echo 1 > o\"\nouts = [\"o\"]\n\
             [step.b]\nrun = \"echo b >> ran; test -e again || { \
             setsid sh -c 'echo $$ > runaway; exec sleep 60' & echo $$ > up; wait; }\"\nneeds = [\"a\"]\n\
             [step.c]\nrun = \"echo c >> ran\"\nneeds = [\"b\"]",
        )
        .await?;
    let started = house.start("k").await?;
    let mut first = server(&database, &house)?;
    let (step, runaway) = (house.appears("up").await?, house.appears("runaway").await?);
    first.kill()?;
    first.wait()?;
    dies(&step).await?;
    assert!(lives(&runaway), "it left the group, so nothing has ended it yet");
    assert_eq!(house.states(&started.run_id).await?, "a succeeded, b running, c pending");

    house.write("again", "")?;
    let mut second = server(&database, &house)?;
    let run = house.ended(&started.run_id).await?;
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    assert!(!lives(&runaway), "the next server ended it before it began the step again");
    assert_eq!(house.read("ran"), "a\nb\nb\nc\n");
    let step = house.steps(&run.run_id).await?.remove(1);
    assert_eq!((step.attempt, step.failures), (2, 0));
    let kinds: Vec<String> = house.events().await?.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["pipeline.started", "pipeline.succeeded"], "told once");
    second.kill()?;
    second.wait()?;
    Ok(())
}

#[tokio::test]
async fn many_kills_lose_nothing_and_tell_nothing_twice() -> anyhow::Result<()> {
    let database = TestDb::sqlite()?;
    let house = House::new(database.open(&[MIGRATIONS]).await?)?;
    let step = |name: &str, dep: &str| {
        format!(
            "[step.{name}]\nrun = \"cat {dep} > {name}; echo {name} >> {name}; sleep 0.05\"\ndeps = [\"{dep}\"]\nouts = [\"{name}\"]\n"
        )
    };
    house.write("raw", "raw\n")?;
    house.put(&format!("{}{}{}{}", step("a", "raw"), step("b", "a"), step("c", "b"), step("d", "c"))).await?;
    let started = house.start("k").await?;
    for round in 0..12_u64 {
        let mut server = server(&database, &house)?;
        tokio::time::sleep(Duration::from_millis(20 + 17 * round)).await;
        server.kill()?;
        server.wait()?;
    }
    let worker = house.work();
    let run = house.ended(&started.run_id).await?;
    assert_eq!(run.state, RunState::Succeeded, "{run:?} {:?}", house.steps(&run.run_id).await?);
    assert_eq!(house.read("d"), "raw\na\nb\nc\nd\n");
    assert_eq!(house.events().await?.len(), 2, "started once, succeeded once");
    let steps = house.steps(&run.run_id).await?;
    assert!(steps.iter().all(|step| step.failures == 0), "{steps:?}");
    worker.stop().await
}
