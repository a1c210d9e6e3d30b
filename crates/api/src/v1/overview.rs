//! One question, one answer: what is in production, since when, on what evidence, and how it is doing right now.

use access::Permission::View;
use axum::Json;
use axum::extract::State;
use conductor::House;
use db::Tx;
use kernel::ctx::Ctx;
use kernel::error::Classified as _;
use monitoring::report::{Kind, WindowReport};
use registry::verdict::Verdict;
use serde_json::{Map, Value, json};
use serving::deployment::Deployment;

use super::{Answer, Routes, deployment, model, run};
use crate::principal::Caller;
use crate::route::get;

pub(super) fn routes() -> Routes {
    Routes::new().route("/overview", get(View, overview))
}

async fn overview(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let (deployments, counts) =
        house.db.read(move |tx| Ok::<_, conductor::Error>((all(tx, &ctx)?, counts(tx, &ctx)?))).await?;
    let shown: Vec<Value> = deployments
        .into_iter()
        .map(|(stored, mut rest)| {
            if let (Value::Object(live), Some(rest)) = (deployment::show(&house, &stored), rest.as_object_mut()) {
                rest.extend(live);
            }
            rest
        })
        .collect();
    let status = conductor::status::of(&house).await?;
    Ok(Json(json!({ "deployments": shown, "loop": status, "counts": counts })))
}

/// Each deployment with its verdict, its alerts and its newest window.
fn all(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<(Deployment, Value)>, conductor::Error> {
    let alerts = monitoring::alert::active(tx, ctx)?;
    let monitors = monitoring::monitor::list(tx, ctx)?;
    let mut found = Vec::new();
    for stored in serving::deployment::list(tx, ctx)? {
        let verdict = verdicts(tx, ctx, &stored.model)?
            .into_iter()
            .find(|verdict| verdict.passed && Some(&verdict.version) == stored.target_version.as_ref());
        let monitor = monitors.iter().find(|monitor| monitor.deployment == stored.name);
        let window = match monitor {
            Some(monitor) => newest(tx, ctx, &monitor.name)?,
            None => None,
        };
        let firing: Vec<Value> = alerts
            .iter()
            .filter(|alert| monitor.is_some_and(|monitor| monitor.name == alert.monitor))
            .map(|alert| json!(alert))
            .collect();
        let rest = json!({
            "verdict": verdict.as_ref().map(model::verdict), "alerts": firing,
            "monitor": monitor.map(|monitor| monitor.name.clone()), "last_window": window.as_ref().map(short),
        });
        found.push((stored, rest));
    }
    Ok(found)
}

/// The newest verdicts on a model; none if the model is not there yet.
fn verdicts(tx: &mut Tx<'_>, ctx: &Ctx, model: &str) -> Result<Vec<Verdict>, registry::Error> {
    match registry::verdict::list(tx, ctx, model, 50) {
        Err(error) if error.kind() == kernel::error::Kind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// The newest window, and of its two reports the final one if it is there.
fn newest(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &str) -> Result<Option<WindowReport>, monitoring::Error> {
    let drift = monitoring::window::last(tx, ctx, monitor, Kind::Drift)?;
    let mature = monitoring::window::last(tx, ctx, monitor, Kind::Mature)?;
    Ok(match (drift, mature) {
        (Some(drift), Some(mature)) if mature.from_us >= drift.from_us => Some(mature),
        (drift, mature) => drift.or(mature),
    })
}

fn short(window: &WindowReport) -> Value {
    let metrics: Map<String, Value> =
        window.quality.iter().map(|measure| (measure.metric.as_str().to_owned(), json!(measure))).collect();
    json!({
        "from_us": window.from_us, "until_us": window.until_us, "n": window.n, "outcomes": window.outcomes,
        "provisional": window.provisional, "drift_share": window.drift.share(), "drifted": window.drift.drifted,
        "metrics": metrics,
    })
}

fn counts(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Value, conductor::Error> {
    let experiments = run::active(tx, ctx)?;
    Ok(json!({
        "experiments": experiments.len(),
        "models": model::known(tx, ctx)?.len(),
        "deployments": serving::deployment::list(tx, ctx)?.len(),
        "pipelines": pipelines::pipeline::list(tx, ctx)?.len(),
    }))
}
