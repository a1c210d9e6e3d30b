//! What need not run is not run, and what must run is.

use std::collections::BTreeMap;

use rondo_pipelines::MIGRATIONS;
use rondo_pipelines::run::Trigger;
use testkit::on_both;

use crate::house::House;

const CHAIN: &str = "
[step.prepare]
run = \"grep -v '#' raw > data; echo prepare >> ran\"
deps = [\"raw\"]
outs = [\"data\"]
[step.train]
run = \"cat data > model; echo train >> ran\"
deps = [\"data\"]
outs = [\"model\"]
params = { depth = 3 }
[step.announce]
run = \"echo announce >> ran\"
needs = [\"train\"]
";

#[tokio::test]
async fn only_what_depends_on_a_change_runs_again() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put(CHAIN).await?;
        let worker = house.work();
        let mut key = 0;
        let mut check = async |what: &str, expect: &str| -> anyhow::Result<()> {
            key += 1;
            let run = house.finish(&key.to_string()).await?;
            assert_eq!(house.states(&run.run_id).await?, expect, "{what}: {run:?}");
            Ok(())
        };
        house.write("raw", "1\n")?;
        check("first", "prepare succeeded, train succeeded, announce succeeded").await?;
        check("nothing changed", "prepare skipped, train skipped, announce skipped").await?;
        house.write("raw", "1\n# a remark\n")?;
        check("same outputs cut it short", "prepare succeeded, train skipped, announce skipped").await?;
        house.write("raw", "2\n")?;
        check("new data", "prepare succeeded, train succeeded, announce succeeded").await?;
        house.write("model", "tampered")?;
        check("an output is not what it was", "prepare skipped, train succeeded, announce skipped").await?;
        std::fs::remove_file(house.path("data"))?;
        check("an output is gone", "prepare succeeded, train skipped, announce skipped").await?;
        house.put(&CHAIN.replace("depth = 3", "depth = 4")).await?;
        check("another parameter", "prepare skipped, train succeeded, announce skipped").await?;
        house.put(&CHAIN.replace("depth = 3", "depth = 4").replace("cat data", "cat < data")).await?;
        check("another command", "prepare skipped, train succeeded, announce skipped").await?;
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_run_with_other_values_is_another_thing() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.write("raw", "1\n")?;
        house.put(CHAIN).await?;
        let worker = house.work();
        house.finish("1").await?;
        let with = |key: &str, depth: &str| Trigger {
            logical_key: key.to_owned(),
            params: BTreeMap::from([("depth".to_owned(), depth.to_owned())]),
            ..Trigger::default()
        };
        let same = house.start_with(with("2", "3")).await?;
        house.ended(&same.run_id).await?;
        assert_eq!(house.states(&same.run_id).await?, "prepare skipped, train skipped, announce skipped");
        let other = house.start_with(with("3", "9")).await?;
        house.ended(&other.run_id).await?;
        assert_eq!(house.states(&other.run_id).await?, "prepare skipped, train succeeded, announce skipped");
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_step_with_nothing_to_compare_or_marked_always_runs_always() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house
            .put(
                "[step.bare]\nrun = \"true\"\n[step.fetch]\nrun = \"echo 1 > data\"\nouts = [\"data\"]\nalways = true\n\
                 [step.train]\nrun = \"true\"\ndeps = [\"data\"]\n[step.after]\nrun = \"true\"\nneeds = [\"bare\"]",
            )
            .await?;
        let worker = house.work();
        house.finish("1").await?;
        let run = house.finish("2").await?;
        assert_eq!(
            house.states(&run.run_id).await?,
            "bare succeeded, after succeeded, fetch succeeded, train skipped",
            "what follows a step without outputs runs when that one ran"
        );
        worker.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_failed_attempt_leaves_nothing_to_skip() {
    on_both(MIGRATIONS, |db| async move {
        let house = House::new(db)?;
        house.put("[step.a]\nrun = \"echo 1 > o; test -e good\"\nouts = [\"o\"]").await?;
        let worker = house.work();
        let run = house.finish("1").await?;
        assert_eq!(house.states(&run.run_id).await?, "a failed");
        house.write("good", "")?;
        let run = house.finish("2").await?;
        assert_eq!(house.states(&run.run_id).await?, "a succeeded");
        worker.stop().await
    })
    .await;
}
