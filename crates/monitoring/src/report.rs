//! What one window of a monitor says: plain data, the same to the bit for the same rows, without a `NaN` anywhere.

use serde::{Deserialize, Serialize};

use crate::profile::Subject;
use crate::quality::Measure;

/// Which part of a window's story a report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Written when the window closes: drift is final, quality is provisional.
    Drift,
    /// Written when the outcomes have had their time: quality is final.
    Mature,
}

impl Kind {
    /// Its name in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Mature => "mature",
        }
    }
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Compared; no drift, or too small to matter.
    Ok,
    /// The difference is real (test) and large enough to matter (effect).
    Drift,
    /// Too few values on one side.
    InsufficientData,
    /// One and the same value on both sides.
    Constant,
    /// There is nothing to compare with: the feature is not in the reference, or of another kind.
    NotApplicable,
}

/// A share with its 95 % Wilson interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Out of how many.
    pub n: u64,
    /// `count / n`, 0 for an empty window.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// The same share in the reference.
    pub reference: f64,
}

/// Counts of the reference and the window side by side, for a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    /// Upper edge of each numeric bin but the last, or the value of each category.
    pub labels: Vec<String>,
    /// Values of the reference in each bin.
    pub reference: Vec<u64>,
    /// Values of the window in each bin.
    pub window: Vec<u64>,
}

/// How one column of a window compares with the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrift {
    /// The feature, or `prediction`.
    pub name: String,
    /// `number` or `text`.
    pub kind: kernel::frame::ColumnKind,
    /// What the comparison came to.
    pub status: Status,
    /// True for drift whose effect is strong: [`crate::effect::STRONG_NUMBER`], [`crate::effect::STRONG_TEXT`].
    pub strong: bool,
    /// The deciding test: `ks_exact`, `ks_asymptotic`, `chi_square`; none if nothing was compared.
    pub method: Option<String>,
    /// Its statistic.
    pub statistic: Option<f64>,
    /// Its p-value.
    pub p_value: Option<f64>,
    /// The p-value adjusted for the number of features (Benjamini-Hochberg).
    pub q_value: Option<f64>,
    /// What the effect is measured in: `wasserstein_sigma`, `total_variation`.
    pub effect_name: Option<String>,
    /// The size of the difference, independent of the number of rows.
    pub effect: Option<f64>,
    /// Population stability index, smoothed: reference deciles, or categories.
    pub psi: Option<f64>,
    /// Likelihood-ratio statistic of a categorical comparison, and its p-value.
    pub g_test: Option<(f64, f64)>,
    /// Values compared.
    pub n: u64,
    /// Values in the reference.
    pub n_reference: u64,
    /// Mean of a numeric column in the window and in the reference.
    pub mean: Option<(f64, f64)>,
    /// Missing values.
    pub missing: Share,
    /// Values the reference has not seen: unknown categories, numbers outside its range.
    pub unseen: Share,
    /// The distributions, for a picture.
    pub bins: Option<Bins>,
}

/// Rows of one version in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionRows {
    /// The version.
    pub version: String,
    /// Rows that it answered.
    pub rows: u64,
    /// Rows of these whose outcome is known.
    pub outcomes: u64,
    /// Quality over these rows.
    pub quality: Vec<Measure>,
}

/// The drift part of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Features that were compared (status `ok`, `drift` or `constant`).
    pub compared: u64,
    /// Features with status `drift`.
    pub drifted: u64,
    /// Features of these whose drift is strong.
    pub strong: u64,
    /// Each feature, in the order of the reference.
    pub features: Vec<ColumnDrift>,
    /// The prediction, over the rows that the reference's version answered.
    pub prediction: Option<ColumnDrift>,
}

/// One window of a monitor, evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowReport {
    /// The monitor.
    pub monitor: String,
    /// Its deployment.
    pub deployment: String,
    /// Which part of the story this is.
    pub kind: Kind,
    /// Start of the window, event time, inclusive.
    pub from_us: i64,
    /// End of the window, event time, exclusive.
    pub until_us: i64,
    /// Outcomes observed later than this are not counted.
    pub as_of_us: i64,
    /// The reference that was compared with; none if the versions of the window have none.
    pub reference: Option<Subject>,
    /// Predictions in the window.
    pub n: u64,
    /// Predictions whose outcome is known as of `as_of_us`.
    pub outcomes: u64,
    /// True while outcomes may still arrive.
    pub provisional: bool,
    /// Who answered, most rows first.
    pub versions: Vec<VersionRows>,
    /// Inputs and prediction against the reference.
    pub drift: Drift,
    /// Quality over all rows with an outcome.
    pub quality: Vec<Measure>,
    /// Quality of the reference version where its reference was made, if known.
    pub reference_quality: Vec<Measure>,
}

impl Drift {
    /// Share of the compared features that drifted; none if nothing was compared.
    pub fn share(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.drifted as f64 / self.compared as f64)
    }

    /// Share of the compared features whose drift is strong.
    pub fn strong_share(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.strong as f64 / self.compared as f64)
    }

    /// The comparison of a feature.
    pub fn feature(&self, name: &str) -> Option<&ColumnDrift> {
        self.features.iter().find(|column| column.name == name)
    }
}

impl WindowReport {
    /// A quality metric by name.
    pub fn measure(&self, metric: &str) -> Option<&Measure> {
        self.quality.iter().find(|measure| measure.metric.as_str() == metric)
    }

    /// The rows of a version.
    pub fn version(&self, version: &str) -> Option<&VersionRows> {
        self.versions.iter().find(|rows| rows.version == version)
    }

    /// The version that answered most rows.
    pub fn dominant_version(&self) -> Option<&str> {
        self.versions.first().map(|version| version.version.as_str())
    }
}
