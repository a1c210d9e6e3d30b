//! The four stages of MLflow.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A stage. Text is read in any case and written in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Where a version begins.
    None,
    /// Under trial.
    Staging,
    /// In use.
    Production,
    /// Out of use.
    Archived,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// True for the stages that a deployment can follow.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            let message = format!(
                "Invalid Model Version stage: {text}. Value must be one of None, Staging, Production, Archived."
            );
            Error::invalid("stage", message)
        })
    }
}
