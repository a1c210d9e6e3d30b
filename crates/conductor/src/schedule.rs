//! What starts pipelines: alerts through the table of reactions, the clock and new data through this task.

use std::time::Duration;

use db::Tx;
use kernel::clock::rfc3339;
use kernel::ctx::{Ctx, Principal};
use kernel::event::Event;
use kernel::task::Shutdown;
use monitoring::alert::State;
use monitoring::report::WindowReport;
use pipelines::trigger::{self, Alert, Decision, Outcome};
use serde_json::json;

use crate::{Error, House};

const TICK: Duration = Duration::from_secs(1);

/// Hands an alert to the pipelines that wait for it; the event is the key, so it starts each of them once.
pub fn on_alert(tx: &mut Tx<'_>, ctx: &Ctx, event: &Event) -> Result<(), Error> {
    let payload = &event.payload;
    let alert = Alert {
        monitor: event.subject.strip_prefix("monitor/").unwrap_or_default().to_owned(),
        rule: payload["rule"].as_str().unwrap_or_default().to_owned(),
        key: event.seq.to_string(),
        still: false,
        at_us: payload["window"]["until_us"].as_i64().unwrap_or(event.at_us),
        event: json!({ "kind": event.kind, "subject": event.subject, "model": event.model, "payload": payload }),
    };
    hand_in(tx, ctx, &alert)
}

/// Hands the alerts that are still on after another window to the pipelines that want to hear of them again. An alert that fired at
/// the end of this window is not among them: that it fired is told by its event.
pub(crate) fn while_on(tx: &mut Tx<'_>, ctx: &Ctx, report: &WindowReport) -> Result<(), Error> {
    for alert in monitoring::alert::active(tx, ctx)? {
        if alert.monitor != report.monitor || alert.state != State::Firing || alert.since_us >= report.until_us {
            continue;
        }
        let alert = Alert {
            key: format!("{}@{}", alert.rule, rfc3339(report.until_us)),
            still: true,
            at_us: report.until_us,
            event: json!({ "subject": format!("monitor/{}", alert.monitor), "payload": alert }),
            monitor: alert.monitor,
            rule: alert.rule,
        };
        hand_in(tx, ctx, &alert)?;
    }
    Ok(())
}

fn hand_in(tx: &mut Tx<'_>, ctx: &Ctx, alert: &Alert) -> Result<(), Error> {
    for decision in trigger::on_alert(tx, ctx, alert)? {
        tell(&decision);
    }
    Ok(())
}

/// Starts what the clock and the data ask for, until the shutdown.
pub(crate) async fn run(house: &House, mut shutdown: Shutdown) {
    loop {
        if let Err(error) = tick(house).await {
            tracing::error!(%error, "the scheduler cannot read what is due and will try again");
        }
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn tick(house: &House) -> Result<(), Error> {
    for house in house.all().await? {
        tick_of_one(&house).await?;
    }
    Ok(())
}

async fn tick_of_one(house: &House) -> Result<(), Error> {
    let ctx = house.ctx(Principal::System("scheduler"));
    let reading = ctx.clone();
    let (next_us, watched) = house
        .db
        .read(move |tx| {
            Ok::<_, Error>((trigger::next_time_us(tx, &reading)?, trigger::watched_deployments(tx, &reading)?))
        })
        .await?;
    if watched.is_empty() && next_us.is_none_or(|at| at > ctx.now_us) {
        return Ok(());
    }
    let labelled: Vec<(String, i64, i64)> = watched.into_iter().map(|name| labelled(house, name)).collect();
    let decisions = house
        .db
        .write(move |tx| {
            let mut decisions = trigger::on_time(tx, &ctx)?;
            for (name, rows, at_us) in &labelled {
                decisions.extend(trigger::on_labelled_rows(tx, &ctx, name, *rows, *at_us)?);
            }
            Ok::<_, Error>(decisions)
        })
        .await?;
    decisions.iter().for_each(tell);
    if !decisions.is_empty() {
        house.nudge();
    }
    Ok(())
}

/// A deployment, its labelled rows and how far its event time has come.
fn labelled(house: &House, name: String) -> (String, i64, i64) {
    let mark = house.log.watermark(&name);
    let at_us = mark.declared_us.or(mark.max_event_us).unwrap_or(0);
    let rows = i64::try_from(house.log.counts(&name).outcomes).unwrap_or(i64::MAX);
    (name, rows, at_us)
}

fn tell(decision: &Decision) {
    let (pipeline, trigger) = (&decision.pipeline, &decision.trigger);
    match &decision.outcome {
        Outcome::Started(started) if started.fresh => {
            tracing::info!(
                pipeline.name = pipeline,
                pipeline.trigger = trigger,
                run.id = started.run_id,
                "a pipeline starts"
            );
        }
        Outcome::Started(_) => {}
        Outcome::Cooling { until_us } => {
            tracing::info!(
                pipeline.name = pipeline,
                pipeline.trigger = trigger,
                until_us,
                "a pipeline rests after its last start"
            );
        }
        Outcome::Busy => {
            tracing::info!(pipeline.name = pipeline, pipeline.trigger = trigger, "a pipeline is running already");
        }
    }
}
