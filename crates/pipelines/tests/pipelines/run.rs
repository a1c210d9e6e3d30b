//! Runs: order, environment, logs, retries, and starting once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use kernel::error::{Classified, Kind};
use rondo_pipelines::run::{RunState, Trigger};
use rondo_pipelines::{MIGRATIONS, Options, log};
use serde_json::json;
use testkit::on_both;

use crate::house::{House, error_of};

#[tokio::test]
async fn steps_run_in_the_order_of_their_files() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house
            .put(
                "[step.a]\nrun = \"cat c.txt b.txt > a.txt\"\ndeps = [\"b.txt\", \"c.txt\"]\nouts = [\"a.txt\"]\n\
                 [step.b]\nrun = \"sed s/1/2/ c.txt > b.txt\"\ndeps = [\"c.txt\"]\nouts = [\"b.txt\"]\n\
                 [step.c]\nrun = \"echo 1 > c.txt\"\nouts = [\"c.txt\"]",
            )
            .await?;
        let worker = house.work();
        let run = house.finish("k").await?;
        assert_eq!(run.state, RunState::Succeeded, "{run:?}");
        assert_eq!(house.states(&run.run_id).await?, "c succeeded, b succeeded, a succeeded");
        assert_eq!(house.read("a.txt"), "1\n2\n");
        let events: Vec<(String, Option<String>, String)> =
            house.events().await?.into_iter().map(|event| (event.kind, event.model, event.subject)).collect();
        let event = |kind: &str| (kind.to_owned(), Some("m".to_owned()), "pipeline/p".to_owned());
        assert_eq!(events, [event("pipeline.started"), event("pipeline.succeeded")]);
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn the_same_key_starts_one_run() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put("[step.a]\nrun = \"echo x >> ran\"").await?;
        let first = house.start("k").await?;
        let second = house.start("k").await?;
        assert!(first.fresh && !second.fresh);
        assert_eq!(first.run_id, second.run_id);
        let worker = house.work();
        house.ended(&first.run_id).await?;
        let third = house.start("k").await?;
        assert_eq!(third.run_id, first.run_id, "an ended run keeps its key");
        house.finish("k2").await?;
        assert_eq!(house.read("ran"), "x\nx\n");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_step_finds_what_it_was_given_and_nothing_else() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house
            .put("[step.a]\nrun = \"env | sort\"\nparams = { days = 59, rate = 1 }\nenv = { OWN = \"from step\", BOTH = \"step\" }")
            .await?;
        let worker = house.work();
        let started = house
            .start_with(Trigger {
                kind: "alert".to_owned(),
                logical_key: "k".to_owned(),
                at_us: 1_362_096_000_000_000,
                params: BTreeMap::from([("days".to_owned(), "7".to_owned())]),
                env: BTreeMap::from([("BOTH".to_owned(), "run".to_owned())]),
                event: Some(json!({"rule": "drift"})),
                ..Trigger::default()
            })
            .await?;
        house.ended(&started.run_id).await?;
        let log = house.log(&started.run_id, "a", 1)?;
        let run = format!("RONDO_PIPELINE_RUN={}", started.run_id);
        for line in [
            "RONDO_PARAM_DAYS=7",
            "RONDO_PARAM_RATE=1",
            "OWN=from step",
            "BOTH=run",
            "RONDO_URL=http://127.0.0.1:1",
            "MLFLOW_TRACKING_URI=http://127.0.0.1:1",
            "RONDO_PIPELINE=p",
            "RONDO_STEP=a",
            "RONDO_TRIGGER=alert",
            "RONDO_AT=2013-03-01T00:00:00Z",
            "RONDO_EVENT={\"rule\":\"drift\"}",
            &run,
        ] {
            assert!(log.lines().any(|found| found == line), "{line} is not in\n{log}");
        }
        assert!(!log.contains("CARGO"), "the server's own environment does not leak:\n{log}");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_start_with_what_no_step_knows_is_refused() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put("[step.a]\nrun = \"true\"\nparams = { days = 59 }").await?;
        let given = |name: &str| BTreeMap::from([(name.to_owned(), "1".to_owned())]);
        let error = house
            .start_with(Trigger { params: given("day"), ..Trigger::default() })
            .await
            .expect_err("a strange parameter");
        assert_eq!(error.to_string(), "no step of pipeline `p` declares the parameter `day`");
        assert_eq!(error.hint().as_deref(), Some("its steps declare: days"));
        let error = house
            .start_with(Trigger { env: given("RONDO_URL"), ..Trigger::default() })
            .await
            .expect_err("our variable");
        assert_eq!(error.kind(), Kind::Invalid);
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_failing_step_says_why_and_blocks_what_waits_for_it() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house
            .put("[step.a]\nrun = \"echo reading; echo no such column >&2; exit 3\"\n[step.b]\nrun = \"true\"\nneeds = [\"a\"]")
            .await?;
        let worker = house.work();
        let run = house.finish("k").await?;
        assert_eq!(error_of(&run), "exited with code 3: no such column");
        assert_eq!(house.states(&run.run_id).await?, "a failed, b blocked");
        assert_eq!(house.log(&run.run_id, "a", 1)?, "reading\nno such column\n");
        let last = house.events().await?.pop().context("an event")?;
        assert_eq!(last.kind, "pipeline.failed");
        assert_eq!(last.payload, json!({"run_id": run.run_id, "step": "a", "reason": "exited with code 3: no such column"}));
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn what_cannot_work_fails_with_words() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        let worker = house.work();
        for (key, body, expect) in [
            ("1", "[step.a]\nrun = \"true\"\nouts = [\"o\"]", "it ended well but did not make `o`"),
            (
                "2",
                "[step.a]\nrun = \"true\"\ndeps = [\"d\"]",
                "`d` is not there: no step makes it, and it is not in the folder",
            ),
            ("3", "[step.a]\nrun = \"kill -KILL $$\"", "was ended by signal 9"),
        ] {
            house.put(body).await?;
            assert_eq!(error_of(&house.finish(key).await?), expect);
        }
        house.put("[step.a]\nrun = [\"no-such-program\"]").await?;
        let run = house.finish("4").await?;
        assert!(error_of(&run).starts_with("it cannot be started in "), "{run:?}");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn old_outputs_are_not_taken_for_new_ones() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.write("o", "from before")?;
        house.put("[step.a]\nrun = \"true\"\nouts = [\"o\"]").await?;
        let worker = house.work();
        assert_eq!(error_of(&house.finish("k").await?), "it ended well but did not make `o`");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_step_is_tried_again_as_often_as_it_says() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house
            .put("[step.a]\nrun = \"echo x >> tries; test $(wc -l < tries) -ge 3\"\nretries = { max = 2, backoff = \"1ms\" }")
            .await?;
        let worker = house.work();
        let run = house.finish("k").await?;
        assert_eq!(run.state, RunState::Succeeded);
        let step = house.steps(&run.run_id).await?.remove(0);
        assert_eq!((step.attempt, step.failures), (3, 2));
        std::fs::remove_file(house.path("tries"))?;
        house.put("[step.a]\nrun = \"echo x >> tries; exit 1\"\nretries = { max = 1, backoff = \"1ms\" }").await?;
        let run = house.finish("k2").await?;
        assert_eq!(error_of(&run), "exited with code 1");
        assert_eq!(house.read("tries"), "x\nx\n");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_log_is_there_while_the_step_runs() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put("[step.a]\nrun = \"echo first; while ! test -e go; do sleep 0.01; done; echo second\"").await?;
        let worker = house.work();
        let started = house.start("k").await?;
        let path = house.log_path(&started.run_id, "a", 1);
        let first = loop {
            let chunk = log::read(&path, 0, 100)?;
            if !chunk.text.is_empty() {
                break chunk;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        };
        assert_eq!(first.text, "first\n");
        house.write("go", "")?;
        house.ended(&started.run_id).await?;
        assert_eq!(log::read(&path, first.next, 100)?.text, "second\n");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn runs_of_one_pipeline_go_one_after_the_other() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put("[step.a]\nrun = \"mkdir alone && sleep 0.02 && rmdir alone && echo x >> ran\"").await?;
        let worker = house.work();
        let mut runs = Vec::new();
        for key in ["1", "2", "3", "4"] {
            runs.push(house.start(key).await?.run_id);
        }
        for run_id in runs {
            assert_eq!(house.ended(&run_id).await?.state, RunState::Succeeded);
        }
        assert_eq!(house.read("ran"), "x\nx\nx\nx\n");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn steps_run_side_by_side_up_to_the_limit() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        // Each waits for the other: they end only when they run at the same time.
        let wait = |own: &str, other: &str| format!("touch {own}; while ! test -e {other}; do sleep 0.01; done");
        let both = format!("[step.a]\nrun = \"{}\"\n[step.b]\nrun = \"{}\"\n", wait("1", "2"), wait("2", "1"));
        house.put(&both).await?;
        let worker = house.work();
        assert_eq!(house.finish("k").await?.state, RunState::Succeeded);
        worker.stop().await?;

        house.put("[step.a]\nrun = \"mkdir alone && sleep 0.02 && rmdir alone\"\n[step.b]\nrun = \"mkdir alone && sleep 0.02 && rmdir alone\"").await?;
        let worker = house.work_with(Options { max_steps: 1, ..house.options() });
        assert_eq!(house.finish("k2").await?.state, RunState::Succeeded);
        worker.stop().await
    })
    .await;
}
