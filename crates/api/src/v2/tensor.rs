//! Datatypes of the protocol, and how they meet the columns of a model.

use inference::{DataType, Task};
use kernel::frame::Cell;
use serving::Live;

use crate::predict::answer::whole;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    const ALL: [(Self, &'static str, Option<usize>); 14] = [
        (Self::Bool, "BOOL", Some(1)),
        (Self::Uint8, "UINT8", Some(1)),
        (Self::Uint16, "UINT16", Some(2)),
        (Self::Uint32, "UINT32", Some(4)),
        (Self::Uint64, "UINT64", Some(8)),
        (Self::Int8, "INT8", Some(1)),
        (Self::Int16, "INT16", Some(2)),
        (Self::Int32, "INT32", Some(4)),
        (Self::Int64, "INT64", Some(8)),
        (Self::Fp16, "FP16", Some(2)),
        (Self::Bf16, "BF16", Some(2)),
        (Self::Fp32, "FP32", Some(4)),
        (Self::Fp64, "FP64", Some(8)),
        (Self::Bytes, "BYTES", None),
    ];

    /// The type of a name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, have, _)| *have == name).map(|(datatype, ..)| *datatype)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(datatype, ..)| *datatype == self).map_or("BYTES", |(_, name, _)| name)
    }

    /// Bytes of one element in a binary tensor; `None` if each says its own length.
    pub(super) fn width(self) -> Option<usize> {
        Self::ALL.iter().find(|(datatype, ..)| *datatype == self).and_then(|(.., width)| *width)
    }

    /// Whether elements of this type can stand in a column.
    pub(super) fn fits(self, column: DataType) -> bool {
        match column {
            DataType::String | DataType::Datetime => self == Self::Bytes,
            DataType::Boolean => self == Self::Bool,
            DataType::Integer | DataType::Long | DataType::Float | DataType::Double => {
                !matches!(self, Self::Bytes | Self::Bool)
            }
        }
    }

    /// The type under which a column is announced.
    pub(super) fn of_column(column: DataType) -> Self {
        match column {
            DataType::Boolean => Self::Bool,
            DataType::Integer => Self::Int32,
            DataType::Long => Self::Int64,
            DataType::Float => Self::Fp32,
            DataType::Double => Self::Fp64,
            DataType::String | DataType::Datetime => Self::Bytes,
        }
    }

    /// The type that holds all classes of a model.
    pub(super) fn of_classes(classes: &[Cell]) -> Self {
        let all = |test: fn(&Cell) -> bool| classes.iter().all(test);
        if all(|class| matches!(class, Cell::Bool(_))) {
            Self::Bool
        } else if all(|class| matches!(class, Cell::Number(number) if whole(*number).is_some())) {
            Self::Int64
        } else if all(|class| matches!(class, Cell::Number(_))) {
            Self::Fp64
        } else {
            Self::Bytes
        }
    }
}

/// The name of the tensor with the ids of the predictions, in requests and answers.
pub(super) const PREDICTION_ID: &str = "prediction_id";
/// The name of the tensor with the event times, in requests.
pub(super) const EVENT_TIME: &str = "event_time";

/// A tensor that a model gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Prediction,
    Label,
    Score,
    Probabilities,
    PredictionId,
}

impl Given {
    /// What a model gives, in order.
    pub(super) fn of(live: &Live) -> &'static [Self] {
        if live.model().task() == Task::Regression {
            &[Self::Prediction, Self::PredictionId]
        } else {
            &[Self::Label, Self::Score, Self::Probabilities, Self::PredictionId]
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prediction => "prediction",
            Self::Label => "label",
            Self::Score => "score",
            Self::Probabilities => "probabilities",
            Self::PredictionId => PREDICTION_ID,
        }
    }

    pub(super) fn datatype(self, live: &Live) -> Datatype {
        match self {
            Self::Prediction | Self::Score | Self::Probabilities => Datatype::Fp64,
            Self::Label => Datatype::of_classes(live.model().classes()),
            Self::PredictionId => Datatype::Bytes,
        }
    }

    /// Its shape for some rows; -1 is any number.
    pub(super) fn shape(self, live: &Live, rows: i64) -> Vec<i64> {
        match self {
            Self::Probabilities => vec![rows, live.model().classes().len() as i64],
            _ => vec![rows],
        }
    }
}

/// Whether a model is announced as one tensor of all columns instead of a tensor for each: where columns have no names of their own.
pub(super) fn is_matrix(live: &Live) -> bool {
    let unnamed = || live.inputs().names().iter().enumerate().all(|(at, name)| **name == format!("x{at}"));
    match live.model().signature() {
        Some(signature) if !signature.tensors.is_empty() => true,
        Some(signature) => signature.columns.iter().all(|column| column.name.is_none()) && live.inputs().all_numbers(),
        None => live.inputs().all_numbers() && unnamed(),
    }
}

/// The name of that one tensor.
pub(super) fn matrix_name(live: &Live) -> &str {
    let named = live.model().signature().and_then(|signature| signature.tensors.first()?.name.as_deref());
    named.unwrap_or("input")
}
