//! Experiments, runs, params, metrics, tags, dataset inputs, logged models, traces and assessments, with MLflow's rules.
//!
//! Functions take the open transaction and the context first; the caller owns the transaction. No HTTP and no files here: the
//! bytes of artifacts are `blob`'s, the wire is `api`'s. Error texts are MLflow's own where its clients and tests look at them.

pub mod assessment;
pub mod batch;
mod check;
pub mod dataset;
mod error;
pub mod evaluation_dataset;
pub mod experiment;
pub mod history;
pub mod import;
pub mod logged_model;
pub mod metric;
mod migrations;
mod names;
pub mod param;
pub mod purge;
pub mod run;
pub mod scorer;
pub mod search;
pub mod sweep;
pub mod tag;
pub mod trace;
mod uri;

pub use error::Error;
pub use migrations::MIGRATIONS;

/// A key and its value: a param or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value; it may be empty.
    pub value: String,
}

impl Pair {
    /// A pair.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// Whether a thing is there or in the bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There.
    Active,
    /// Deleted, and can be restored.
    Deleted,
}

impl Stage {
    /// As stored and as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }

    pub(crate) fn read(row: &db::Row) -> Result<Self, db::Error> {
        match row.str("lifecycle_stage")? {
            "active" => Ok(Self::Active),
            "deleted" => Ok(Self::Deleted),
            other => Err(db::Error::corrupt("lifecycle_stage", other)),
        }
    }
}

/// The tables whose rows are the things of a workspace: one that has any is not empty.
pub const ROOT_TABLES: &[&str] = &["experiments"];

/// Which stages a listing shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// What is there.
    #[default]
    ActiveOnly,
    /// What is in the bin.
    DeletedOnly,
    /// Both.
    All,
}

impl View {
    pub(crate) fn stages(self) -> &'static [&'static str] {
        match self {
            Self::ActiveOnly => &["active"],
            Self::DeletedOnly => &["deleted"],
            Self::All => &["active", "deleted"],
        }
    }
}
