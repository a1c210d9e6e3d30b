//! Predictions, their errors and latency, by deployment.

use serving::stats::{BOUNDS, VersionCounts};
use serving::{State, Status};

use super::text::{Kind, Page, number};

pub(super) fn write(fleet: &[Status], page: &mut Page) {
    if fleet.is_empty() {
        return;
    }
    predictions(fleet, page);
    errors(fleet, page);
    durations(fleet, page);
    state(fleet, page);
}

fn predictions(fleet: &[Status], page: &mut Page) {
    page.family("ml_predictions_total", Kind::Counter, "Predictions given, one for each row.");
    for (status, version) in versions(fleet) {
        let labels = labels(status, version);
        page.sample("ml_predictions_total", &labels, version.predictions as f64);
    }
}

fn errors(fleet: &[Status], page: &mut Page) {
    page.family("ml_prediction_errors_total", Kind::Counter, "Requests that got no prediction, by class of the error.");
    for status in fleet {
        for (code, count) in &status.errors {
            let labels = [("deployment", status.deployment.as_str()), ("code", code)];
            page.sample("ml_prediction_errors_total", &labels, *count as f64);
        }
    }
}

fn durations(fleet: &[Status], page: &mut Page) {
    let name = "ml_prediction_duration_seconds";
    page.family(name, Kind::Histogram, "Time from the request to the answer, the log included.");
    for (status, version) in versions(fleet) {
        let labels = labels(status, version);
        let mut cumulated = 0;
        let bounds = BOUNDS.iter().map(|bound| number(*bound)).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(version.buckets) {
            cumulated += count;
            let bucket = [labels.as_slice(), &[("le", bound.as_str())]].concat();
            page.sample("ml_prediction_duration_seconds_bucket", &bucket, cumulated as f64);
        }
        page.sample("ml_prediction_duration_seconds_sum", &labels, version.seconds);
        page.sample("ml_prediction_duration_seconds_count", &labels, cumulated as f64);
    }
}

fn state(fleet: &[Status], page: &mut Page) {
    page.family("ml_deployment_ready", Kind::Gauge, "1 if the deployment has a version that answers.");
    for status in fleet {
        let ready = f64::from(u8::from(status.state == State::Ready));
        page.sample("ml_deployment_ready", &[("deployment", &status.deployment)], ready);
    }
    page.family("ml_model_memory_bytes", Kind::Gauge, "Memory that the live version of a deployment holds.");
    for status in fleet {
        if let Some(live) = &status.live {
            let labels =
                [("deployment", status.deployment.as_str()), ("model", live.model_name()), ("version", live.version())];
            page.sample("ml_model_memory_bytes", &labels, live.model().info().memory_bytes as f64);
        }
    }
    page.family("ml_deployment_draining", Kind::Gauge, "Replaced versions that requests still hold.");
    for status in fleet {
        page.sample("ml_deployment_draining", &[("deployment", &status.deployment)], status.draining as f64);
    }
}

fn versions(fleet: &[Status]) -> impl Iterator<Item = (&Status, &VersionCounts)> {
    fleet.iter().flat_map(|status| status.versions.iter().map(move |version| (status, version)))
}

fn labels<'a>(status: &'a Status, version: &'a VersionCounts) -> [(&'a str, &'a str); 3] {
    [("deployment", &status.deployment), ("model", &version.model), ("version", &version.version)]
}
