//! Counts of values over the bins of a reference. Counts over the same bins add up, whatever the order.

use kernel::frame::Column;
use serde::{Deserialize, Serialize};

use super::numeric::bin_counts;
use super::{Distribution, Feature};
use crate::Error;

/// Counts over the bins of one feature of one reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The feature.
    pub feature: String,
    /// Digest of the bins.
    pub bins: String,
    /// Values in each bin; for texts the last one is "not in the reference".
    pub counts: Vec<u64>,
    /// Missing values.
    pub missing: u64,
}

impl Counts {
    /// Counts a column over the bins of a reference; `None` if the kinds differ.
    pub fn of(reference: &Feature, column: &Column) -> Option<Self> {
        let (counts, missing, bins) = match (&reference.distribution, column) {
            (Distribution::Number(numeric), Column::Number(values)) => {
                let sorted = crate::twosample::clean(values);
                let mut bins = kernel::digest::Builder::default();
                for edge in &numeric.edges {
                    bins.piece(&edge.to_le_bytes());
                }
                (bin_counts(&sorted, &numeric.edges), values.len() - sorted.len(), bins.finish())
            }
            (Distribution::Text(categorical), Column::Text(values)) => {
                let keys: Vec<&str> = categorical.counts.keys().map(|key| &**key).collect();
                let mut counts = vec![0; keys.len() + 1];
                for value in values.iter().flatten() {
                    counts[keys.binary_search(&&**value).unwrap_or(keys.len())] += 1;
                }
                let mut bins = kernel::digest::Builder::default();
                for key in keys {
                    bins.piece(key.as_bytes());
                }
                (counts, values.iter().filter(|value| value.is_none()).count(), bins.finish())
            }
            _ => return None,
        };
        Some(Self { feature: reference.name.clone(), bins, counts, missing: missing as u64 })
    }

    /// Adds counts over the same bins.
    pub fn add(&mut self, other: &Self) -> Result<(), Error> {
        let unlike = |problem| Error::Unlike { feature: self.feature.clone(), problem };
        if self.feature != other.feature {
            return Err(unlike("the other counts are of another feature"));
        }
        if self.bins != other.bins || self.counts.len() != other.counts.len() {
            return Err(unlike("the other counts are over the bins of another reference"));
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.missing += other.missing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn feature(column: &Column) -> Feature {
        Feature { name: "x".to_owned(), distribution: Distribution::of(column) }
    }

    #[test]
    fn counts_of_parts_add_up_to_the_counts_of_the_whole() {
        let numbers = |from: i32, to: i32| Column::Number((from..to).map(|x| f64::from(x * x % 101)).collect());
        let reference = feature(&numbers(0, 500));
        let mut sum = Counts::of(&reference, &numbers(0, 300)).unwrap();
        sum.add(&Counts::of(&reference, &numbers(300, 900)).unwrap()).unwrap();
        assert_eq!(sum, Counts::of(&reference, &numbers(0, 900)).unwrap());
        let texts = Column::Text(vec![Some(Arc::from("a")), None, Some(Arc::from("z"))]);
        let counts = Counts::of(&feature(&Column::Text(vec![Some(Arc::from("a"))])), &texts).unwrap();
        assert_eq!((counts.counts, counts.missing), (vec![1, 1], 1));
    }

    #[test]
    fn counts_of_other_bins_are_refused() {
        let (a, b) = (Column::Number(vec![1.0, 2.0]), Column::Number(vec![1.0, 3.0]));
        let mut counts = Counts::of(&feature(&a), &a).unwrap();
        assert!(counts.add(&Counts::of(&feature(&b), &b).unwrap()).is_err());
        assert_eq!(Counts::of(&feature(&a), &Column::Text(vec![None])), None);
    }
}
