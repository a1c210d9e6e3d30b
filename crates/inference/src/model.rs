//! A loaded model: what it takes, what it is, and `predict`.

use std::cell::RefCell;
use std::sync::Arc;

use kernel::frame::{Cell, ColumnKind, Frame};

use crate::head::{Head, Scratch};
use crate::plan::{Block, Plan, Rows};
use crate::{DataType, PredictError, Signature};

/// A column that a model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: Arc<str>,
    /// How it stands in a frame.
    pub kind: ColumnKind,
    /// Its type in the signature; `double` or `string` where there is none.
    pub data_type: DataType,
    /// False if it may be left out (it is then missing).
    pub required: bool,
}

/// What a model tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A number.
    Regression,
    /// One of two classes.
    Binary,
    /// One of this many classes.
    Multiclass(usize),
}

/// Which method mlflow's scoring contract (`/invocations`) answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictFn {
    /// The value, or the chosen class.
    Predict,
    /// The probabilities of the classes.
    PredictProba,
    /// `Output::scores` of two classes, the probabilities of more: what the boosters of LightGBM and XGBoost answer.
    Scores,
}

impl PredictFn {
    /// scikit-learn's name of the method.
    pub fn name(self) -> &'static str {
        match self {
            Self::Predict | Self::Scores => "predict",
            Self::PredictProba => "predict_proba",
        }
    }
}

/// What is known of a model besides its numbers.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The library and version that wrote it: `scikit-learn 1.9.1`, `xgboost 3.2.0`.
    pub library: String,
    /// The class, with its steps: `sklearn.pipeline.Pipeline(...)`.
    pub estimator: String,
    /// BLAKE3 digest of the package.
    pub digest: String,
    /// The format of the model file: `skops`, `pickle`, `joblib`, `lightgbm`, `xgboost-json` or `xgboost-ubj`.
    pub format: &'static str,
    /// Heap bytes that the loaded model holds.
    pub memory_bytes: usize,
    /// What mlflow's scoring contract answers with.
    pub predict_fn: PredictFn,
}

/// The predictions for some rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// One number a row: the value of a regression, P(`classes[1]`) of a binary classifier, P(chosen class) of a multiclass one.
    pub scores: Vec<f64>,
    /// The chosen class of each row as an index into `classes`; `None` for a regression.
    pub class: Option<Vec<u32>>,
    /// Rows x classes, row-major; `None` for a regression.
    pub probabilities: Option<Vec<f64>>,
}

/// A model that can predict. Immutable, `Send + Sync`; share it in an `Arc`.
#[derive(Debug)]
pub struct Model {
    signature: Option<Signature>,
    inputs: Vec<Input>,
    plan: Plan,
    head: Head,
    info: ModelInfo,
}

/// Buffers a thread keeps between calls, so that a row costs no allocation but its output.
#[derive(Debug, Default)]
struct Buffers {
    numbers: Vec<f64>,
    scratch: Scratch,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl Model {
    pub(crate) fn new(
        signature: Option<Signature>,
        inputs: Vec<Input>,
        plan: Plan,
        head: Head,
        info: ModelInfo,
    ) -> Self {
        Self { signature, inputs, plan, head, info }
    }

    /// The signature in `MLmodel`, if there is one.
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// The columns it takes, in the order of `predict`'s frame: from the signature, else `feature_names_in_`, else `x0`..`xn-1`.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// What it tells.
    pub fn task(&self) -> Task {
        self.head.task()
    }

    /// The classes of a classifier, in scikit-learn's order; empty for a regression.
    pub fn classes(&self) -> &[Cell] {
        self.head.classes()
    }

    /// What is known of it besides its numbers.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Scores the rows of a frame whose columns stand in the order of [`Model::inputs`] (names are not looked at).
    pub fn predict(&self, frame: &Frame) -> Result<Output, PredictError> {
        if frame.columns().len() != self.inputs.len() {
            return Err(PredictError::Columns { expected: self.inputs.len(), got: frame.columns().len() });
        }
        for (column, input) in frame.columns().iter().zip(&self.plan.inputs) {
            if let Some(kind) = input.kind.filter(|kind| input.used && *kind != column.kind()) {
                let word = |kind| if kind == ColumnKind::Text { "text" } else { "numbers" };
                let (expected, got) = (word(kind), word(column.kind()));
                return Err(PredictError::Type { column: input.name.to_string(), expected, got });
            }
        }
        self.run(Rows::Frame(frame), frame.rows())
    }

    /// Scores row-major numbers, for models that take numbers only. NaN is missing.
    pub fn predict_dense(&self, rows: &[f64], n_rows: usize) -> Result<Output, PredictError> {
        let columns = self.inputs.len();
        if n_rows.checked_mul(columns) != Some(rows.len()) {
            return Err(PredictError::Shape { rows: n_rows, columns, got: rows.len() });
        }
        if let Some(input) = self.plan.inputs.iter().find(|input| input.used && input.kind == Some(ColumnKind::Text)) {
            return Err(PredictError::Type { column: input.name.to_string(), expected: "text", got: "numbers" });
        }
        self.run(Rows::Dense { values: rows, columns }, n_rows)
    }

    fn run(&self, source: Rows<'_>, rows: usize) -> Result<Output, PredictError> {
        BUFFERS.with_borrow_mut(|buffers| {
            let mut output = Output { scores: Vec::with_capacity(rows), class: None, probabilities: None };
            if self.task() != Task::Regression {
                output.class = Some(Vec::with_capacity(rows));
                output.probabilities = Some(Vec::with_capacity(rows * self.classes().len()));
            }
            let stride = self.plan.block_rows().min(rows);
            buffers.numbers.resize(self.plan.slots * stride, 0.0);
            let mut first = 0;
            while first < rows {
                let numbers = &mut buffers.numbers;
                let mut block = Block { source, first, rows: stride.min(rows - first), stride, numbers };
                self.plan.run(&mut block)?;
                self.head.run(&self.plan, &block, &mut buffers.scratch, &mut output)?;
                first += stride;
            }
            Ok(output)
        })
    }
}
