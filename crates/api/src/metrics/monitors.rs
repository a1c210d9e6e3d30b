//! What is known of the truth, and what the monitors say: labels that arrived, drift and quality of the last window, alerts.

use conductor::House;
use monitoring::alert::{self, Alert};
use monitoring::monitor::{self, Monitor};
use monitoring::report::{ColumnDrift, Kind as Part, Status, WindowReport};
use monitoring::window;

use super::text::{Kind, Page};

/// Most features of a monitor that have series of their own; the API knows all.
const WORST_FEATURES: usize = 20;

pub(super) async fn write(house: &House, page: &mut Page) {
    labels(house, page);
    match read(house).await {
        Ok(monitors) if !monitors.is_empty() => {
            alerts(&monitors, page);
            drift(&monitors, page);
            features(&monitors, page);
            quality(&monitors, page);
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the metrics page lacks the monitors"),
    }
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

/// A monitor with what it said last.
struct Said {
    monitor: Monitor,
    alerts: Vec<Alert>,
    drift: Option<WindowReport>,
    quality: Option<WindowReport>,
}

impl Said {
    fn labels(&self) -> [(&str, &str); 2] {
        [("deployment", &self.monitor.deployment), ("monitor", &self.monitor.name)]
    }
}

async fn read(house: &House) -> Result<Vec<Said>, monitoring::Error> {
    let ctx = house.conductor_ctx();
    let read = house.db.read(move |tx| {
        let monitors = monitor::list(tx, &ctx)?;
        let said = monitors.into_iter().map(|monitor| {
            Ok(Said {
                alerts: alert::list(tx, &ctx, &monitor.name)?,
                drift: window::last(tx, &ctx, &monitor.name, Part::Drift)?,
                quality: window::last(tx, &ctx, &monitor.name, Part::Mature)?,
                monitor,
            })
        });
        said.collect()
    });
    read.await
}

fn alerts(monitors: &[Said], page: &mut Page) {
    let help = "State of a rule: 0 ok, 1 pending, 2 firing, 3 recovering.";
    page.family("ml_alert_state", Kind::Gauge, help);
    for said in monitors {
        for alert in &said.alerts {
            let labels = [said.labels().as_slice(), &[("alert", alert.rule.as_str())]].concat();
            page.sample("ml_alert_state", &labels, f64::from(alert.state as u8));
        }
    }
}

fn drift(monitors: &[Said], page: &mut Page) {
    let reports = || monitors.iter().filter_map(|said| Some((said.labels(), said.drift.as_ref()?)));
    page.family("ml_drift_share", Kind::Gauge, "Share of the compared features that drifted in the last window.");
    for (labels, report) in reports() {
        if let Some(share) = report.drift.share() {
            page.sample("ml_drift_share", &labels, share);
        }
    }
    page.family(
        "ml_prediction_drift_score",
        Kind::Gauge,
        "Population stability index of the prediction in the last window.",
    );
    for (labels, report) in reports() {
        if let Some(psi) = report.drift.prediction.as_ref().and_then(|column| column.psi) {
            page.sample("ml_prediction_drift_score", &labels, psi);
        }
    }
    page.family("ml_monitor_window_end_timestamp_seconds", Kind::Gauge, "End of the last window, in event time.");
    for (labels, report) in reports() {
        page.sample("ml_monitor_window_end_timestamp_seconds", &labels, report.until_us as f64 / 1e6);
    }
    page.family("ml_monitor_window_predictions", Kind::Gauge, "Predictions in the last window.");
    for (labels, report) in reports() {
        page.sample("ml_monitor_window_predictions", &labels, report.n as f64);
    }
}

/// The name of a family, what it says, and its value for a column.
type OfFeature = (&'static str, &'static str, fn(&ColumnDrift) -> Option<f64>);

const OF_FEATURES: [OfFeature; 5] = [
    ("ml_drift_score", "Population stability index of a feature in the last window.", |column| column.psi),
    ("ml_drift_pvalue", "p-value of a feature against the reference.", |column| column.p_value),
    ("ml_drift_detected", "1 if a feature drifted in the last window.", |column| {
        (column.status != Status::NotApplicable).then(|| f64::from(u8::from(column.status == Status::Drift)))
    }),
    ("ml_feature_missing_ratio", "Share of missing values of a feature.", |column| Some(column.missing.value)),
    ("ml_feature_unseen_ratio", "Share of values that the reference has not seen.", |column| Some(column.unseen.value)),
];

fn features(monitors: &[Said], page: &mut Page) {
    for (name, help, value) in OF_FEATURES {
        page.family(name, Kind::Gauge, help);
        for said in monitors {
            let Some(report) = &said.drift else { continue };
            for column in worst(report) {
                if let Some(value) = value(column) {
                    let labels = [said.labels().as_slice(), &[("feature", column.name.as_str())]].concat();
                    page.sample(name, &labels, value);
                }
            }
        }
    }
}

/// The features that drifted most, by their effect.
fn worst(report: &WindowReport) -> Vec<&ColumnDrift> {
    let mut columns: Vec<&ColumnDrift> = report.drift.features.iter().collect();
    columns.sort_by(|a, b| b.psi.unwrap_or(0.0).total_cmp(&a.psi.unwrap_or(0.0)));
    columns.truncate(WORST_FEATURES);
    columns
}

fn quality(monitors: &[Said], page: &mut Page) {
    let families = [
        ("ml_quality", "Quality over the last window whose outcomes are in."),
        ("ml_quality_lower", "Lower bound of the 95 % interval of ml_quality."),
        ("ml_quality_upper", "Upper bound of the 95 % interval of ml_quality."),
    ];
    for (at, (name, help)) in families.into_iter().enumerate() {
        page.family(name, Kind::Gauge, help);
        for said in monitors {
            for measure in said.quality.iter().flat_map(|report| &report.quality) {
                let value = [measure.value, measure.low, measure.high].get(at).copied().flatten();
                let labels = [said.labels().as_slice(), &[("metric", measure.metric.as_str())]].concat();
                if let Some(value) = value {
                    page.sample(name, &labels, value);
                }
            }
        }
    }
}
