//! Profiles: what a set of rows looks like, column by column. The profile of the training rows of a version is its reference.
//!
//! A profile is bounded: at most 5,000 sorted values a numeric column, 64 bins, 1,024 categories. The kept values of a larger column
//! are evenly spaced order statistics, so its distribution function is known to 1 in 10,000 everywhere, and the order of
//! the rows does not matter. Counts over the bins of one profile add up ([`Counts`]).

mod categorical;
mod counts;
mod numeric;

use kernel::frame::{Column, ColumnKind, Frame};
use serde::{Deserialize, Serialize};

pub use categorical::Categorical;
pub use counts::Counts;
pub use numeric::Numeric;
pub(crate) use numeric::{bin_counts, quantile};

use crate::quality::Measure;
use crate::task::Task;

/// The layout that this program writes.
pub const VERSION: u32 = 1;

/// The name under which the prediction is profiled.
pub const PREDICTION: &str = "prediction";

/// Whose reference a profile is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The model.
    pub model: String,
    /// The version.
    pub version: String,
    /// Digest of the profile.
    pub digest: String,
}

/// The profile of a set of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Layout of this document, [`VERSION`].
    pub format: u32,
    /// Rows it was made from.
    rows: u64,
    /// Each column of the frame.
    pub features: Vec<Feature>,
    /// The scores of the model on these rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Numeric>,
    /// What the model predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Quality on rows that the model was not trained on, if known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<Measure>,
    /// Whose it is; set when it is read from the table.
    #[serde(skip)]
    pub subject: Option<Subject>,
}

/// The profile of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its distribution.
    #[serde(flatten)]
    pub distribution: Distribution,
}

/// A distribution by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Distribution {
    /// Of numbers.
    Number(Numeric),
    /// Of texts.
    Text(Categorical),
}

impl Distribution {
    /// Of a column.
    pub fn of(column: &Column) -> Self {
        match column {
            Column::Number(values) => Self::Number(Numeric::of(values)),
            Column::Text(values) => Self::Text(Categorical::of(values)),
        }
    }

    /// The kind of the column.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Self::Number(_) => ColumnKind::Number,
            Self::Text(_) => ColumnKind::Text,
        }
    }

    /// Values that are there, and values that are missing.
    pub fn sizes(&self) -> (u64, u64) {
        match self {
            Self::Number(numeric) => (numeric.n, numeric.missing),
            Self::Text(categorical) => (categorical.n, categorical.missing),
        }
    }
}

impl Profile {
    /// The profile of a frame, and of the scores of its rows if there are any.
    pub fn of(frame: &Frame, scores: Option<&[f64]>) -> Self {
        let named = frame.names().iter().zip(frame.columns());
        Self {
            format: VERSION,
            rows: frame.rows() as u64,
            features: named
                .map(|(name, column)| Feature { name: name.to_string(), distribution: Distribution::of(column) })
                .collect(),
            prediction: scores.map(Numeric::of),
            task: None,
            quality: Vec::new(),
            subject: None,
        }
    }

    /// The same profile of a model with this task.
    #[must_use]
    pub fn with_task(mut self, task: Task) -> Self {
        self.task = Some(task);
        self
    }

    /// The same profile with the quality of the model on rows that it was not trained on.
    #[must_use]
    pub fn with_quality(mut self, quality: Vec<Measure>) -> Self {
        self.quality = quality;
        self
    }

    /// Rows it was made from.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The distribution of a feature.
    pub fn feature(&self, name: &str) -> Option<&Distribution> {
        self.features.iter().find(|feature| feature.name == name).map(|feature| &feature.distribution)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn frame() -> Frame {
        let numbers = (0..100).map(|x| if x % 10 == 0 { f64::NAN } else { f64::from(x) }).collect();
        let texts = (0..100).map(|x| (x % 4 != 0).then(|| Arc::from(["a", "b", "c"][x % 3]))).collect();
        Frame::new(vec!["x".into(), "c".into()], vec![Column::Number(numbers), Column::Text(texts)]).unwrap()
    }

    #[test]
    fn a_profile_survives_json_to_the_bit() {
        let profile = Profile::of(&frame(), Some(&[0.1; 100])).with_task(Task::binary());
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
        assert!(!text.contains("null") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let rows: Vec<usize> = (0..100).map(|row| row * 37 % 100).collect();
        assert_eq!(Profile::of(&frame().take(&rows), None), Profile::of(&frame(), None));
    }

    #[test]
    fn an_empty_frame_has_a_profile() {
        let empty = frame().take(&[]);
        let profile = Profile::of(&empty, Some(&[]));
        assert_eq!(profile.rows(), 0);
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
    }
}
