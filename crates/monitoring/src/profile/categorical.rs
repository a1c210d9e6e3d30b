//! The distribution of texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// At most this many values are counted one by one.
pub(super) const MAX_VALUES: usize = 1_024;

/// The distribution of the values of a text column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Categorical {
    /// Values that are there.
    pub n: u64,
    /// Values that are missing.
    pub missing: u64,
    /// How often each value occurs; the most frequent 1,024.
    pub counts: BTreeMap<Arc<str>, u64>,
    /// Occurrences of all other values together.
    pub other: u64,
}

impl Categorical {
    /// Of a column.
    pub fn of(values: &[Option<Arc<str>>]) -> Self {
        let mut counts: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        let mut n = 0;
        for value in values.iter().flatten() {
            n += 1;
            match counts.get_mut(value) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(value.clone(), 1);
                }
            }
        }
        let missing = values.len() as u64 - n;
        let mut other = 0;
        if counts.len() > MAX_VALUES {
            let mut by_count: Vec<(u64, Arc<str>)> =
                counts.iter().map(|(value, count)| (*count, value.clone())).collect();
            by_count.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            for (count, value) in by_count.split_off(MAX_VALUES) {
                other += count;
                counts.remove(&value);
            }
        }
        Self { n, missing, counts, other }
    }

    /// True if there is one and the same value only.
    pub fn is_constant(&self) -> bool {
        self.n > 0 && self.counts.len() == 1 && self.other == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_values_beyond_the_cap_are_counted_together() {
        let mut values: Vec<Option<Arc<str>>> = (0..2_000).map(|x| Some(Arc::from(format!("v{x:04}")))).collect();
        values.push(Some(Arc::from("v1999")));
        values.push(None);
        let categorical = Categorical::of(&values);
        assert_eq!((categorical.n, categorical.missing, categorical.counts.len()), (2_001, 1, MAX_VALUES));
        assert_eq!(categorical.other, 2_001 - 1_025);
        assert_eq!(categorical.counts.get("v1999"), Some(&2));
    }
}
