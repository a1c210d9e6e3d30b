//! What is known of the truth, and of the monitors: labels that arrived, how far the event time has come, alerts.

use conductor::House;

use super::text::{Kind, Page};

pub(super) async fn write(house: &House, page: &mut Page) {
    labels(house, page);
    alerts(house, page).await;
}

fn labels(house: &House, page: &mut Page) {
    let deployments = house.log.deployments();
    if deployments.is_empty() {
        return;
    }
    page.family("ml_labels_joined_total", Kind::Counter, "Predictions whose outcome has arrived.");
    for deployment in &deployments {
        let joined = house.log.counts(deployment).outcomes as f64;
        page.sample("ml_labels_joined_total", &[("deployment", deployment)], joined);
    }
    page.family("ml_labels_pending", Kind::Gauge, "Predictions that wait for their outcome.");
    for deployment in &deployments {
        let counts = house.log.counts(deployment);
        let pending = counts.predictions.saturating_sub(counts.outcomes) as f64;
        page.sample("ml_labels_pending", &[("deployment", deployment)], pending);
    }
    let help = "Event time up to which everything has been sent, in seconds since the epoch.";
    page.family("ml_label_watermark_timestamp_seconds", Kind::Gauge, help);
    for deployment in &deployments {
        if let Some(at_us) = house.log.watermark(deployment).declared_us {
            let seconds = at_us as f64 / 1e6;
            page.sample("ml_label_watermark_timestamp_seconds", &[("deployment", deployment)], seconds);
        }
    }
}

async fn alerts(_house: &House, _page: &mut Page) {}
