//! The final estimator: raw scores from a kernel, then the values, classes and probabilities that scikit-learn makes of them.

use kernel::frame::Cell;

use crate::boost::link::Ending;
use crate::histogram::HistEnsemble;
use crate::plan::{Block, Plan, Planner, Table};
use crate::trees::Ensemble;
use crate::trees::exact::{Exact, plus};
use crate::view::{Plain, View};
use crate::{LoadError, Output, PredictError, Task};

/// How raw scores are made.
#[derive(Debug)]
pub(crate) enum Kernel {
    Trees {
        ensemble: Ensemble,
        start: Vec<f64>,
        divide: Option<f64>,
    },
    Histogram {
        ensemble: HistEnsemble,
        start: Vec<f64>,
    },
    Exact {
        ensemble: Exact,
        start: Vec<f64>,
        divide: Option<f64>,
    },
    Linear {
        coefficients: Vec<f64>,
        intercept: Vec<f64>,
    },
    /// XGBoost's: 32-bit numbers, missing values left out. Weights are (features + 1) x outputs, the bias last.
    LinearSingle {
        weights: Vec<f64>,
        start: Vec<f64>,
    },
}

/// What becomes of the raw scores of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finish {
    /// The prediction of a regression.
    Value,
    /// A regression with a log link.
    Exponential,
    /// Log-odds of the second class. `tie`: it also wins at 0.
    Sigmoid { factor: f64, tie: bool },
    /// Log-odds of each class.
    Softmax,
    /// One score `d`, softmax over (-d, d).
    SoftmaxOfTwo,
    /// One sigmoid a class, scaled to sum to 1.
    OneAgainstRest,
    /// They are probabilities already.
    Fractions,
    /// What a boosting library makes of its sums.
    Boosted(Ending),
}

/// Whether missing values may reach the estimator; the name is the estimator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Refuse(&'static str),
    Take(&'static str),
    /// Missing and infinite values alike.
    Any,
}

/// A final estimator.
#[derive(Debug)]
pub(crate) struct Head {
    kernel: Kernel,
    finish: Finish,
    classes: Vec<Cell>,
    missing: Missing,
    /// The slot of each of its features, and the input it came from.
    slots: Vec<u32>,
    origins: Vec<u32>,
}

/// Buffers that a thread keeps between calls.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    narrow: Vec<[f32; NARROW]>,
    wide: Vec<f32>,
    double: Vec<f64>,
    raw: Vec<f64>,
}

/// Rows of up to this many features are padded to it, which spares the kernels their bounds checks.
const NARROW: usize = 64;

impl Head {
    pub(crate) fn new(
        view: &View<'_>,
        planner: &mut Planner,
        table: &Table,
        kernel: Kernel,
        finish: Finish,
        classes: Vec<Plain>,
        missing: Missing,
    ) -> Result<Self, LoadError> {
        if let Kernel::Linear { coefficients, intercept } = &kernel
            && !coefficients.iter().chain(intercept).all(|number| number.is_finite())
        {
            return Err(view.damaged("a coefficient is not finite"));
        }
        let mut slots = Vec::with_capacity(table.features.len());
        for feature in &table.features {
            slots.push(planner.number(view, feature, None)?);
        }
        let classes = classes.into_iter().map(|class| match class {
            Plain::Bool(value) => Ok(Cell::Bool(value)),
            Plain::Int(value) => Ok(Cell::Number(value as f64)),
            Plain::Float(value) => Ok(Cell::Number(value)),
            Plain::Text(text) => Ok(Cell::Text(text.into())),
            Plain::None => Err(view.damaged("a class is None")),
        });
        Ok(Self {
            kernel,
            finish,
            classes: classes.collect::<Result<_, _>>()?,
            missing,
            slots,
            origins: table.features.iter().map(|feature| feature.origin).collect(),
        })
    }

    pub(crate) fn classes(&self) -> &[Cell] {
        &self.classes
    }

    pub(crate) fn task(&self) -> Task {
        match self.classes.len() {
            0 => Task::Regression,
            2 => Task::Binary,
            more => Task::Multiclass(more),
        }
    }

    /// Raw scores a row.
    fn width(&self) -> usize {
        match &self.kernel {
            Kernel::Trees { start, .. }
            | Kernel::Histogram { start, .. }
            | Kernel::Exact { start, .. }
            | Kernel::LinearSingle { start, .. } => start.len(),
            Kernel::Linear { intercept, .. } => intercept.len(),
        }
    }

    /// Scores a block and appends to the output.
    pub(crate) fn run(
        &self,
        plan: &Plan,
        block: &Block<'_>,
        scratch: &mut Scratch,
        output: &mut Output,
    ) -> Result<(), PredictError> {
        scratch.raw.clear();
        match &self.kernel {
            Kernel::Trees { ensemble, start, divide } => {
                start_rows(&mut scratch.raw, start, block.rows);
                self.trees(plan, block, scratch, ensemble)?;
                if let Some(count) = divide {
                    scratch.raw.iter_mut().for_each(|score| *score /= count);
                }
            }
            Kernel::Histogram { ensemble, start } => {
                start_rows(&mut scratch.raw, start, block.rows);
                ensemble.add(block, &self.slots, &mut scratch.raw);
            }
            Kernel::Exact { ensemble, start, divide } => {
                start_rows(&mut scratch.raw, start, block.rows);
                let missing = self.gather(plan, block, ensemble.single(), &mut scratch.double)?;
                ensemble.add(&scratch.double, self.slots.len(), missing, &mut scratch.raw);
                if let Some(count) = divide {
                    scratch.raw.iter_mut().for_each(|score| *score /= count);
                }
            }
            Kernel::LinearSingle { weights, start } => {
                self.gather(plan, block, true, &mut scratch.double)?;
                linear_single(&scratch.double, self.slots.len(), weights, start, &mut scratch.raw);
            }
            Kernel::Linear { coefficients, intercept } => {
                self.finite(plan, block)?;
                self.linear(block, coefficients, intercept, &mut scratch.raw);
            }
        }
        for row in scratch.raw.chunks_exact_mut(self.width()) {
            self.finish(row, output);
        }
        Ok(())
    }

    fn trees(
        &self,
        plan: &Plan,
        block: &Block<'_>,
        scratch: &mut Scratch,
        ensemble: &Ensemble,
    ) -> Result<(), PredictError> {
        let width = self.slots.len();
        let mut missing = false;
        if width <= NARROW {
            scratch.narrow.resize(block.rows, [0.0; NARROW]);
            for (feature, slot) in self.slots.iter().enumerate() {
                for (row, (number, target)) in block.slot(*slot).iter().zip(&mut scratch.narrow).enumerate() {
                    target[feature] = *number as f32;
                    missing |= self.check(plan, block, feature, row, f64::from(target[feature]))?;
                }
            }
            ensemble.add(&scratch.narrow, missing, &mut scratch.raw);
            return Ok(());
        }
        scratch.wide.resize(block.rows * width, 0.0);
        for (feature, slot) in self.slots.iter().enumerate() {
            for (row, number) in block.slot(*slot).iter().enumerate() {
                let number = *number as f32;
                scratch.wide[row * width + feature] = number;
                missing |= self.check(plan, block, feature, row, f64::from(number))?;
            }
        }
        let rows: Vec<&[f32]> = scratch.wide.chunks_exact(width).collect();
        ensemble.add(&rows, missing, &mut scratch.raw);
        Ok(())
    }

    /// The rows side by side, rounded to 32 bits if `single`; true if one is missing.
    fn gather(&self, plan: &Plan, block: &Block<'_>, single: bool, out: &mut Vec<f64>) -> Result<bool, PredictError> {
        let width = self.slots.len();
        let mut missing = false;
        out.resize(block.rows * width, 0.0);
        for (feature, slot) in self.slots.iter().enumerate() {
            for (row, number) in block.slot(*slot).iter().enumerate() {
                let number = if single { f64::from(*number as f32) } else { *number };
                out[row * width + feature] = number;
                missing |= self.check(plan, block, feature, row, number)?;
            }
        }
        Ok(missing)
    }

    /// Refuses what scikit-learn refuses; true if the number is missing.
    #[inline]
    fn check(
        &self,
        plan: &Plan,
        block: &Block<'_>,
        feature: usize,
        row: usize,
        number: f64,
    ) -> Result<bool, PredictError> {
        if number.is_finite() { Ok(false) } else { self.not_finite(plan, block, feature, row, number) }
    }

    #[cold]
    fn not_finite(
        &self,
        plan: &Plan,
        block: &Block<'_>,
        feature: usize,
        row: usize,
        number: f64,
    ) -> Result<bool, PredictError> {
        let origin = self.origins.get(feature).and_then(|origin| plan.inputs.get(*origin as usize));
        let column = origin.map(|input| input.name.to_string()).unwrap_or_default();
        let row = block.first + row;
        match self.missing {
            Missing::Any => Ok(number.is_nan()),
            Missing::Take(_) if number.is_nan() => Ok(true),
            Missing::Refuse(estimator) if number.is_nan() => Err(PredictError::Missing { column, row, estimator }),
            Missing::Refuse(estimator) | Missing::Take(estimator) => {
                Err(PredictError::Infinite { column, row, estimator })
            }
        }
    }

    fn finite(&self, plan: &Plan, block: &Block<'_>) -> Result<(), PredictError> {
        for (feature, slot) in self.slots.iter().enumerate() {
            for (row, number) in block.slot(*slot).iter().enumerate() {
                self.check(plan, block, feature, row, *number)?;
            }
        }
        Ok(())
    }

    fn linear(&self, block: &Block<'_>, coefficients: &[f64], intercept: &[f64], raw: &mut Vec<f64>) {
        let outputs = intercept.len();
        raw.resize(block.rows * outputs, 0.0);
        for (output, coefficients) in coefficients.chunks_exact(self.slots.len().max(1)).enumerate() {
            for (slot, coefficient) in self.slots.iter().zip(coefficients) {
                for (number, score) in block.slot(*slot).iter().zip(raw.iter_mut().skip(output).step_by(outputs)) {
                    *score += number * coefficient;
                }
            }
        }
        for row in raw.chunks_exact_mut(outputs) {
            row.iter_mut().zip(intercept).for_each(|(score, shift)| *score += shift);
        }
    }

    fn finish(&self, raw: &mut [f64], output: &mut Output) {
        match self.finish {
            Finish::Value => output.scores.push(raw[0]),
            Finish::Exponential => output.scores.push(raw[0].exp()),
            Finish::Sigmoid { factor, tie } => {
                let chosen = if tie { raw[0] >= 0.0 } else { raw[0] > 0.0 };
                let second = sigmoid(factor * raw[0]);
                push(output, &[1.0 - second, second], usize::from(chosen));
            }
            Finish::SoftmaxOfTwo => {
                let mut both = [-raw[0], raw[0]];
                softmax(&mut both);
                push(output, &both, usize::from(raw[0] > 0.0));
            }
            Finish::Softmax => {
                let chosen = first_max(raw);
                softmax(raw);
                push(output, raw, chosen);
            }
            Finish::OneAgainstRest => {
                let chosen = first_max(raw);
                for score in raw.iter_mut() {
                    *score = sigmoid(*score);
                }
                normalise(raw);
                push(output, raw, chosen);
            }
            Finish::Fractions => push(output, raw, first_max(raw)),
            Finish::Boosted(ending) => ending.finish(raw, output),
        }
    }

    /// Heap bytes.
    pub(crate) fn memory(&self) -> usize {
        let kernel = match &self.kernel {
            Kernel::Trees { ensemble, start, .. } => ensemble.memory() + start.len() * size_of::<f64>(),
            Kernel::Histogram { ensemble, start } => ensemble.memory() + start.len() * size_of::<f64>(),
            Kernel::Exact { ensemble, start, .. } => ensemble.memory() + start.len() * size_of::<f64>(),
            Kernel::Linear { coefficients: many, intercept: few }
            | Kernel::LinearSingle { weights: many, start: few } => (many.len() + few.len()) * size_of::<f64>(),
        };
        kernel + self.slots.len() * 2 * size_of::<u32>() + self.classes.len() * size_of::<Cell>()
    }
}

/// Row by row: base and bias, then each value that is there times its weight, rounded at each step.
fn linear_single(rows: &[f64], width: usize, weights: &[f64], start: &[f64], raw: &mut Vec<f64>) {
    let outputs = start.len();
    let bias = &weights[width * outputs..];
    for row in rows.chunks_exact(width.max(1)) {
        for output in 0..outputs {
            let mut sum = start[output];
            plus::<true>(&mut sum, bias[output]);
            for (feature, number) in row.iter().enumerate().filter(|(_, number)| !number.is_nan()) {
                let product = (*number as f32) * (weights[feature * outputs + output] as f32);
                plus::<true>(&mut sum, f64::from(product));
            }
            raw.push(sum);
        }
    }
}

fn start_rows(raw: &mut Vec<f64>, start: &[f64], rows: usize) {
    for _ in 0..rows {
        raw.extend_from_slice(start);
    }
}

pub(crate) fn push(output: &mut Output, probabilities: &[f64], chosen: usize) {
    let score = if probabilities.len() == 2 { probabilities[1] } else { probabilities[chosen] };
    output.scores.push(score);
    output.class.get_or_insert_default().push(chosen as u32);
    output.probabilities.get_or_insert_default().extend_from_slice(probabilities);
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softmax(scores: &mut [f64]) {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for score in scores.iter_mut() {
        *score = (*score - max).exp();
    }
    normalise(scores);
}

fn normalise(scores: &mut [f64]) {
    let sum: f64 = scores.iter().sum();
    for score in scores {
        *score /= sum;
    }
}

/// The index of the greatest score; the first of equal ones, as numpy's argmax.
pub(crate) fn first_max(scores: &[f64]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}
