//! Opening a log: the manifest, the remembered ids, then what the last process left in the write-ahead segments.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::chunk::Added;
use crate::codec::{Picked, Record};
use crate::key::{self, Key};
use crate::manifest::{Converted, Index};
use crate::seen::Seen;
use crate::state::{Open, State};
use crate::wal::{self, Segment};
use crate::{Error, Options, remembered};

/// The state of a directory.
pub(crate) fn recover(dir: &Path, wal_dir: &Path, entries: &[Converted], options: &Options) -> Result<State, Error> {
    let mut index = Index::default();
    for entry in entries {
        index.add(entry);
    }
    let mut waiting = Vec::new();
    for (number, path) in wal::list(wal_dir)? {
        if index.segments.contains(&number) {
            wal::remove(wal_dir, number)?;
        } else {
            waiting.push((number, path));
        }
    }
    let last_converted = index.segments.last().copied().unwrap_or(0);
    let first = match waiting.first() {
        Some((number, path)) => Segment::peek(*number, path)?,
        None => Segment::create(wal_dir, last_converted + 1)?,
    };
    let mut state = State {
        wal_dir: wal_dir.to_owned(),
        open: Open::new(first),
        closed: Vec::new(),
        index,
        seen: Seen::new(options.remembered_ids),
        deployments: Vec::new(),
        numbers: HashMap::new(),
        written: 0,
        unsynced: Vec::new(),
        failed: None,
        max_waiting: options.max_waiting_segments.max(1),
        segment_bytes: options.segment_bytes,
        buffer: Vec::new(),
    };
    take_entries(&mut state, entries);
    let ids = remembered::read(dir, options.remembered_ids, &state.index.segments)?;
    take_ids(&mut state, ids);
    for (position, (number, path)) in waiting.iter().enumerate() {
        if position > 0 {
            let next = Open::new(Segment::peek(*number, path)?);
            let full = std::mem::replace(&mut state.open, next);
            state.closed.push(Arc::new(full.close()));
        }
        let length = wal::recover(path, |record| take(&mut state, record))?;
        state.open.segment.resume(length)?;
    }
    Ok(state)
}

fn take_entries(state: &mut State, entries: &[Converted]) {
    for entry in entries {
        for (deployment, counts) in &entry.counts {
            let number = state.number(deployment);
            state.deployments[number as usize].counts.add(counts);
        }
        for file in &entry.predictions {
            let number = state.number(&file.deployment);
            let watermark = &mut state.deployments[number as usize].watermark;
            watermark.max_event_us = watermark.max_event_us.max(Some(file.max_event_us));
        }
    }
}

fn take_ids(state: &mut State, lists: Vec<remembered::Ids>) {
    for ids in lists {
        for (deployment, keys) in ids.predictions {
            let number = state.number(&deployment);
            for &key in &keys {
                state.seen.prediction(key, number);
            }
            state.seen.release(keys);
        }
        for key in ids.outcomes {
            state.seen.outcome(key);
        }
    }
}

fn take(state: &mut State, record: Record) {
    match record {
        Record::Source(source) => {
            state.open.memory.declare(Arc::new(source));
        }
        Record::Predictions(read) => {
            let Some(source) = state.open.memory.source(read.source).cloned() else { return };
            let keys: Vec<Key> = read.ids.iter().map(|id| key::of(id)).collect();
            let added = Added {
                ids: &read.ids,
                event_us: &read.event_times_us,
                scores: &read.scores,
                columns: &read.columns,
                received_us: read.received_us,
                latency_us: read.latency_us,
            };
            let rows = Picked { all: keys.len(), keep: None };
            state.take_predictions(read.source, &source.deployment, &added, &keys, rows);
        }
        Record::Outcomes(outcomes) => {
            let keys: Vec<Key> = outcomes.iter().map(|outcome| key::of(&outcome.prediction_id)).collect();
            state.take_outcomes(&outcomes, &keys);
        }
        Record::Watermarks(marks) => {
            for (deployment, at_us) in marks {
                state.take_watermark(&deployment, at_us);
            }
        }
    }
}
