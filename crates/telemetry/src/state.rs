//! What the log knows, behind one short lock: the open segment, the closed ones that wait, the index of objects, the counts.

use std::collections::HashMap;
use std::fs::File;
use std::hash::BuildHasherDefault;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::chunk::Added;
use crate::codec::{self, Picked, Source};
use crate::framing::{self, MAX_PAYLOAD};
use crate::key::{Key, KeySet};
use crate::manifest::{Converted, Index};
use crate::memory::{Memory, Part};
use crate::outcomes::OutcomeTable;
use crate::seen::{DeploymentNumber, Noted, Seen};
use crate::wal::{Segment, WriteFailed};
use crate::{Counts, Error, Outcome, PredictionBatch, Watermark};

/// A closed segment that is not Parquet yet.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) number: u64,
    pub(crate) parts: Vec<Part>,
    pub(crate) outcomes: Arc<RwLock<OutcomeTable>>,
    pub(crate) counts: HashMap<DeploymentNumber, Counts>,
}

/// One deployment.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) name: Arc<str>,
    pub(crate) counts: Counts,
    pub(crate) watermark: Watermark,
}

/// The open segment.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) segment: Segment,
    pub(crate) memory: Memory,
    pub(crate) outcomes: Arc<RwLock<OutcomeTable>>,
    /// What this segment added to the counts.
    pub(crate) counts: HashMap<DeploymentNumber, Counts>,
}

impl Open {
    pub(crate) fn new(segment: Segment) -> Self {
        Self { segment, memory: Memory::default(), outcomes: Arc::default(), counts: HashMap::new() }
    }

    pub(crate) fn close(self) -> Closed {
        let parts = self.memory.parts(|_| true, |_| true);
        Closed { number: self.segment.number, parts, outcomes: self.outcomes, counts: self.counts }
    }
}

/// Everything behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) wal_dir: PathBuf,
    pub(crate) open: Open,
    pub(crate) closed: Vec<Arc<Closed>>,
    pub(crate) index: Index,
    pub(crate) seen: Seen,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) numbers: HashMap<Arc<str>, DeploymentNumber>,
    /// How many writes there have been; a sync reports up to which it reaches.
    pub(crate) written: u64,
    /// Closed files with bytes that may not be on the disk yet.
    pub(crate) unsynced: Vec<Arc<File>>,
    pub(crate) failed: Option<String>,
    pub(crate) max_waiting: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) buffer: Vec<u8>,
}

impl State {
    /// Appends the rows of a batch that are new; the number of the write if there was one.
    pub(crate) fn append_predictions(
        &mut self,
        batch: &PredictionBatch<'_>,
        keys: &[Key],
    ) -> Result<Option<u64>, Error> {
        self.check_writable()?;
        self.seen.evict(2 * keys.len());
        let keep = self.fresh(keys);
        if keep.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let rows = Picked { all: keys.len(), keep: keep.as_deref() };
        let known = self.open.memory.source_of(batch);
        let mut declared = None;
        self.buffer.clear();
        let source = known.unwrap_or_else(|| {
            let source = Source {
                deployment: batch.deployment.into(),
                model: batch.model.into(),
                version: batch.version.into(),
                schema: batch.schema.clone(),
            };
            let start = framing::begin(&mut self.buffer);
            codec::put_source(&mut self.buffer, &source);
            framing::end(&mut self.buffer, start);
            declared = Some(Arc::new(source));
            self.open.memory.next_source()
        });
        let start = framing::begin(&mut self.buffer);
        codec::put_predictions(&mut self.buffer, source, batch, keep.as_deref());
        if self.buffer.len() - start > MAX_PAYLOAD {
            return Err(Error::Invalid("the batch is larger than 256 MiB".to_owned()));
        }
        framing::end(&mut self.buffer, start);
        self.write_buffer()?;
        if let Some(source) = declared {
            self.open.memory.declare(source);
        }
        let added = Added {
            ids: batch.ids,
            event_us: batch.event_times_us,
            scores: batch.scores,
            columns: batch.frame.columns(),
            received_us: batch.received_us,
            latency_us: batch.latency_us,
        };
        self.take_predictions(source, batch.deployment, &added, keys, rows);
        Ok(Some(self.wrote()))
    }

    /// Takes rows into memory and into the counts.
    pub(crate) fn take_predictions(
        &mut self,
        source: u32,
        deployment: &str,
        added: &Added<'_>,
        keys: &[Key],
        rows: Picked<'_>,
    ) {
        let number = self.number(deployment);
        let mut new = Counts { last_received_us: Some(added.received_us), ..Counts::default() };
        let mut max_event_us = i64::MIN;
        rows.each(|row| {
            new.predictions += 1;
            new.outcomes += u64::from(self.seen.prediction(keys[row], number) == Noted::FreshLabelled);
            max_event_us = max_event_us.max(added.event_us[row]);
        });
        self.open.memory.push(source, added, rows);
        self.count(number, new);
        let watermark = &mut self.deployments[number as usize].watermark;
        watermark.max_event_us = watermark.max_event_us.max(Some(max_event_us));
    }

    /// Appends outcomes; the number of the write.
    pub(crate) fn append_outcomes(&mut self, outcomes: &[Outcome], keys: &[Key]) -> Result<u64, Error> {
        self.check_writable()?;
        self.buffer.clear();
        let start = framing::begin(&mut self.buffer);
        codec::put_outcomes(&mut self.buffer, outcomes);
        if self.buffer.len() - start > MAX_PAYLOAD {
            return Err(Error::Invalid("the outcomes are larger than 256 MiB".to_owned()));
        }
        framing::end(&mut self.buffer, start);
        self.write_buffer()?;
        self.take_outcomes(outcomes, keys);
        Ok(self.wrote())
    }

    /// Takes outcomes into memory and into the counts.
    pub(crate) fn take_outcomes(&mut self, outcomes: &[Outcome], keys: &[Key]) {
        {
            let mut table = self.open.outcomes.write();
            for (outcome, &key) in outcomes.iter().zip(keys) {
                table.insert(key, outcome);
            }
        }
        for &key in keys {
            if let Some(number) = self.seen.outcome(key) {
                self.count(number, Counts { outcomes: 1, ..Counts::default() });
            }
        }
    }

    /// Moves a watermark forward; the number of the write, or `None` if it stands there or further already.
    pub(crate) fn advance_watermark(&mut self, deployment: &str, at_us: i64) -> Result<Option<u64>, Error> {
        let declared =
            self.numbers.get(deployment).and_then(|&number| self.deployments[number as usize].watermark.declared_us);
        if declared.is_some_and(|declared| declared >= at_us) {
            return Ok(None);
        }
        self.check_writable()?;
        self.buffer.clear();
        put_watermark_frame(&mut self.buffer, &[(deployment, at_us)]);
        self.write_buffer()?;
        self.take_watermark(deployment, at_us);
        Ok(Some(self.wrote()))
    }

    /// Takes a watermark into memory.
    pub(crate) fn take_watermark(&mut self, deployment: &str, at_us: i64) {
        let number = self.number(deployment);
        let watermark = &mut self.deployments[number as usize].watermark;
        watermark.declared_us = watermark.declared_us.max(Some(at_us));
    }

    /// Closes the open segment and begins the next one; without rows or outcomes there is nothing to close.
    pub(crate) fn roll(&mut self) -> Result<bool, Error> {
        if self.open.memory.is_empty() && self.open.outcomes.read().len() == 0 {
            return Ok(false);
        }
        let mut segment = Segment::create(&self.wal_dir, self.open.segment.number + 1)?;
        let marks: Vec<_> =
            self.deployments.iter().filter_map(|of| Some((&*of.name, of.watermark.declared_us?))).collect();
        if !marks.is_empty() {
            let mut frame = Vec::new();
            put_watermark_frame(&mut frame, &marks);
            segment.append(&frame).map_err(|failed| Error::Unwritable(failed.error.to_string()))?;
        }
        let old = std::mem::replace(&mut self.open, Open::new(segment));
        self.unsynced.push(old.segment.file.clone());
        self.closed.push(Arc::new(old.close()));
        self.wrote();
        Ok(true)
    }

    /// True when the open segment is full.
    pub(crate) fn is_full(&self) -> bool {
        self.open.segment.length >= self.segment_bytes
    }

    /// A converted segment: readers see its objects instead of its memory.
    pub(crate) fn publish(&mut self, entry: &Converted, keys: Vec<Key>) {
        self.index.add(entry);
        self.closed.retain(|closed| closed.number != entry.segment);
        self.seen.release(keys);
    }

    /// The number of a deployment, given out at first sight.
    pub(crate) fn number(&mut self, deployment: &str) -> DeploymentNumber {
        if let Some(&number) = self.numbers.get(deployment) {
            return number;
        }
        let (name, number) = (Arc::<str>::from(deployment), self.deployments.len() as u32);
        self.deployments.push(Deployment {
            name: name.clone(),
            counts: Counts::default(),
            watermark: Watermark::default(),
        });
        self.numbers.insert(name, number);
        number
    }

    fn count(&mut self, number: DeploymentNumber, new: Counts) {
        self.deployments[number as usize].counts.add(&new);
        self.open.counts.entry(number).or_default().add(&new);
    }

    fn check_writable(&self) -> Result<(), Error> {
        if let Some(reason) = &self.failed {
            return Err(Error::Unwritable(reason.clone()));
        }
        if self.closed.len() >= self.max_waiting { Err(Error::Behind(self.closed.len())) } else { Ok(()) }
    }

    /// The rows that are new; `None` if all are.
    fn fresh(&self, keys: &[Key]) -> Option<Vec<usize>> {
        if let [only] = keys {
            return self.seen.has(*only).then(Vec::new);
        }
        let mut met = KeySet::with_capacity_and_hasher(keys.len(), BuildHasherDefault::default());
        let keep: Vec<_> = (0..keys.len()).filter(|&row| met.insert(keys[row]) && !self.seen.has(keys[row])).collect();
        (keep.len() < keys.len()).then_some(keep)
    }

    fn write_buffer(&mut self) -> Result<(), Error> {
        self.open.segment.append(&self.buffer).map_err(|WriteFailed { error, undone }| {
            let reason = error.to_string();
            if !undone {
                tracing::error!(telemetry.segment = %self.open.segment.path.display(), %error, "a write to the telemetry log failed half-way and could not be undone: appends are refused until a restart");
                self.failed = Some(reason.clone());
            }
            Error::Unwritable(reason)
        })
    }

    fn wrote(&mut self) -> u64 {
        self.written += 1;
        self.written
    }
}

fn put_watermark_frame(out: &mut Vec<u8>, marks: &[(&str, i64)]) {
    let start = framing::begin(out);
    codec::put_watermarks(out, marks.iter().copied());
    framing::end(out, start);
}
