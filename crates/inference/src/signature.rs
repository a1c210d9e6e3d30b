//! The signature of a model as mlflow writes it: JSON text inside `MLmodel`.

use std::sync::Arc;

use kernel::frame::ColumnKind;
use serde_json::Value;

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

impl Signature {
    /// From the JSON texts of mlflow's `inputs` and `outputs`. The error says what is wrong.
    pub(crate) fn parse(inputs: Option<&str>, outputs: Option<&str>) -> Result<Self, String> {
        let mut signature = Self::default();
        if let Some(inputs) = inputs {
            (signature.columns, signature.tensors) = specs(inputs)?;
        }
        if let Some(outputs) = outputs {
            (signature.output_columns, signature.output_tensors) = specs(outputs)?;
        }
        Ok(signature)
    }
}

fn specs(text: &str) -> Result<(Vec<ColumnSpec>, Vec<TensorSpec>), String> {
    let specs: Vec<Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut columns = Vec::new();
    let mut tensors = Vec::new();
    for spec in &specs {
        let name = spec.get("name").and_then(Value::as_str).map(Arc::from);
        let type_name = spec.get("type").and_then(Value::as_str).ok_or("a column has no type")?;
        if type_name == "tensor" {
            tensors.push(tensor(name, spec).ok_or("a tensor has no dtype or shape")?);
        } else {
            columns.push(ColumnSpec {
                name,
                data_type: DataType::parse(type_name),
                type_name: type_name.to_owned(),
                required: spec.get("required").and_then(Value::as_bool).unwrap_or(true),
            });
        }
    }
    Ok((columns, tensors))
}

fn tensor(name: Option<Arc<str>>, spec: &Value) -> Option<TensorSpec> {
    let tensor = spec.get("tensor-spec")?;
    let shape = tensor.get("shape")?.as_array()?.iter().map(Value::as_i64).collect::<Option<_>>()?;
    Some(TensorSpec { name, dtype: tensor.get("dtype")?.as_str()?.to_owned(), shape })
}
