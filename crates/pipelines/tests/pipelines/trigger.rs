//! Triggers: each cause starts one run, missed times are made up for once, cooldowns are in event time.

use anyhow::Context as _;
use kernel::clock::{Clock, DAY_US, SECOND_US};
use kernel::ctx::{Ctx, Principal};
use rondo_pipelines::MIGRATIONS;
use rondo_pipelines::trigger::{self, Alert, Decision, Outcome};
use rondo_pipelines::{Error, pipeline};
use serde_json::json;
use testkit::on_both;

use crate::house::House;

const HOUR_US: i64 = 3_600 * SECOND_US;

fn house(db: db::Db) -> anyhow::Result<House> {
    Ok(House { clock: Clock::manual(1_362_096_000_000_000), ..House::new(db)? })
}

async fn with<T: Send + 'static>(
    house: &House,
    work: impl FnOnce(&mut db::Tx<'_>, &Ctx) -> Result<T, Error> + Send + 'static,
) -> anyhow::Result<T> {
    let ctx = Ctx::new(Principal::System("conductor"), house.clock.now_us());
    Ok(house.db.write(move |tx| work(tx, &ctx)).await?)
}

fn alert(key: &str, rule: &str, at_us: i64) -> Alert {
    Alert {
        monitor: "flights".to_owned(),
        rule: rule.to_owned(),
        key: key.to_owned(),
        still: false,
        at_us,
        event: json!({"rule": rule}),
    }
}

fn started(decisions: &[Decision]) -> Option<(String, bool)> {
    match decisions {
        [Decision { outcome: Outcome::Started(started), .. }] => Some((started.run_id.clone(), started.fresh)),
        _ => None,
    }
}

#[tokio::test]
async fn an_alert_starts_one_run_and_then_cools_down() {
    on_both(MIGRATIONS, |db| async move {
        let house = house(db)?;
        house
            .put("[step.a]\nrun = \"true\"\n[trigger.drift]\nkind = \"alert\"\nmonitor = \"flights\"\nrule = \"psi\"\ncooldown = \"7d\"")
            .await?;
        let hand = async |alert: Alert| with(&house, move |tx, ctx| trigger::on_alert(tx, ctx, &alert)).await;
        assert_eq!(hand(alert("1", "auc", 0)).await?, [], "another rule");
        let (first, fresh) = started(&hand(alert("2", "psi", 0)).await?).context("a start")?;
        assert!(fresh);
        assert_eq!(started(&hand(alert("2", "psi", 0)).await?), Some((first.clone(), false)), "handed in twice");
        let other = alert("3", "psi", 7 * DAY_US);
        assert_eq!(hand(other.clone()).await?.remove(0).outcome, Outcome::Busy, "the first run is under way");
        house.cancel(&first).await?;
        let early = hand(alert("4", "psi", 7 * DAY_US - 1)).await?.remove(0).outcome;
        assert_eq!(early, Outcome::Cooling { until_us: 7 * DAY_US });
        assert!(started(&hand(other).await?).is_some_and(|(_, fresh)| fresh));
        let run = house.run(&first).await?;
        assert_eq!((run.trigger_kind.as_str(), run.trigger_name.as_str()), ("alert", "drift"));
        assert_eq!(run.reason, "monitor `flights` fired `psi`");
        assert_eq!(run.event, json!({"rule": "psi"}));
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_alert_that_stays_on_starts_again_if_the_trigger_says_so() {
    on_both(MIGRATIONS, |db| async move {
        let house = house(db)?;
        let definition = |repeat: &str| {
            format!("[step.a]\nrun = \"true\"\n[trigger.t]\nkind = \"alert\"\nmonitor = \"flights\"\ncooldown = \"7d\"\n{repeat}")
        };
        house.put(&definition("")).await?;
        let still = async |at_us: i64| {
            let alert = Alert { still: true, ..alert(&format!("psi@{at_us}"), "psi", at_us) };
            with(&house, move |tx, ctx| trigger::on_alert(tx, ctx, &alert)).await
        };
        let fired = with(&house, |tx, ctx| trigger::on_alert(tx, ctx, &alert("1", "psi", 0))).await?;
        let (first, _) = started(&fired).context("a start")?;
        house.cancel(&first).await?;
        assert_eq!(still(20 * DAY_US).await?, [], "nobody asked for it");
        house.put(&definition("repeat = \"14d\"")).await?;
        assert_eq!(still(13 * DAY_US).await?.remove(0).outcome, Outcome::Cooling { until_us: 14 * DAY_US });
        let (second, fresh) = started(&still(14 * DAY_US).await?).context("a second start")?;
        assert!(fresh);
        assert_eq!(house.run(&second).await?.reason, "monitor `flights` still fires `psi`");
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn missed_times_are_made_up_for_once() {
    on_both(MIGRATIONS, |db| async move {
        let house = house(db)?;
        house.put("[step.a]\nrun = \"true\"\n[trigger.nightly]\nkind = \"cron\"\ncron = \"0 3 * * *\"").await?;
        let look = async || with(&house, trigger::on_time).await;
        assert_eq!(look().await?, [], "what came before the pipeline is not made up for");
        let next = with(&house, trigger::next_time_us).await?.context("a next time")?;
        assert_eq!(next, house.clock.now_us() + 3 * HOUR_US);
        house.clock.advance_us(3 * HOUR_US - 1);
        assert_eq!(look().await?, []);
        house.clock.advance_us(1);
        let (first, _) = started(&look().await?).context("a start")?;
        assert_eq!(look().await?, [], "once");
        house.clock.advance_us(5 * DAY_US);
        assert_eq!(look().await?.remove(0).outcome, Outcome::Busy);
        house.cancel(&first).await?;
        let (second, _) = started(&look().await?).context("a second start")?;
        let run = house.run(&second).await?;
        assert_eq!(run.reason, "scheduled for 2013-03-06T03:00:00Z", "five missed, the last made up for");
        house.cancel(&second).await?;
        assert_eq!(look().await?, []);
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn enough_new_rows_start_a_run() {
    on_both(MIGRATIONS, |db| async move {
        let house = house(db)?;
        house
            .put("[step.a]\nrun = \"true\"\n[trigger.rows]\nkind = \"data\"\ndeployment = \"d\"\nmin_new_rows = 100\ncooldown = \"1d\"")
            .await?;
        assert_eq!(with(&house, trigger::watched_deployments).await?, ["d"]);
        let count = async |rows: i64, at_us: i64| {
            with(&house, move |tx, ctx| trigger::on_labelled_rows(tx, ctx, "d", rows, at_us)).await
        };
        assert_eq!(count(99, 0).await?, []);
        let (first, _) = started(&count(130, 0).await?).context("a start")?;
        house.cancel(&first).await?;
        assert_eq!(count(229, 2 * DAY_US).await?, [], "99 since");
        assert_eq!(count(230, HOUR_US).await?.remove(0).outcome, Outcome::Cooling { until_us: DAY_US });
        assert!(started(&count(230, DAY_US).await?).is_some());
        assert_eq!(house.run(&first).await?.reason, "130 new labelled rows of deployment `d`");
        anyhow::Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_trigger_remembers_across_a_new_definition_and_forgets_when_it_is_another() {
    on_both(MIGRATIONS, |db| async move {
        let house = house(db)?;
        let rows = |deployment: &str| {
            format!("[step.a]\nrun = \"true\"\n[trigger.rows]\nkind = \"data\"\ndeployment = \"{deployment}\"\nmin_new_rows = 10")
        };
        let count = async |name: &'static str, rows: i64| {
            with(&house, move |tx, ctx| trigger::on_labelled_rows(tx, ctx, name, rows, 0)).await
        };
        house.put(&rows("d")).await?;
        let (first, _) = started(&count("d", 10).await?).context("a start")?;
        house.cancel(&first).await?;
        house.put(&rows("d").replace("true", "false")).await?;
        assert_eq!(count("d", 15).await?, [], "5 since");
        house.put(&rows("e")).await?;
        assert_eq!(count("d", 100).await?, []);
        assert!(started(&count("e", 11).await?).is_some());
        with(&house, |tx, ctx| pipeline::delete(tx, ctx, "p")).await?;
        assert_eq!(with(&house, trigger::watched_deployments).await?, [] as [String; 0]);
        let trail = house.db.read(|tx| db::events::after(tx, -1, 1_000)).await?;
        assert_eq!(trail.iter().filter(|event| event.kind == "pipeline.changed").count(), 3, "one for each change");
        assert_eq!(trail.last().context("an event")?.kind, "pipeline.deleted");
        anyhow::Ok(())
    })
    .await;
}
