//! Monitors, their windows and alerts.

use std::collections::BTreeMap;

use access::Permission::{Edit, View};
use axum::Json;
use axum::extract::{Path, State};
use conductor::House;
use monitoring::monitor::Monitor;
use monitoring::report::{Kind, WindowReport};
use monitoring::window::{self, Listing};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, Query, Routes, body};
use crate::principal::Caller;
use crate::route::get;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/monitors", get(View, list))
        .route("/monitors/{name}", get(View, one).put(Edit, put).delete(Edit, delete))
        .route("/monitors/{name}/windows", get(View, windows))
        .route("/alerts", get(View, alerts))
}

async fn list(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let monitors = house
        .db
        .read(move |tx| {
            let firing = monitoring::alert::active(tx, &ctx)?;
            let mut shown = Vec::new();
            for monitor in monitoring::monitor::list(tx, &ctx)? {
                let rules: Vec<&str> = firing
                    .iter()
                    .filter(|alert| alert.monitor == monitor.name)
                    .map(|alert| alert.rule.as_str())
                    .collect();
                let last = window::last(tx, &ctx, &monitor.name, Kind::Drift)?;
                shown.push(json!({
                    "name": monitor.name, "deployment": monitor.deployment, "firing": rules,
                    "last_window_us": last.map(|window| window.until_us), "definition": monitor.without_secret(),
                }));
            }
            Ok::<_, monitoring::Error>(shown)
        })
        .await?;
    Ok(Json(json!({ "monitors": monitors })))
}

async fn one(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let monitor = house.db.read(move |tx| monitoring::monitor::get(tx, &ctx, &name)).await?;
    Ok(Json(monitor.without_secret()))
}

/// `PUT /monitors/NAME`: the definition; makes it or replaces it.
async fn put(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(mut definition): Body<serde_json::Map<String, Value>>,
) -> Answer {
    definition.insert("name".to_owned(), json!(name));
    let monitor: Monitor = body::read(Value::Object(definition))?;
    let (ctx, stored) = (house.ctx(who), monitor.clone());
    house
        .db
        .write(move |tx| {
            serving::deployment::get(tx, &ctx, &stored.deployment)?;
            Ok::<_, conductor::Error>(monitoring::monitor::put(tx, &ctx, &stored)?)
        })
        .await?;
    house.nudge();
    Ok(Json(monitor.without_secret()))
}

async fn delete(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    house.db.write(move |tx| monitoring::monitor::delete(tx, &ctx, &name)).await?;
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
struct Which {
    limit: Option<usize>,
}

/// `GET /monitors/NAME/windows?limit=`: what each window said, oldest first; a final report stands in for the provisional one.
async fn windows(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Answer {
    let ctx = house.ctx(who);
    let limit = which.limit.unwrap_or(100).clamp(1, 1_000);
    let reports = house
        .db
        .read(move |tx| {
            monitoring::monitor::get(tx, &ctx, &name)?;
            window::list(tx, &ctx, &name, &Listing { newest: Some(2 * limit), ..Listing::default() })
        })
        .await?;
    let mut windows = one_each(reports);
    windows.drain(..windows.len().saturating_sub(limit));
    Ok(Json(json!({ "windows": windows })))
}

/// One report for each window: the final one if it is there.
fn one_each(reports: Vec<WindowReport>) -> Vec<WindowReport> {
    let mut by_start: BTreeMap<i64, WindowReport> = BTreeMap::new();
    for report in reports {
        if report.kind == Kind::Mature || !by_start.contains_key(&report.from_us) {
            by_start.insert(report.from_us, report);
        }
    }
    by_start.into_values().collect()
}

/// `GET /alerts`: the state of every rule that is or was on, the firing ones first.
async fn alerts(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let alerts = house
        .db
        .read(move |tx| {
            let mut alerts = Vec::new();
            for monitor in monitoring::monitor::list(tx, &ctx)? {
                alerts.extend(monitoring::alert::list(tx, &ctx, &monitor.name)?);
            }
            alerts.sort_by_key(|alert| !alert.state.is_active());
            Ok::<_, monitoring::Error>(alerts)
        })
        .await?;
    Ok(Json(json!({ "alerts": alerts })))
}
