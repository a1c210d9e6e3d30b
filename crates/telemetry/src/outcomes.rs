//! Outcomes: those of one write-ahead segment in memory, and the choice among several for one prediction.

use std::collections::HashMap;
use std::sync::Arc;

use kernel::frame::Cell;

use crate::Outcome;
use crate::chunk::Texts;
use crate::key::{Key, KeyMap};

/// The truth as of some instant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Truth {
    pub(crate) value: Cell,
    pub(crate) observed_us: i64,
    pub(crate) received_us: i64,
}

impl Truth {
    /// True if it counts rather than `other`, which was accepted before it.
    fn supersedes(&self, other: &Self) -> bool {
        (self.observed_us, self.received_us) >= (other.observed_us, other.received_us)
    }

    /// Takes the one that counts of an earlier and a later accepted truth.
    pub(crate) fn merge(best: &mut Option<Self>, later: Option<Self>) {
        if let Some(later) = later
            && best.as_ref().is_none_or(|best| later.supersedes(best))
        {
            *best = Some(later);
        }
    }
}

/// One accepted outcome and the one before it for the same prediction.
#[derive(Debug)]
struct Entry {
    truth: Truth,
    previous: Option<u32>,
}

/// The outcomes of a segment, in the order of acceptance.
#[derive(Debug, Default)]
pub(crate) struct OutcomeTable {
    ids: Texts,
    entries: Vec<Entry>,
    newest: KeyMap<u32>,
}

impl OutcomeTable {
    /// Adds an outcome; an exact repetition of the one before is not added again.
    pub(crate) fn insert(&mut self, key: Key, outcome: &Outcome) {
        let repeated = self.chain(key).next().is_some_and(|entry| {
            entry.truth.observed_us == outcome.observed_us
                && entry.truth.value == outcome.value
                && entry.truth.received_us == outcome.received_us
        });
        if repeated {
            return;
        }
        let previous = self.newest.insert(key, self.entries.len() as u32);
        let truth =
            Truth { value: outcome.value.clone(), observed_us: outcome.observed_us, received_us: outcome.received_us };
        self.entries.push(Entry { truth, previous });
        self.ids.push(&outcome.prediction_id);
    }

    /// The outcome that counts as of an instant.
    pub(crate) fn best(&self, key: Key, as_of_us: i64) -> Option<Truth> {
        let known = self.chain(key).map(|entry| &entry.truth).filter(|truth| truth.observed_us <= as_of_us);
        // The chain runs from the newest to the oldest, so a tie keeps the first one met.
        known.reduce(|best, older| if best.supersedes(older) { best } else { older }).cloned()
    }

    /// All outcomes of a prediction, oldest first.
    pub(crate) fn all(&self, key: Key) -> Vec<Truth> {
        let mut all: Vec<_> = self.chain(key).map(|entry| entry.truth.clone()).collect();
        all.reverse();
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Id and truth in the order of acceptance.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Truth)> {
        self.ids.iter().zip(self.entries.iter().map(|entry| &entry.truth))
    }

    fn chain(&self, key: Key) -> impl Iterator<Item = &Entry> {
        let mut next = self.newest.get(&key).copied();
        std::iter::from_fn(move || {
            let entry = self.entries.get(next? as usize)?;
            next = entry.previous;
            Some(entry)
        })
    }
}

/// The outcomes of a Parquet object, sorted by key and, within it, in the order of acceptance.
#[derive(Debug)]
pub(crate) struct OutcomeList {
    rows: Vec<(Key, Truth)>,
}

impl OutcomeList {
    pub(crate) fn new(mut rows: Vec<(Key, Truth)>) -> Self {
        rows.sort_by_key(|(key, _)| *key);
        Self { rows }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.len() * size_of::<(Key, Truth)>()
    }

    /// All outcomes of a prediction, oldest first.
    pub(crate) fn all(&self, key: Key) -> impl Iterator<Item = &Truth> {
        let start = self.rows.partition_point(|(have, _)| *have < key);
        self.rows[start..].iter().take_while(move |(have, _)| *have == key).map(|(_, truth)| truth)
    }

    /// The outcome that counts as of an instant.
    pub(crate) fn best(&self, key: Key, as_of_us: i64) -> Option<Truth> {
        let known = self.all(key).filter(|truth| truth.observed_us <= as_of_us);
        known.reduce(|best, later| if later.supersedes(best) { later } else { best }).cloned()
    }
}

/// Decoded outcome objects, the least recently used leaving first.
#[derive(Debug, Default)]
pub(crate) struct OutcomeCache {
    lists: HashMap<String, (Arc<OutcomeList>, u64)>,
    bytes: usize,
    tick: u64,
}

impl OutcomeCache {
    pub(crate) fn get(&mut self, path: &str) -> Option<Arc<OutcomeList>> {
        self.tick += 1;
        let (list, used) = self.lists.get_mut(path)?;
        *used = self.tick;
        Some(list.clone())
    }

    pub(crate) fn put(&mut self, path: &str, list: Arc<OutcomeList>, limit: usize) {
        self.tick += 1;
        self.bytes += list.bytes();
        if let Some((old, _)) = self.lists.insert(path.to_owned(), (list, self.tick)) {
            self.bytes -= old.bytes();
        }
        while self.bytes > limit {
            let oldest = self.lists.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone());
            let Some((list, _)) = oldest.and_then(|path| self.lists.remove(&path)) else { return };
            self.bytes -= list.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(value: f64, observed_us: i64, received_us: i64) -> Outcome {
        Outcome { prediction_id: "p".to_owned(), value: Cell::Number(value), observed_us, received_us }
    }

    #[test]
    fn the_latest_observed_counts_then_the_latest_received_then_the_latest_accepted() {
        let check = |sent: &[(f64, i64, i64)], as_of: i64, expect: Option<f64>| {
            let mut table = OutcomeTable::default();
            for &(value, observed, received) in sent {
                table.insert(7, &outcome(value, observed, received));
            }
            let list = OutcomeList::new(table.iter().map(|(_, truth)| (7, truth.clone())).collect());
            let value = |truth: Option<Truth>| truth.and_then(|truth| truth.value.as_f64());
            assert_eq!(value(table.best(7, as_of)), expect, "in memory: {sent:?} as of {as_of}");
            assert_eq!(value(list.best(7, as_of)), expect, "in Parquet: {sent:?} as of {as_of}");
        };
        check(&[], 10, None);
        check(&[(1.0, 5, 5)], 4, None);
        check(&[(1.0, 5, 5)], 5, Some(1.0));
        check(&[(1.0, 5, 5), (2.0, 6, 6)], 5, Some(1.0));
        check(&[(2.0, 6, 6), (1.0, 5, 9)], 10, Some(2.0));
        check(&[(1.0, 5, 5), (2.0, 5, 6)], 10, Some(2.0));
        check(&[(1.0, 5, 6), (2.0, 5, 5)], 10, Some(1.0));
        check(&[(1.0, 5, 5), (2.0, 5, 5)], 10, Some(2.0));
    }

    #[test]
    fn the_cache_keeps_to_its_limit() {
        let list = |n: u128| {
            let truth = Truth { value: Cell::Missing, observed_us: 0, received_us: 0 };
            Arc::new(OutcomeList::new((0..n).map(|key| (key, truth.clone())).collect()))
        };
        let one = list(10).bytes();
        let mut cache = OutcomeCache::default();
        cache.put("a", list(10), one * 2);
        cache.put("b", list(10), one * 2);
        assert!(cache.get("a").is_some());
        cache.put("c", list(10), one * 2);
        assert!(cache.get("b").is_none() && cache.get("a").is_some() && cache.get("c").is_some());
    }
}
