//! The story of the year, gathered from the API alone.

use anyhow::Context as _;
use kernel::clock::{parse_us, rfc3339};
use kernel::event::Event;
use monitoring::quality::{self, Metric};
use monitoring::report::WindowReport;
use serde::Serialize;

use super::api::Api;
use super::replay::{self, Replayed};
use super::tell::{self, Headline};
use super::{NAME, flights};

/// Everything that is told at the end.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    /// The months of the replay.
    pub(super) months: Vec<Month>,
    /// What happened, in order.
    pub(super) happened: Vec<Headline>,
    /// Equal for two replays that ended in the same state.
    pub(super) fingerprint: String,
    /// Predictions of this replay.
    pub(super) predictions: u64,
    /// The same per second of waiting for them.
    pub(super) predictions_per_second: Option<String>,
    /// Seconds of the replay.
    pub(super) replay_seconds: f64,
    /// How often the server was killed.
    pub(super) kills: u32,
}

/// A month.
#[derive(Debug, Serialize)]
pub(super) struct Month {
    /// `2013-03`.
    pub(super) name: String,
    /// Who answered, in order.
    pub(super) versions: Vec<String>,
    /// Flights with an outcome.
    pub(super) flights: u64,
    /// The share of those that were late.
    pub(super) late: f64,
    /// Value and 95 % interval.
    pub(super) auc: Option<(f64, f64, f64)>,
    /// Value and 95 % interval.
    pub(super) brier: Option<(f64, f64, f64)>,
    /// What the windows that ended in this month found.
    pub(super) drift: Drift,
}

/// What the monitor found in the windows of a month.
#[derive(Debug, Default, Serialize)]
pub(super) struct Drift {
    /// Windows.
    pub(super) windows: usize,
    /// The most features that drifted strongly in one of them.
    pub(super) strong: u64,
    /// Features that were compared.
    pub(super) compared: u64,
    /// The features that drifted strongly in any of them, most often first.
    pub(super) features: Vec<String>,
}

/// A row of the labelled log.
#[derive(Debug)]
pub(super) struct Labelled {
    pub(super) id: String,
    pub(super) late: bool,
    version: String,
    score: f64,
}

/// Gathers the story.
pub(super) async fn gather(api: &Api, replayed: &Replayed) -> anyhow::Result<Story> {
    let windows = api.get(&format!("/api/v1/monitors/{NAME}/windows?limit=1000")).await?;
    let windows: Vec<WindowReport> = serde_json::from_value(windows["windows"].clone()).context("the windows")?;
    let mut told = Vec::new();
    for (from_us, until_us) in months() {
        let rows = labelled(api, from_us, until_us).await?;
        let ended = windows.iter().filter(|window| (from_us..until_us).contains(&(window.until_us - 1)));
        told.push(month(from_us, &rows, drift(ended)));
    }
    let happened = tell::headlines(&history(api).await?);
    let fingerprint = fingerprint(&told, &happened)?;
    Ok(Story {
        months: told,
        happened,
        fingerprint,
        predictions: replayed.predicted,
        predictions_per_second: replay::rate(replayed),
        replay_seconds: replayed.took.as_secs_f64(),
        kills: replayed.kills,
    })
}

/// Every decision about the model, in order.
pub(super) async fn history(api: &Api) -> anyhow::Result<Vec<Event>> {
    let answer = api.get(&format!("/api/v1/models/{NAME}/history?limit=10000")).await?;
    serde_json::from_value(answer["events"].clone()).context("the history of the model")
}

/// The months of the replay, begin and end. They begin, like its days, at midnight New York winter time; the last one takes in
/// what comes after.
pub(super) fn months() -> Vec<(i64, i64)> {
    let begin = |month: i64| {
        let (year, month) = (2013 + (month - 1) / 12, (month - 1) % 12 + 1);
        parse_us(&format!("{year}-{month:02}-01T05:00:00Z")).unwrap_or(flights::START_US)
    };
    (3..=12).map(|month| (begin(month), begin(month + 1))).collect()
}

/// The flights of a span of time whose outcome is known.
pub(super) async fn labelled(api: &Api, from_us: i64, until_us: i64) -> anyhow::Result<Vec<Labelled>> {
    let (from, until) = (rfc3339(from_us), rfc3339(until_us));
    let text = api.text(&format!("/api/v1/deployments/{NAME}/labelled?from={from}&until={until}")).await?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heading = reader.headers()?.clone();
    let column = |name: &str| heading.iter().position(|one| one == name).with_context(|| format!("no column `{name}`"));
    let [id, version, score, outcome] =
        [column("prediction_id")?, column("version")?, column("score")?, column("outcome")?];
    let row = |record: csv::Result<csv::StringRecord>| {
        let record = record?;
        let number = |at: usize| record[at].parse::<f64>().with_context(|| format!("`{}` is no number", &record[at]));
        Ok(Labelled {
            id: record[id].to_owned(),
            version: record[version].to_owned(),
            score: number(score)?,
            late: number(outcome)? == 1.0,
        })
    };
    reader.records().map(row).collect()
}

fn month(from_us: i64, rows: &[Labelled], drift: Drift) -> Month {
    let scores: Vec<f64> = rows.iter().map(|row| row.score).collect();
    let truths: Vec<f64> = rows.iter().map(|row| f64::from(u8::from(row.late))).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let measures = quality::binary(&scores, &truths, &ids);
    let of = |metric| measures.iter().find(|measure| measure.metric == metric).and_then(quality::Measure::complete);
    let mut versions: Vec<String> = Vec::new();
    for row in rows {
        if !versions.contains(&row.version) {
            versions.push(row.version.clone());
        }
    }
    Month {
        name: tell::date(from_us).chars().take(7).collect(),
        versions,
        flights: rows.len() as u64,
        late: truths.iter().sum::<f64>() / truths.len().max(1) as f64,
        auc: of(Metric::Auc),
        brier: of(Metric::Brier),
        drift,
    }
}

fn drift<'w>(windows: impl Iterator<Item = &'w WindowReport>) -> Drift {
    let mut found = Drift::default();
    let mut counts: Vec<(String, usize)> = Vec::new();
    for window in windows {
        found.windows += 1;
        found.strong = found.strong.max(window.drift.strong);
        found.compared = found.compared.max(window.drift.compared);
        for column in window.drift.features.iter().filter(|column| column.strong) {
            match counts.iter_mut().find(|(name, _)| *name == column.name) {
                Some((_, count)) => *count += 1,
                None => counts.push((column.name.clone(), 1)),
            }
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    found.features = counts.into_iter().map(|(name, _)| name).collect();
    found
}

/// A digest of what must be the same however often the server was killed.
fn fingerprint(months: &[Month], happened: &[Headline]) -> anyhow::Result<String> {
    let text = serde_json::to_string(&(months, happened))?;
    Ok(kernel::digest::of(text.as_bytes()).chars().take(16).collect())
}
