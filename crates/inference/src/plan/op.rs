//! The steps a plan is made of. Each mirrors one transformer of scikit-learn in the order of its arithmetic.

use crate::PredictError;
use crate::plan::{Block, Lookup, MissingText, Plan, TextSource};

/// One step.
#[derive(Debug)]
pub(crate) enum Op {
    /// `(x - shift) / scale` or `x * scale + shift`, column by column.
    Affine(Affine),
    /// Replaces missing numbers.
    Fill { from: u32, to: u32, missing: MissingNumber, with: f64 },
    /// 1 where a value is missing, else 0.
    IsMissing { cells: Cells, to: u32 },
    /// One column for each category.
    OneHot(OneHot),
    /// One number for each category.
    Ordinal(Ordinal),
}

/// Which numbers an imputer takes for missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MissingNumber {
    /// NaN.
    Nan,
    /// This number.
    Equal(f64),
}

impl MissingNumber {
    fn matches(self, number: f64) -> bool {
        match self {
            Self::Nan => number.is_nan(),
            Self::Equal(missing) => number == missing,
        }
    }
}

/// A column whose values are looked at one by one.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    Number(u32, MissingNumber),
    Text(TextSource, MissingText),
}

/// A linear step over some columns.
#[derive(Debug)]
pub(crate) struct Affine {
    pub(crate) from: Vec<u32>,
    pub(crate) to: u32,
    /// StandardScaler subtracts first and divides then; MinMaxScaler multiplies first and adds then.
    pub(crate) standard: bool,
    pub(crate) shift: Option<Vec<f64>>,
    pub(crate) scale: Option<Vec<f64>>,
    pub(crate) clip: Option<(f64, f64)>,
    /// scikit-learn keeps float32 input in float32: round after each operation.
    pub(crate) single: bool,
}

/// What an encoder does with a category it has not seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unknown {
    /// Refuses the row.
    Refuse,
    /// All columns 0 (one-hot).
    Zeros,
    /// This column (one-hot) or value (ordinal).
    As(f64),
}

/// One column of a OneHotEncoder.
#[derive(Debug)]
pub(crate) struct OneHot {
    pub(crate) cells: Cells,
    pub(crate) origin: u32,
    pub(crate) lookup: Lookup,
    /// For each category the column it lights, if any (dropped ones light none).
    pub(crate) targets: Vec<Option<u32>>,
    pub(crate) unknown: Unknown,
    pub(crate) to: u32,
    pub(crate) width: u32,
}

/// One column of an OrdinalEncoder.
#[derive(Debug)]
pub(crate) struct Ordinal {
    pub(crate) cells: Cells,
    pub(crate) origin: u32,
    pub(crate) lookup: Lookup,
    pub(crate) values: Vec<f64>,
    pub(crate) unknown: Unknown,
    pub(crate) to: u32,
}

impl Op {
    pub(super) fn run(&self, plan: &Plan, block: &mut Block<'_>) -> Result<(), PredictError> {
        match self {
            Self::Affine(affine) => affine.run(block),
            Self::Fill { from, to, missing, with } => {
                for row in 0..block.rows {
                    let number = block.slot(*from)[row];
                    block.slot_mut(*to)[row] = if missing.matches(number) { *with } else { number };
                }
            }
            Self::IsMissing { cells, to } => {
                for row in 0..block.rows {
                    let missing = cells.is_missing(block, row);
                    block.slot_mut(*to)[row] = f64::from(u8::from(missing));
                }
            }
            Self::OneHot(encoder) => return encoder.run(plan, block),
            Self::Ordinal(encoder) => return encoder.run(plan, block),
        }
        Ok(())
    }

    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Affine(affine) => {
                let constants = affine.shift.as_ref().map_or(0, Vec::len) + affine.scale.as_ref().map_or(0, Vec::len);
                affine.from.len() * size_of::<u32>() + constants * size_of::<f64>()
            }
            Self::OneHot(encoder) => encoder.lookup.memory() + encoder.targets.len() * size_of::<Option<u32>>(),
            Self::Ordinal(encoder) => encoder.lookup.memory() + encoder.values.len() * size_of::<f64>(),
            Self::Fill { .. } | Self::IsMissing { .. } => 0,
        }
    }
}

impl Affine {
    fn run(&self, block: &mut Block<'_>) {
        for (column, from) in self.from.iter().enumerate() {
            let shift = self.shift.as_ref().map(|shift| shift[column]);
            let scale = self.scale.as_ref().map(|scale| scale[column]);
            let round = |number: f64| if self.single { f64::from(number as f32) } else { number };
            for row in 0..block.rows {
                let mut number = block.slot(*from)[row];
                if self.standard {
                    number = shift.map_or(number, |shift| round(number - shift));
                    number = scale.map_or(number, |scale| round(number / scale));
                } else {
                    number = scale.map_or(number, |scale| round(number * scale));
                    number = shift.map_or(number, |shift| round(number + shift));
                }
                if let Some((low, high)) = self.clip {
                    // numpy's clip keeps NaN
                    number = if number < low {
                        low
                    } else if number > high {
                        high
                    } else {
                        number
                    };
                }
                block.slot_mut(self.to + column as u32)[row] = number;
            }
        }
    }
}

impl Cells {
    fn is_missing(&self, block: &Block<'_>, row: usize) -> bool {
        match self {
            Self::Number(slot, missing) => missing.matches(block.slot(*slot)[row]),
            Self::Text(source, missing) => missing.matches(filled(block, source, row)),
        }
    }

    #[inline]
    fn category(&self, lookup: &Lookup, block: &Block<'_>, row: usize) -> Option<u32> {
        match self {
            Self::Number(slot, _) => lookup.number(block.slot(*slot)[row]),
            Self::Text(source, _) => lookup.text(filled(block, source, row)),
        }
    }

    fn refuse(&self, plan: &Plan, origin: u32, block: &Block<'_>, row: usize) -> PredictError {
        let value = match self {
            Self::Number(slot, _) => format!("{}", block.slot(*slot)[row]),
            Self::Text(source, _) => {
                filled(block, source, row).map_or("(missing)".to_owned(), |text| format!("{text:?}"))
            }
        };
        let column = plan.inputs.get(origin as usize).map(|input| input.name.to_string()).unwrap_or_default();
        PredictError::UnknownCategory { column, row: block.first + row, value }
    }
}

/// The text of a row after the imputers before.
fn filled<'t>(block: &'t Block<'_>, source: &'t TextSource, row: usize) -> Option<&'t str> {
    let mut text = block.source.text(source, block.first + row);
    for fill in &source.fills {
        if fill.missing.matches(text) {
            text = fill.with.as_deref();
        }
    }
    text
}

impl OneHot {
    fn run(&self, plan: &Plan, block: &mut Block<'_>) -> Result<(), PredictError> {
        let start = self.to as usize * block.stride;
        block.numbers[start..start + self.width as usize * block.stride].fill(0.0);
        for row in 0..block.rows {
            let target = match self.cells.category(&self.lookup, block, row) {
                Some(category) => self.targets[category as usize],
                None => match self.unknown {
                    Unknown::Refuse => return Err(self.cells.refuse(plan, self.origin, block, row)),
                    Unknown::Zeros => None,
                    Unknown::As(column) => Some(column as u32),
                },
            };
            if let Some(column) = target {
                block.slot_mut(self.to + column)[row] = 1.0;
            }
        }
        Ok(())
    }
}

impl Ordinal {
    fn run(&self, plan: &Plan, block: &mut Block<'_>) -> Result<(), PredictError> {
        for row in 0..block.rows {
            let number = match (self.cells.category(&self.lookup, block, row), self.unknown) {
                (Some(category), _) => self.values[category as usize],
                (None, Unknown::As(value)) => value,
                (None, _) => return Err(self.cells.refuse(plan, self.origin, block, row)),
            };
            block.slot_mut(self.to)[row] = number;
        }
        Ok(())
    }
}
