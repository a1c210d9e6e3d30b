//! Rules: what of a window's report is beyond its bound, and when that raises or ends an alert.
//!
//! A rule never judges a point estimate alone. A share is beyond its bound when the whole interval is; a quality metric when the
//! interval is on the wrong side of the bound; a drift statistic only where the test says that the difference is real.

mod judge;

use serde::{Deserialize, Serialize};

use crate::Error;
pub use judge::{Judgement, Level, judge};

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The inputs: `share` of features that drifted, `strong_share` of features that drifted strongly; of one feature `psi`, `ks`,
    /// `effect`, `detected`.
    Drift,
    /// The prediction: `psi`, `ks`, `effect`, `detected`, `strong`.
    PredictionDrift,
    /// Missing values: `share`, of one feature or of the worst one.
    Missing,
    /// Values the reference has not seen: `share`, of one feature or of the worst one.
    Unseen,
    /// Quality once the outcomes are in: `auc`, `log_loss`, `brier`, `ece`, `accuracy`, `mae`, `rmse`, `bias`.
    Quality,
}

impl On {
    fn metrics(self) -> &'static [&'static str] {
        match self {
            Self::Drift => &["share", "strong_share", "psi", "ks", "effect", "detected", "strong"],
            Self::PredictionDrift => &["psi", "ks", "effect", "detected", "strong"],
            Self::Missing | Self::Unseen => &["share"],
            Self::Quality => &["auc", "log_loss", "brier", "ece", "accuracy", "mae", "rmse", "bias"],
        }
    }
}

/// Which side of the threshold is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Values above it.
    Above,
    /// Values below it.
    Below,
}

/// What a threshold is relative to. The threshold is then the difference that is still allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The reference profile of the version.
    Reference,
    /// The first window with final quality of the version.
    FirstWindow,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Look at it.
    Warning,
    /// Act.
    Critical,
}

/// When an alert starts: `windows` of the last `of` judged windows beyond the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enter {
    /// So many ...
    pub windows: usize,
    /// ... of so many.
    pub of: usize,
}

impl Default for Enter {
    fn default() -> Self {
        Self { windows: 2, of: 3 }
    }
}

/// When an alert ends: so many windows in a row within `factor` times the bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// Windows in a row.
    pub windows: usize,
    /// The share of the threshold that counts as well again.
    pub factor: f64,
}

impl Default for Leave {
    fn default() -> Self {
        Self { windows: 3, factor: 0.8 }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique in the monitor.
    pub name: String,
    /// What it looks at.
    pub on: On,
    /// The metric; see [`On`].
    pub metric: String,
    /// The feature; absent: all of them, or the worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// Which side is bad; absent: the side that is worse for the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// The bound. `detected` and `strong` need none.
    #[serde(default)]
    pub threshold: f64,
    /// What the bound is relative to; absent: it is absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_to: Option<Baseline>,
    /// When an alert starts.
    #[serde(default)]
    pub enter: Enter,
    /// When it ends.
    #[serde(default)]
    pub leave: Leave,
    /// How bad it is.
    #[serde(default = "warning")]
    pub severity: Severity,
}

fn warning() -> Severity {
    Severity::Warning
}

impl Rule {
    /// A rule with the shipped way in and out.
    pub fn new(name: &str, on: On, metric: &str, threshold: f64) -> Self {
        Self {
            name: name.to_owned(),
            on,
            metric: metric.to_owned(),
            feature: None,
            op: None,
            threshold,
            relative_to: None,
            enter: Enter::default(),
            leave: Leave::default(),
            severity: Severity::Warning,
        }
    }

    /// The same rule relative to a baseline.
    #[must_use]
    pub fn relative_to(mut self, baseline: Baseline) -> Self {
        self.relative_to = Some(baseline);
        self
    }

    /// The same rule, critical.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.severity = Severity::Critical;
        self
    }

    /// The shipped rules. Quality rules whose metric the task does not have stay silent.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("feature-drift", On::Drift, "strong_share", 0.3),
            Self::new("prediction-drift", On::PredictionDrift, "strong", 0.0),
            Self::new("missing-values", On::Missing, "share", 0.05).relative_to(Baseline::Reference),
            Self::new("unseen-values", On::Unseen, "share", 0.01).relative_to(Baseline::Reference),
            Self::new("brier", On::Quality, "brier", 0.01).relative_to(Baseline::FirstWindow).critical(),
            Self::new("auc", On::Quality, "auc", 0.03).relative_to(Baseline::FirstWindow).critical(),
        ]
    }

    /// The side that is bad.
    pub fn bad_side(&self) -> Op {
        self.op.unwrap_or(match self.metric.as_str() {
            "auc" | "accuracy" => Op::Below,
            _ => Op::Above,
        })
    }

    /// True if the rule compares with what one version was made from, so that another version starts anew.
    pub fn belongs_to_version(&self) -> bool {
        self.relative_to.is_some() || matches!(self.on, On::Drift | On::PredictionDrift)
    }

    /// Says what is wrong with the rule; `at` is its place in the definition.
    pub fn validate(&self, at: &str) -> Result<(), Error> {
        crate::monitor::name_is_plain(&format!("{at}.name"), &self.name)?;
        let known = self.on.metrics();
        if !known.contains(&self.metric.as_str()) {
            return Err(Error::invalid(
                format!("{at}.metric"),
                format!("`{}` is not one of {}", self.metric, known.join(", ")),
            ));
        }
        if !self.threshold.is_finite() {
            return Err(Error::invalid(format!("{at}.threshold"), "must be a number"));
        }
        if self.threshold < 0.0 && (self.on != On::Quality || self.relative_to.is_some()) {
            return Err(Error::invalid(format!("{at}.threshold"), "must not be negative"));
        }
        let over_all = matches!(self.metric.as_str(), "share" | "strong_share");
        if self.on == On::Drift && self.feature.is_none() && !over_all {
            return Err(Error::invalid(
                format!("{at}.feature"),
                format!("`{}` is of one feature: name it", self.metric),
            ));
        }
        if self.feature.is_some() && (self.on == On::Quality || self.on == On::PredictionDrift) {
            return Err(Error::invalid(format!("{at}.feature"), "this rule is not about a feature"));
        }
        if self.on == On::Drift && self.feature.is_some() && over_all {
            return Err(Error::invalid(format!("{at}.feature"), "a share is over all features"));
        }
        let baseline_fits = match self.relative_to {
            None => true,
            Some(Baseline::Reference) => matches!(self.on, On::Quality | On::Missing | On::Unseen),
            Some(Baseline::FirstWindow) => self.on == On::Quality,
        };
        if !baseline_fits {
            return Err(Error::invalid(format!("{at}.relative_to"), "this metric has no such baseline"));
        }
        if self.op == Some(Op::Below) && self.on != On::Quality {
            return Err(Error::invalid(format!("{at}.op"), "only quality can be too low"));
        }
        if self.enter.windows == 0 || self.enter.windows > self.enter.of || self.enter.of > 64 {
            return Err(Error::invalid(format!("{at}.enter"), "needs 1 <= windows <= of <= 64"));
        }
        if self.leave.windows == 0 || self.leave.windows > 64 || !(0.0..=1.0).contains(&self.leave.factor) {
            return Err(Error::invalid(format!("{at}.leave"), "needs 1 to 64 windows and a factor between 0 and 1"));
        }
        Ok(())
    }
}
