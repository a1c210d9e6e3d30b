//! Searches: the AST of [`kernel::filter`] to SQL with bound values. Each noun has its own entities, keys and operators, and they
//! are MLflow's.

mod evaluation_datasets;
mod experiments;
mod logged_models;
mod runs;
mod term;
pub(crate) mod token;
mod trace_metrics;
mod traces;

pub use evaluation_datasets::{EvaluationDatasetSearch, evaluation_datasets};
pub use experiments::{ExperimentSearch, experiments};
pub use logged_models::{DatasetFilter, ModelOrder, ModelSearch, logged_models};
pub use runs::{RunSearch, runs, settled_runs};
pub use trace_metrics::{Aggregation, TraceMetrics, TracePoint, trace_metrics};
pub use traces::{TraceSearch, traces};

/// More rows than there can be, with room for one more.
pub(crate) const EVERYTHING: i64 = i64::MAX / 4;
