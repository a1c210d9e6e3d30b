//! Closed segments become Parquet objects.
//!
//! The order makes a crash harmless: objects (their names depend on the segment only, so doing it again replaces them), id list,
//! manifest entry, and only then the segment is removed. A segment with an entry is never read again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use blob::SafePath;
use bytes::Bytes;

use crate::chunk::Chunk;
use crate::codec::Source;
use crate::key;
use crate::manifest::{Converted, OutcomeFile, PredictionFile};
use crate::outcomes::{OutcomeTable, Truth};
use crate::seen::DeploymentNumber;
use crate::shared::Shared;
use crate::state::Closed;
use crate::{Error, objects, remembered, wal};

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Starts the background conversion if something waits and none runs.
pub(crate) fn kick(shared: &Arc<Shared>) {
    let Some(runtime) = &shared.runtime else { return };
    if shared.state.lock().closed.is_empty() || shared.busy.swap(true, Ordering::AcqRel) {
        return;
    }
    let _inside = runtime.enter();
    let shared = shared.clone();
    kernel::task::spawn("telemetry-convert", async move {
        loop {
            convert_patiently(&shared).await;
            shared.busy.store(false, Ordering::Release);
            let more = !shared.publishing.lock().ended && !shared.state.lock().closed.is_empty();
            if !more || shared.busy.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    });
}

async fn convert_patiently(shared: &Arc<Shared>) {
    let mut pause = Duration::from_millis(200);
    while let Err(error) = convert_all(shared).await {
        if shared.publishing.lock().ended {
            return;
        }
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a telemetry segment could not be written to the object store; trying again"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Converts every closed segment, oldest first.
pub(crate) async fn convert_all(shared: &Arc<Shared>) -> Result<(), Error> {
    let _alone = shared.converting.lock().await;
    loop {
        let (closed, names, written) = {
            let state = shared.state.lock();
            let Some(closed) = state.closed.first().cloned() else { return Ok(()) };
            let names: Vec<_> = state.deployments.iter().map(|deployment| deployment.name.clone()).collect();
            (closed, names, state.written)
        };
        // What the following segment took over (watermarks) must be on the disk before this one goes.
        shared.syncer.reach(written).await?;
        let encoded = {
            let (closed, names) = (closed.clone(), names);
            blocking(move || encode(&closed, &names)).await?
        };
        for (path, bytes) in encoded.objects {
            let failed = |source| Error::Blob { doing: "writing", path: path.clone(), source: Box::new(source) };
            let name = SafePath::parse(&path).map_err(|error| Error::Internal(format!("{path}: {error}")))?;
            shared.blob.put(&name, bytes).await.map_err(failed)?;
        }
        let shared = shared.clone();
        blocking(move || publish(&shared, &encoded.entry, &encoded.ids)).await?;
    }
}

fn publish(shared: &Shared, entry: &Converted, ids: &remembered::Ids) -> Result<(), Error> {
    let mut publishing = shared.publishing.lock();
    if publishing.ended {
        return Err(Error::Unwritable("the log is closing".to_owned()));
    }
    remembered::write(&shared.dir, entry.segment, ids)?;
    publishing.manifest.add(entry)?;
    let keys = ids.predictions.iter().flat_map(|(_, keys)| keys).copied();
    shared.state.lock().publish(entry, keys.collect());
    remembered::prune(&shared.dir, shared.options.remembered_ids)?;
    wal::remove(&shared.wal_dir, entry.segment)
}

struct Encoded {
    objects: Vec<(String, Bytes)>,
    entry: Converted,
    ids: remembered::Ids,
}

fn encode(closed: &Closed, names: &[Arc<str>]) -> Result<Encoded, Error> {
    let mut encoded = Encoded {
        objects: Vec::new(),
        entry: Converted { segment: closed.number, counts: named(&closed.counts, names), ..Converted::default() },
        ids: remembered::Ids::default(),
    };
    for part in &closed.parts {
        let keys = part.chunks.iter().flat_map(|chunk| chunk.ids.iter().map(key::of)).collect();
        encoded.ids.predictions.push((part.source.deployment.to_string(), keys));
        encode_predictions(&part.source, &part.chunks, &mut encoded)?;
    }
    encode_outcomes(&closed.outcomes.read(), &mut encoded)?;
    Ok(encoded)
}

fn named<T: Copy>(counts: &HashMap<DeploymentNumber, T>, names: &[Arc<str>]) -> BTreeMap<String, T> {
    counts.iter().filter_map(|(&number, &value)| Some((names.get(number as usize)?.to_string(), value))).collect()
}

fn encode_predictions(source: &Source, chunks: &[Arc<Chunk>], encoded: &mut Encoded) -> Result<(), Error> {
    let mut days: BTreeMap<i64, Vec<(&Chunk, usize)>> = BTreeMap::new();
    for chunk in chunks {
        for (row, at_us) in chunk.event_us.iter().enumerate() {
            days.entry(at_us.div_euclid(kernel::clock::DAY_US)).or_default().push((chunk, row));
        }
    }
    for mut rows in days.into_values() {
        // An id is in a segment once, so the order of acceptance says nothing here, and sorted row groups are skipped.
        rows.sort_by_key(|(chunk, row)| chunk.event_us[*row]);
        let (first, last) = (event_us(rows.first()), event_us(rows.last()));
        let day = objects::day_of(first);
        let path = objects::prediction_path(source, &day, encoded.entry.segment);
        encoded.entry.predictions.push(Arc::new(PredictionFile {
            path: path.clone(),
            deployment: source.deployment.clone(),
            model: source.model.clone(),
            version: source.version.clone(),
            rows: rows.len() as u64,
            min_event_us: first,
            max_event_us: last,
        }));
        encoded.objects.push((path, objects::write_predictions(source, &rows)?));
    }
    Ok(())
}

fn event_us(row: Option<&(&Chunk, usize)>) -> i64 {
    row.map_or(0, |(chunk, row)| chunk.event_us[*row])
}

fn encode_outcomes(table: &OutcomeTable, encoded: &mut Encoded) -> Result<(), Error> {
    let mut days: BTreeMap<String, Vec<(&str, &Truth)>> = BTreeMap::new();
    for (id, truth) in table.iter() {
        days.entry(objects::day_of(truth.observed_us)).or_default().push((id, truth));
        encoded.ids.outcomes.push(key::of(id));
    }
    for (day, rows) in days {
        let path = objects::outcome_path(&day, encoded.entry.segment);
        let times = || rows.iter().map(|(_, truth)| truth.observed_us);
        encoded.entry.outcomes.push(Arc::new(OutcomeFile {
            path: path.clone(),
            rows: rows.len() as u64,
            min_observed_us: times().min().unwrap_or_default(),
            max_observed_us: times().max().unwrap_or_default(),
        }));
        encoded.objects.push((path, objects::write_outcomes(&rows)?));
    }
    Ok(())
}

/// Runs work that takes longer than a moment off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(error.to_string()))?
}
