//! Up to [`ROWS`] predictions of one source by column: the unit of memory, of snapshots and of Parquet.

use std::collections::HashMap;
use std::sync::Arc;

use kernel::frame::{Cell, Column, ColumnKind};

use crate::Schema;
use crate::codec::Picked;

/// Rows of a chunk; small enough that copying an unfinished one under a lock takes microseconds.
pub(crate) const ROWS: usize = 1024;
/// The code of a missing text.
pub(crate) const NO_WORD: u32 = u32::MAX;

/// Texts in one buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    bytes: String,
    ends: Vec<u32>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len() as u32);
    }

    pub(crate) fn get(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// One feature.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    /// Numbers; NaN is missing.
    Number(Vec<f64>),
    /// Codes into `words`, or [`NO_WORD`].
    Text { codes: Vec<u32>, words: Vec<Arc<str>> },
}

impl Values {
    pub(crate) fn cell(&self, row: usize) -> Cell {
        match self {
            Self::Number(values) if values[row].is_nan() => Cell::Missing,
            Self::Number(values) => Cell::Number(values[row]),
            Self::Text { .. } => self.text(row).map_or(Cell::Missing, |text| Cell::Text(text.clone())),
        }
    }

    pub(crate) fn text(&self, row: usize) -> Option<&Arc<str>> {
        match self {
            Self::Number(_) => None,
            Self::Text { codes, words } => words.get(codes[row] as usize),
        }
    }
}

/// Rows by column.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) ids: Texts,
    pub(crate) event_us: Vec<i64>,
    pub(crate) received_us: Vec<i64>,
    pub(crate) latency_us: Vec<u32>,
    pub(crate) scores: Vec<f64>,
    pub(crate) columns: Vec<Values>,
    pub(crate) min_event_us: i64,
    pub(crate) max_event_us: i64,
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        self.event_us.len()
    }

    /// True if some row may lie in `[from, until)`.
    pub(crate) fn overlaps(&self, from_us: i64, until_us: i64) -> bool {
        self.min_event_us < until_us && self.max_event_us >= from_us
    }
}

/// A chunk that grows.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) chunk: Chunk,
    words: Vec<HashMap<Arc<str>, u32>>,
}

/// Rows to add, all of one batch.
pub(crate) struct Added<'a> {
    pub(crate) ids: &'a [String],
    pub(crate) event_us: &'a [i64],
    pub(crate) scores: &'a [f64],
    pub(crate) columns: &'a [Column],
    pub(crate) received_us: i64,
    pub(crate) latency_us: u32,
}

impl Tail {
    pub(crate) fn new(schema: &Schema) -> Self {
        let column = |kind: ColumnKind| match kind {
            ColumnKind::Number => Values::Number(Vec::new()),
            ColumnKind::Text => Values::Text { codes: Vec::new(), words: Vec::new() },
        };
        Self {
            chunk: Chunk {
                ids: Texts::default(),
                event_us: Vec::new(),
                received_us: Vec::new(),
                latency_us: Vec::new(),
                scores: Vec::new(),
                columns: schema.features.iter().map(|(_, kind)| column(*kind)).collect(),
                min_event_us: i64::MAX,
                max_event_us: i64::MIN,
            },
            words: vec![HashMap::new(); schema.features.len()],
        }
    }

    /// Adds the picked rows; the columns have the kinds of the schema.
    pub(crate) fn push(&mut self, added: &Added<'_>, rows: Picked<'_>) {
        let chunk = &mut self.chunk;
        rows.each(|row| {
            chunk.ids.push(&added.ids[row]);
            chunk.event_us.push(added.event_us[row]);
            chunk.received_us.push(added.received_us);
            chunk.latency_us.push(added.latency_us);
            chunk.scores.push(added.scores[row]);
            chunk.min_event_us = chunk.min_event_us.min(added.event_us[row]);
            chunk.max_event_us = chunk.max_event_us.max(added.event_us[row]);
        });
        for ((values, column), known) in chunk.columns.iter_mut().zip(added.columns).zip(&mut self.words) {
            match (values, column) {
                (Values::Number(values), Column::Number(new)) => rows.each(|row| values.push(new[row])),
                (Values::Text { codes, words }, Column::Text(new)) => {
                    rows.each(|row| codes.push(code(new[row].as_ref(), words, known)));
                }
                _ => {}
            }
        }
    }
}

fn code(text: Option<&Arc<str>>, words: &mut Vec<Arc<str>>, known: &mut HashMap<Arc<str>, u32>) -> u32 {
    let Some(text) = text else { return NO_WORD };
    if let Some(&code) = known.get(text) {
        return code;
    }
    let code = words.len() as u32;
    words.push(text.clone());
    known.insert(text.clone(), code);
    code
}
