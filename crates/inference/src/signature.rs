//! The signature of a model as mlflow writes it: JSON text inside `MLmodel`.

use std::sync::Arc;

use kernel::frame::ColumnKind;

/// The types of mlflow's column signatures (`mlflow.types.DataType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `boolean`.
    Boolean,
    /// `integer`: 32 bits.
    Integer,
    /// `long`: 64 bits.
    Long,
    /// `float`: 32 bits. mlflow casts the column to float32 before the model sees it.
    Float,
    /// `double`: 64 bits.
    Double,
    /// `string`.
    String,
    /// `datetime`.
    Datetime,
}

impl DataType {
    /// mlflow's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Datetime => "datetime",
        }
    }

    /// The type of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "string" => Self::String,
            "datetime" => Self::Datetime,
            _ => return None,
        })
    }

    /// The kind of a frame's column that carries it.
    pub fn kind(self) -> ColumnKind {
        if self == Self::String { ColumnKind::Text } else { ColumnKind::Number }
    }
}

/// A named column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name; mlflow leaves it out for unnamed columns.
    pub name: Option<Arc<str>>,
    /// Its type; `None` for types that no estimator here takes (binary, arrays, objects).
    pub data_type: Option<DataType>,
    /// mlflow's name of the type, as written.
    pub type_name: String,
    /// False if the column may be left out.
    pub required: bool,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// numpy's name of the element type: `float64`.
    pub dtype: String,
    /// Shape; -1 is any length.
    pub shape: Vec<i64>,
}

/// What a model takes and gives: columns or tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Columns taken, empty for a tensor signature.
    pub columns: Vec<ColumnSpec>,
    /// Tensors taken, empty for a column signature.
    pub tensors: Vec<TensorSpec>,
    /// Columns given.
    pub output_columns: Vec<ColumnSpec>,
    /// Tensors given.
    pub output_tensors: Vec<TensorSpec>,
}
