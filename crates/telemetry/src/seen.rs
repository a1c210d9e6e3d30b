//! Which prediction ids are known: how a repeat is recognised at once and how labelled predictions are counted.
//!
//! Every id of a segment that is not Parquet yet is known; of the others the newest [`Options::remembered_ids`]. An id older than
//! that which is sent again is found when it is read (a scan shows each id once).
//!
//! [`Options::remembered_ids`]: crate::Options::remembered_ids

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use crate::key::{Key, KeyMap};

/// A deployment by its number in the log.
pub(crate) type DeploymentNumber = u32;

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// `None`: only an outcome has come so far.
    deployment: Option<DeploymentNumber>,
    labelled: bool,
}

/// What a prediction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// New.
    Fresh,
    /// New, and its outcome was here before it.
    FreshLabelled,
    /// Known already.
    Repeat,
}

/// The known ids.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    marks: KeyMap<Mark>,
    evictable: VecDeque<Key>,
    limit: usize,
}

impl Seen {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// True if the prediction is known.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.marks.get(&key).is_some_and(|mark| mark.deployment.is_some())
    }

    /// Notes a prediction.
    pub(crate) fn prediction(&mut self, key: Key, deployment: DeploymentNumber) -> Noted {
        match self.marks.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Mark { deployment: Some(deployment), labelled: false });
                Noted::Fresh
            }
            Entry::Occupied(mut known) if known.get().deployment.is_none() => {
                known.get_mut().deployment = Some(deployment);
                Noted::FreshLabelled
            }
            Entry::Occupied(_) => Noted::Repeat,
        }
    }

    /// Notes an outcome; the deployment of its prediction if this is the first outcome for it.
    pub(crate) fn outcome(&mut self, key: Key) -> Option<DeploymentNumber> {
        let mark = self.marks.entry(key).or_insert(Mark { deployment: None, labelled: false });
        if std::mem::replace(&mut mark.labelled, true) { None } else { mark.deployment }
    }

    /// These ids are in Parquet now and may be forgotten when the bound asks for it.
    pub(crate) fn release(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.evictable.extend(keys);
    }

    /// Forgets at most `most` ids that are beyond the bound; called often, so that no single call takes long.
    pub(crate) fn evict(&mut self, most: usize) {
        for _ in 0..most.min(self.evictable.len().saturating_sub(self.limit)) {
            if let Some(key) = self.evictable.pop_front() {
                self.marks.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_until_the_bound_pushes_them_out() {
        let mut seen = Seen::new(2);
        assert_eq!(seen.prediction(1, 0), Noted::Fresh);
        assert_eq!(seen.prediction(1, 0), Noted::Repeat);
        assert_eq!(seen.outcome(1), Some(0), "the first outcome counts");
        assert_eq!(seen.outcome(1), None, "a revision does not");
        assert_eq!(seen.outcome(2), None, "its prediction is not here yet");
        assert_eq!(seen.prediction(2, 0), Noted::FreshLabelled);
        seen.release([1, 2, 3]);
        seen.evict(10);
        assert!(!seen.has(1) && seen.has(2));
    }
}
