//! What can go wrong: with a file ([`LoadError`]), with rows ([`PredictError`]).

use kernel::error::{Classified, Kind};

/// Why a package did not become a model. The model is at fault, never the caller of `predict`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// No file in the package is a model that we read.
    #[error("no model file found among: {files}")]
    NoModel {
        /// The names that are there.
        files: String,
    },
    /// The file breaks its own format: truncated, cyclic, an index that points nowhere.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The file, or the place inside it.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// The file asks for more than we grant: memory, depth, entries.
    #[error("{file} is beyond a limit: {what}")]
    Limit {
        /// The file.
        file: String,
        /// Which limit, and how far.
        what: String,
    },
    /// A class we do not know. It was not imported and not called.
    #[error("class {class} at {place} is not supported")]
    UnknownClass {
        /// The full dotted name.
        class: String,
        /// Where in the model it stands.
        place: String,
    },
    /// A class we know, used in a way we do not run.
    #[error("{class} at {place}: {what} is not supported")]
    Unsupported {
        /// The full dotted name.
        class: String,
        /// Where in the model it stands.
        place: String,
        /// The option or format.
        what: String,
    },
}

impl LoadError {
    pub(crate) fn damaged(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), what: what.into() }
    }

    pub(crate) fn limit(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Limit { file: file.into(), what: what.into() }
    }

    pub(crate) fn unsupported(class: impl Into<String>, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Unsupported { class: class.into(), place: place.into(), what: what.into() }
    }
}

impl Classified for LoadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Limit { .. } => Kind::TooLarge,
            _ => Kind::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoModel { .. } => {
                "log the model with mlflow.sklearn, mlflow.lightgbm or mlflow.xgboost, or give one model file"
                    .to_owned()
            }
            Self::Damaged { .. } => {
                "log the model again from where it was trained and register that version".to_owned()
            }
            Self::Limit { .. } => "save the model uncompressed, or with fewer trees".to_owned(),
            Self::UnknownClass { class, .. } => unknown_class_hint(class),
            Self::Unsupported { .. } => {
                "train with an option that is supported (crates/inference/README.md has the table)".to_owned()
            }
        })
    }
}

fn unknown_class_hint(class: &str) -> String {
    let known = "crates/inference/README.md has the table of supported estimators";
    if class.starts_with("sklearn.") {
        format!("replace this step by a supported one and train again; {known}")
    } else {
        format!(
            "only scikit-learn, LightGBM and XGBoost models run natively, foreign code in a model file is never executed; {known}"
        )
    }
}

/// Why rows could not be scored. The rows are at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// The frame has other columns than the model.
    #[error("the model takes {expected} columns, but {got} came")]
    Columns {
        /// Number of columns of the model.
        expected: usize,
        /// Number of columns that came.
        got: usize,
    },
    /// A column holds values of another kind.
    #[error("column {column}: {expected} expected, but {got} came")]
    Type {
        /// The column.
        column: String,
        /// What the model takes.
        expected: &'static str,
        /// What came.
        got: &'static str,
    },
    /// A value is missing where the estimator takes none.
    #[error("column {column}, row {row}: a value is missing, and {estimator} takes no missing values")]
    Missing {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The class that refuses.
        estimator: &'static str,
    },
    /// A value is infinite, or too large for 32-bit floats where the estimator uses them.
    #[error("column {column}, row {row}: the value is infinite or too large for {estimator}")]
    Infinite {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The class that refuses.
        estimator: &'static str,
    },
    /// A category that was not seen in training, and the encoder was told to refuse those.
    #[error("column {column}, row {row}: unknown category {value}")]
    UnknownCategory {
        /// The column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The category.
        value: String,
    },
    /// `predict_dense` got a slice that is not rows x columns.
    #[error("{rows} rows of {columns} columns need {} values, but {got} came", rows * columns)]
    Shape {
        /// Rows announced.
        rows: usize,
        /// Columns of the model.
        columns: usize,
        /// Values that came.
        got: usize,
    },
}

impl Classified for PredictError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::Type { column, .. }
            | Self::Missing { column, .. }
            | Self::Infinite { column, .. }
            | Self::UnknownCategory { column, .. } => Some(column),
            Self::Columns { .. } | Self::Shape { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Columns { .. } | Self::Shape { .. } => "send the columns of the model's signature".to_owned(),
            Self::Type { expected, .. } => format!("send {expected} in this column"),
            Self::Missing { .. } => "send a value, or put a SimpleImputer into the model's pipeline".to_owned(),
            Self::Infinite { .. } => "send a finite value".to_owned(),
            Self::UnknownCategory { .. } => {
                "send a category of the training data, or train the encoder with handle_unknown='ignore'".to_owned()
            }
        })
    }
}
