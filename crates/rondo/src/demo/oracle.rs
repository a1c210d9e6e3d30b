//! Was anything lost, did anything happen twice? The sender knows what it was told had been accepted; the API says what is there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use kernel::clock::{DAY_US, rfc3339};
use kernel::event::{Event, kind};
use serde_json::json;

use super::api::Api;
use super::flights::{DAYS, Flights, START_US};
use super::progress::span;
use super::replay::Replayed;
use super::{NAME, story, tell};

/// Checks everything, and says in a line what was checked.
pub(super) async fn verify(api: &Api, flights: &Flights, replayed: &Replayed) -> anyhow::Result<String> {
    let predictions = predictions(api, flights).await?;
    let outcomes = outcomes(api, flights).await?;
    let decisions = decisions(&story::history(api).await?, api).await?;
    let killed = match replayed.kills {
        0 => String::new(),
        times => format!(", {times} kills survived, back within {}", span(replayed.slowest_start)),
    };
    let (predictions, outcomes) = (tell::thousands(predictions), tell::thousands(outcomes));
    Ok(format!("{predictions} predictions and {outcomes} outcomes are there, {decisions} decisions once each{killed}"))
}

/// Every flight was answered, so every flight is logged, and once.
async fn predictions(api: &Api, flights: &Flights) -> anyhow::Result<u64> {
    let deployment = api.get(&format!("/api/v1/deployments/{NAME}")).await?;
    let (there, sent) = (deployment["predictions"].as_u64(), flights.all().len() as u64);
    ensure!(there == Some(sent), "{sent} predictions were accepted, and {there:?} are in the log");
    Ok(sent)
}

/// Every truth was accepted, so every truth is in the labelled log with its value; and no other row is.
async fn outcomes(api: &Api, flights: &Flights) -> anyhow::Result<u64> {
    let told = flights.all().iter().filter_map(|flight| Some((flight.id.as_str(), flight.outcome?.1)));
    let mut missing: BTreeMap<&str, bool> = told.collect();
    let sent = missing.len() as u64;
    for (from, until) in story::months() {
        for row in story::labelled(api, from, until).await? {
            let expected = missing.remove(row.id.as_str());
            ensure!(expected.is_some(), "flight {} is in the log twice, or was never told about", row.id);
            ensure!(expected == Some(row.late), "the outcome of flight {} is not what was told", row.id);
        }
    }
    ensure!(missing.is_empty(), "{} outcomes are missing, {:?} first", missing.len(), missing.keys().next());
    Ok(sent)
}

/// Each cause had one effect.
async fn decisions(history: &[Event], api: &Api) -> anyhow::Result<u64> {
    let of = |wanted: &'static str| history.iter().filter(move |event| event.kind == wanted);
    let mut count = 0;
    let mut once = |what: &str, keys: Vec<String>| {
        count += keys.len() as u64;
        let different: BTreeSet<&String> = keys.iter().collect();
        ensure!(different.len() == keys.len(), "{what} happened twice: {keys:?}");
        Ok(())
    };
    let field = |event: &Event, name: &str| event.payload[name].to_string();
    once("a registration", of(kind::VERSION_REGISTERED).map(|event| field(event, "version")).collect())?;
    let verdicts =
        history.iter().filter(|event| [kind::VERDICT_PASSED, kind::VERDICT_FAILED].contains(&event.kind.as_str()));
    once("a verdict", verdicts.map(|event| field(event, "version") + &field(event, "pointer")).collect())?;
    once("a promotion", of(kind::POINTER_MOVED).map(|event| field(event, "to") + &field(event, "pointer")).collect())?;
    once("a start of a pipeline", of(kind::PIPELINE_STARTED).map(|event| field(event, "run_id")).collect())?;
    let ends =
        history.iter().filter(|event| [kind::PIPELINE_SUCCEEDED, kind::PIPELINE_FAILED].contains(&event.kind.as_str()));
    once("an end of a pipeline", ends.map(|event| field(event, "run_id")).collect())?;
    let alerts =
        of(kind::ALERT_FIRED).map(|event| field(event, "rule") + &event.payload["window"]["from_us"].to_string());
    once("an alert", alerts.collect())?;

    let runs = api.get(&format!("/api/v1/pipelines/{NAME}/runs?limit=1000")).await?;
    let runs = runs["runs"].as_array().context("the runs of the pipeline")?.clone();
    let trained = runs.iter().filter(|run| {
        let steps = run["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        steps.iter().any(|step| step["name"] == json!("train") && step["state"] == json!("succeeded"))
    });
    let trained = trained.count();
    let registered = of(kind::VERSION_REGISTERED).count();
    ensure!(registered == trained, "{trained} trainings registered {registered} versions");
    ensure!(of(kind::PIPELINE_STARTED).count() == runs.len(), "a run of the pipeline has no beginning in the trail");
    let end_us = START_US + (DAYS + 1) * DAY_US;
    let deployment = api.get(&format!("/api/v1/deployments/{NAME}")).await?;
    ensure!(deployment["watermark"] == json!(rfc3339(end_us)), "the watermark is {}", deployment["watermark"]);
    Ok(count)
}
