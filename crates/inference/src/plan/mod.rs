//! A fitted pipeline as a flat list of steps over numbered columns ("slots"), made once at load.
//!
//! Rows run through it in blocks: slot `s` of row `r` is `numbers[s * stride + r]`. Texts are never copied: a step that looks one up
//! reads it from the caller's frame. Estimators talk to the [`Planner`]; [`Plan::run`] does the work.

mod lookup;
mod op;
mod planner;

use std::sync::Arc;

use kernel::frame::{Column, ColumnKind, Frame};

use crate::PredictError;
pub(crate) use lookup::Lookup;
pub(crate) use op::{Affine, Cells, MissingNumber, OneHot, Op, Ordinal, Unknown};
pub(crate) use planner::{Feature, Planner, Table};

/// A column of the caller's rows, as the plan needs it.
#[derive(Clone, Debug)]
pub(crate) struct InputColumn {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Option<ColumnKind>,
    /// A step reads it.
    pub(crate) used: bool,
    /// A step refuses infinities in it.
    pub(crate) finite: Option<&'static str>,
    /// It is float32 for scikit-learn: rounded on the way in.
    pub(crate) single: bool,
}

/// Where a text comes from: an input column, with what imputers put in the place of some values.
#[derive(Clone, Debug)]
pub(crate) struct TextSource {
    pub(crate) input: u32,
    pub(crate) fills: Vec<TextFill>,
}

/// One imputer on a text column.
#[derive(Clone, Debug)]
pub(crate) struct TextFill {
    pub(crate) missing: MissingText,
    /// What takes its place; `None` leaves it missing.
    pub(crate) with: Option<Box<str>>,
}

/// Which texts an imputer takes for missing.
#[derive(Clone, Debug)]
pub(crate) enum MissingText {
    /// Missing values.
    Missing,
    /// This text.
    Equal(Box<str>),
}

impl MissingText {
    pub(crate) fn matches(&self, text: Option<&str>) -> bool {
        match self {
            Self::Missing => text.is_none(),
            Self::Equal(missing) => text == Some(missing),
        }
    }
}

/// The caller's rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'r> {
    /// Columns in the order of the inputs.
    Frame(&'r Frame),
    /// Row-major numbers.
    Dense { values: &'r [f64], columns: usize },
}

impl Rows<'_> {
    fn text(&self, source: &TextSource, row: usize) -> Option<&str> {
        match self {
            Self::Frame(frame) => match frame.columns().get(source.input as usize) {
                Some(Column::Text(texts)) => texts.get(row)?.as_deref(),
                _ => None,
            },
            Self::Dense { .. } => None,
        }
    }
}

/// Rows `first..first + rows` on their way through a plan.
#[derive(Debug)]
pub(crate) struct Block<'b> {
    pub(crate) source: Rows<'b>,
    pub(crate) first: usize,
    pub(crate) rows: usize,
    pub(crate) stride: usize,
    pub(crate) numbers: &'b mut [f64],
}

impl Block<'_> {
    pub(crate) fn slot(&self, slot: u32) -> &[f64] {
        let start = slot as usize * self.stride;
        &self.numbers[start..start + self.rows]
    }

    pub(crate) fn slot_mut(&mut self, slot: u32) -> &mut [f64] {
        let start = slot as usize * self.stride;
        &mut self.numbers[start..start + self.rows]
    }
}

/// All steps before the final estimator.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) inputs: Vec<InputColumn>,
    pub(crate) ops: Vec<Op>,
    /// Number of slots: the inputs first, then what the steps make.
    pub(crate) slots: usize,
}

/// Scratch for a block stays below this many numbers where it can.
const SCRATCH: usize = 16 * 1024;
/// Rows of a block.
const MAX_ROWS: usize = 64;

impl Plan {
    /// Rows a block takes.
    pub(crate) fn block_rows(&self) -> usize {
        (SCRATCH / self.slots.max(1)).clamp(1, MAX_ROWS)
    }

    /// Brings the inputs of a block into their slots and runs the steps.
    pub(crate) fn run(&self, block: &mut Block<'_>) -> Result<(), PredictError> {
        for (index, input) in self.inputs.iter().enumerate() {
            if input.used && input.kind != Some(ColumnKind::Text) {
                fill(block, index, input)?;
            }
        }
        self.ops.iter().try_for_each(|op| op.run(self, block))
    }

    /// Heap bytes.
    pub(crate) fn memory(&self) -> usize {
        let inputs: usize = self.inputs.iter().map(|input| input.name.len()).sum();
        inputs
            + self.inputs.len() * size_of::<InputColumn>()
            + self.ops.len() * size_of::<Op>()
            + self.ops.iter().map(Op::memory).sum::<usize>()
    }
}

fn fill(block: &mut Block<'_>, index: usize, input: &InputColumn) -> Result<(), PredictError> {
    let (source, first, rows) = (block.source, block.first, block.rows);
    let slot = block.slot_mut(index as u32);
    match source {
        Rows::Frame(frame) => {
            if let Some(Column::Number(values)) = frame.columns().get(index) {
                slot.copy_from_slice(&values[first..first + rows]);
            }
        }
        Rows::Dense { values, columns } => {
            for (row, number) in slot.iter_mut().enumerate() {
                *number = values[(first + row) * columns + index];
            }
        }
    }
    if input.single {
        for number in slot.iter_mut() {
            *number = f64::from(*number as f32);
        }
    }
    if let Some(estimator) = input.finite
        && let Some(row) = slot.iter().position(|number| number.is_infinite())
    {
        return Err(PredictError::Infinite { column: input.name.to_string(), row: first + row, estimator });
    }
    Ok(())
}
