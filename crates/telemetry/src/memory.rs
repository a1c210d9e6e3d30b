//! The predictions of one write-ahead segment in memory, by source and in chunks.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::chunk::{Added, Chunk, ROWS, Tail};
use crate::codec::{Picked, Source};
use crate::{PredictionBatch, Schema};

/// The rows of one source.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) source: Arc<Source>,
    sealed: Vec<Arc<Chunk>>,
    tail: Tail,
}

/// The chunks of one source, shared.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) source: Arc<Source>,
    pub(crate) chunks: Vec<Arc<Chunk>>,
}

/// All rows of a segment.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    tables: Vec<Table>,
    by_name: HashMap<u64, Vec<u32>>,
    hasher: RandomState,
    /// Who wrote last; the next is likely the same.
    recent: u32,
}

impl Memory {
    /// The number of a batch's source, if it is declared in this segment.
    pub(crate) fn source_of(&mut self, batch: &PredictionBatch<'_>) -> Option<u32> {
        if !self.is_source(self.recent, batch) {
            let candidates = self.by_name.get(&self.name(batch.deployment, batch.model, batch.version))?;
            self.recent = candidates.iter().copied().find(|&number| self.is_source(number, batch))?;
        }
        Some(self.recent)
    }

    fn is_source(&self, number: u32, batch: &PredictionBatch<'_>) -> bool {
        self.source(number).is_some_and(|source| {
            *source.deployment == *batch.deployment
                && *source.model == *batch.model
                && *source.version == *batch.version
                && same(&source.schema, batch.schema)
        })
    }

    /// Declares a source and returns its number.
    pub(crate) fn declare(&mut self, source: Arc<Source>) -> u32 {
        let number = self.tables.len() as u32;
        let name = self.name(&source.deployment, &source.model, &source.version);
        self.by_name.entry(name).or_default().push(number);
        self.tables.push(Table { tail: Tail::new(&source.schema), source, sealed: Vec::new() });
        number
    }

    /// The number that the next declared source gets.
    pub(crate) fn next_source(&self) -> u32 {
        self.tables.len() as u32
    }

    /// True without sources, hence without rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// A source by number.
    pub(crate) fn source(&self, number: u32) -> Option<&Arc<Source>> {
        self.tables.get(number as usize).map(|table| &table.source)
    }

    /// Adds rows to a source.
    pub(crate) fn push(&mut self, source: u32, added: &Added<'_>, rows: Picked<'_>) {
        let Some(table) = self.tables.get_mut(source as usize) else { return };
        table.tail.push(added, rows);
        if table.tail.chunk.len() >= ROWS {
            let full = std::mem::replace(&mut table.tail, Tail::new(&table.source.schema));
            table.sealed.push(Arc::new(full.chunk));
        }
    }

    /// The chunks that pass both tests; an unfinished chunk is copied.
    pub(crate) fn parts(&self, want: impl Fn(&Source) -> bool, overlaps: impl Fn(&Chunk) -> bool) -> Vec<Part> {
        let part = |table: &Table| {
            let mut chunks: Vec<_> = table.sealed.iter().filter(|chunk| overlaps(chunk)).cloned().collect();
            if table.tail.chunk.len() > 0 && overlaps(&table.tail.chunk) {
                chunks.push(Arc::new(table.tail.chunk.clone()));
            }
            Part { source: table.source.clone(), chunks }
        };
        self.tables
            .iter()
            .filter(|table| want(&table.source))
            .map(part)
            .filter(|part| !part.chunks.is_empty())
            .collect()
    }

    fn name(&self, deployment: &str, model: &str, version: &str) -> u64 {
        self.hasher.hash_one((deployment, model, version))
    }
}

fn same(have: &Arc<Schema>, want: &Arc<Schema>) -> bool {
    Arc::ptr_eq(have, want) || have == want
}
