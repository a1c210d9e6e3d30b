//! The measurement itself.

use std::sync::Arc;

use kernel::clock::rfc3339;
use kernel::digest;
use kernel::frame::Column;
use monitoring::compare::{self, Metric, Paired, Slice};
use registry::policy::Policy;
use registry::verdict::{Digests, NewVerdict};
use serde_json::json;
use telemetry::{Rows, Scan};

use super::Evaluate;
use super::subject::{self, Side, Subject};
use crate::{Error, House, admission, version_files};

/// At most this many of the newest rows are used.
const MAX_ROWS: usize = 50_000;
/// A slice with fewer rows is reported, not judged.
const MIN_SLICE_ROWS: usize = 200;

/// Measures the candidate and says whether it may hold the pointer.
pub(super) async fn verdict(house: &House, wanted: &Evaluate) -> Result<NewVerdict, Error> {
    let (ctx, asked) = (house.conductor_ctx(), wanted.clone());
    let subject = house.db.read(move |tx| subject::read(tx, &ctx, &asked)).await?;
    let candidate = version_files::load(house, &subject.candidate.version).await?;
    let Some(champion_side) = subject.champion.clone() else {
        return Ok(rubber_stamp(wanted, &subject, &candidate));
    };
    let champion = version_files::load(house, &champion_side.version).await?;
    let rows = holdout(house, wanted, &subject, &champion_side).await?;
    let wanted = wanted.clone();
    let judged = move || judge(&wanted, &subject, &champion_side, [&candidate, &champion], &rows);
    tokio::task::spawn_blocking(judged).await?
}

/// The first version has no champion; that is recorded, not hidden.
fn rubber_stamp(wanted: &Evaluate, subject: &Subject, candidate: &inference::Model) -> NewVerdict {
    NewVerdict {
        model: wanted.model.clone(),
        version: wanted.version.clone(),
        pointer: wanted.pointer.clone(),
        passed: true,
        digests: digests(subject, candidate, None),
        evidence: json!({
            "reason": "no champion holds the pointer, so there is nothing to compare with; the model was opened",
            "trained_until": subject.candidate.trained_until_us.map(rfc3339),
        }),
        ..NewVerdict::default()
    }
}

/// The most recent labelled rows that neither side was trained on.
async fn holdout(house: &House, wanted: &Evaluate, subject: &Subject, champion: &Side) -> Result<Rows, Error> {
    let deployment = wanted.deployment.clone().ok_or_else(|| {
        Error::Unproven(format!(
            "no deployment follows {} of `{}`, so there are no labelled rows",
            wanted.pointer, wanted.model
        ))
    })?;
    let mark = house.log.watermark(&deployment);
    let until_us = mark.declared_us.into_iter().chain(mark.max_event_us.map(|at| at + 1)).max().unwrap_or(0);
    let trained_us = subject.candidate.trained_until_us()?.max(champion.trained_until_us()?);
    let scan = Scan {
        deployment,
        from_us: trained_us.max(until_us - subject.policy.holdout_us),
        until_us,
        version: None,
        as_of_us: None,
        labelled_only: true,
        newest: Some(MAX_ROWS),
    };
    let from_us = scan.from_us;
    let rows = house.log.scan(scan).await?;
    let needed = usize::try_from(subject.policy.min_rows).unwrap_or(usize::MAX);
    if rows.ids.len() < needed {
        return Err(Error::Unproven(format!(
            "only {} labelled rows between {} and {} are new to both versions; the policy asks for {needed}",
            rows.ids.len(),
            rfc3339(from_us),
            rfc3339(until_us),
        )));
    }
    Ok(rows)
}

fn judge(
    wanted: &Evaluate,
    subject: &Subject,
    champion_side: &Side,
    [candidate, champion]: [&Arc<inference::Model>; 2],
    rows: &Rows,
) -> Result<NewVerdict, Error> {
    let truths = truths(candidate, rows)?;
    let scored = |model: &inference::Model| {
        Ok::<_, Error>(model.predict(&serving::decode::align(model, &rows.features)?)?.scores)
    };
    let (new, old) = (scored(candidate)?, scored(champion)?);
    let metric = metric(&subject.policy, candidate)?;
    let seed = seed(wanted);
    let overall = compare::paired(metric, &new, &old, &truths, seed)?;
    let margin = subject.policy.margin;
    let slices = slices(&subject.policy, rows, [&new, &old, &truths], metric, seed)?;
    let bad: Vec<&str> = slices.iter().filter(|slice| fails(slice, margin)).map(|slice| slice.value.as_str()).collect();
    let passed = overall.low >= -margin && bad.is_empty();
    Ok(NewVerdict {
        model: wanted.model.clone(),
        version: wanted.version.clone(),
        champion: Some(champion_side.version.version.clone()),
        pointer: wanted.pointer.clone(),
        passed,
        metric: Some(metric.as_str().to_owned()),
        difference: Some(overall.difference),
        low: Some(overall.low),
        high: Some(overall.high),
        rows: rows.ids.len() as i64,
        slices: json!(slices),
        digests: digests(subject, candidate, Some((rows, &truths))),
        evidence: json!({
            "reason": reason(&overall, metric, margin, &bad),
            "candidate": overall.candidate, "champion": overall.champion, "margin": margin,
            "confidence": overall.confidence, "resamples": overall.resamples,
            "from": rows.event_time_us.first().copied().map(rfc3339),
            "until": rows.event_time_us.last().copied().map(rfc3339),
            "candidate_trained_until": subject.candidate.trained_until_us.map(rfc3339),
            "champion_trained_until": champion_side.trained_until_us.map(rfc3339),
            "champion_digest": champion.info().digest,
        }),
    })
}

fn reason(overall: &Paired, metric: Metric, margin: f64, bad: &[&str]) -> String {
    let name = metric.as_str();
    let interval = format!("{:+.5} [{:+.5}, {:+.5}]", overall.difference, overall.low, overall.high);
    if overall.low < -margin {
        format!("{name} may be worse than the champion's by more than the margin of {margin}: {interval}")
    } else if bad.is_empty() && overall.low > 0.0 {
        format!("{name} is better than the champion's: {interval}")
    } else if bad.is_empty() {
        format!("{name} holds within the margin of {margin}: {interval}")
    } else {
        format!("{name} is worse on {}", bad.join(", "))
    }
}

/// A slice fails when the candidate is worse on it beyond doubt; being undecided on few rows is not a failure.
fn fails(slice: &Slice, margin: f64) -> bool {
    slice.paired.as_ref().is_some_and(|paired| paired.high < -margin)
}

/// Each value of the policy's slice columns, compared alone, under the name `column=value`.
fn slices(policy: &Policy, rows: &Rows, sides: [&[f64]; 3], metric: Metric, seed: u64) -> Result<Vec<Slice>, Error> {
    let mut found = Vec::new();
    for column in &policy.slices {
        let Some(Column::Text(labels)) = rows.features.column(column) else {
            return Err(Error::Unproven(format!("the slice column `{column}` is not a text column of the log")));
        };
        let named = compare::paired_slices(metric, sides, labels, MIN_SLICE_ROWS, seed);
        found.extend(named.into_iter().map(|slice| Slice { value: format!("{column}={}", slice.value), ..slice }));
    }
    Ok(found)
}

/// Outcomes as the numbers that metrics compare with.
fn truths(model: &inference::Model, rows: &Rows) -> Result<Vec<f64>, Error> {
    let task = admission::task(model);
    let truth = |cell| {
        task.truth(cell)
            .ok_or_else(|| Error::Unproven(format!("the outcome {cell:?} is not a value this model predicts")))
    };
    rows.outcomes.iter().map(truth).collect()
}

fn metric(policy: &Policy, model: &inference::Model) -> Result<Metric, Error> {
    match policy.metric.as_str() {
        "auto" => match model.task() {
            inference::Task::Regression => Ok(Metric::Rmse),
            inference::Task::Binary => Ok(Metric::Brier),
            inference::Task::Multiclass(_) => {
                Err(Error::Unproven("models of more than two classes cannot be compared yet".to_owned()))
            }
        },
        name => {
            Metric::parse(name).ok_or_else(|| Error::Unproven(format!("the policy's metric `{name}` is not known")))
        }
    }
}

fn digests(subject: &Subject, candidate: &inference::Model, data: Option<(&Rows, &[f64])>) -> Digests {
    let data = data.map(|(rows, outcomes)| {
        let mut digest = digest::Builder::default();
        for (id, outcome) in rows.ids.iter().zip(outcomes) {
            digest.piece(id.as_bytes()).piece(&outcome.to_le_bytes());
        }
        digest.finish()
    });
    Digests {
        model: Some(candidate.info().digest.clone()),
        data,
        code: subject.candidate.code.clone(),
        thresholds: Some(subject.policy.thresholds_digest()),
    }
}

/// The same question draws the same resamples.
fn seed(wanted: &Evaluate) -> u64 {
    let digest = digest::of(format!("{}/{}/{}", wanted.model, wanted.version, wanted.pointer).as_bytes());
    u64::from_str_radix(&digest[..16], 16).unwrap_or(0)
}
