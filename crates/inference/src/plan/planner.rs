//! Where estimators put their steps while a model is loaded. It hands out slots, learns from each step which kind of value it reads,
//! and keeps the account of what the model may cost.

use std::sync::Arc;

use kernel::frame::ColumnKind;

use crate::LoadError;
use crate::plan::{InputColumn, Op, Plan, TextSource};
use crate::view::View;

/// Pipelines within pipelines; real ones reach four.
const MAX_DEPTH: usize = 16;
/// Estimators in one model.
const MAX_STEPS: usize = 4096;
/// Columns that all steps together may make.
const MAX_SLOTS: usize = 1 << 22;

/// A column on its way through the pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Feature {
    source: Source,
    /// The input column it came from, for messages.
    pub(crate) origin: u32,
    /// float32 for scikit-learn.
    pub(crate) single: bool,
}

#[derive(Clone, Debug)]
enum Source {
    /// An input that no step has read yet: its kind may still be open.
    Input(u32),
    Number(u32),
    Text(TextSource),
}

/// What one step hands to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) features: Vec<Feature>,
    /// scikit-learn would hold it as a sparse matrix, which refuses missing values in trees.
    pub(crate) sparse: bool,
}

/// Builds a [`Plan`].
pub(crate) struct Planner {
    inputs: Vec<InputColumn>,
    ops: Vec<Op>,
    slots: usize,
    steps: usize,
    depth: usize,
    /// Bytes that the loaded model may still take.
    budget: usize,
}

impl Planner {
    /// A planner for these inputs: (name, kind if known, float32).
    pub(crate) fn new(inputs: Vec<(Arc<str>, Option<ColumnKind>, bool)>, budget: usize) -> Self {
        let inputs: Vec<InputColumn> = inputs
            .into_iter()
            .map(|(name, kind, single)| InputColumn { name, kind, used: false, finite: None, single })
            .collect();
        Self { slots: inputs.len(), inputs, ops: Vec::new(), steps: 0, depth: 0, budget }
    }

    /// The table that the first step sees: the inputs, in the order given by `order`.
    pub(crate) fn table(&self, order: &[u32]) -> Table {
        let feature = |index: &u32| Feature {
            source: Source::Input(*index),
            origin: *index,
            single: self.inputs.get(*index as usize).is_some_and(|input| input.single),
        };
        Table { features: order.iter().map(feature).collect(), sparse: false }
    }

    /// Counts an estimator; refuses absurd nesting and numbers. Pair with [`Planner::leave`].
    pub(crate) fn enter(&mut self, view: &View<'_>) -> Result<(), LoadError> {
        self.depth += 1;
        self.steps += 1;
        if self.depth > MAX_DEPTH {
            return Err(LoadError::limit(view.place(), format!("estimators are nested more than {MAX_DEPTH} deep")));
        }
        if self.steps > MAX_STEPS {
            return Err(LoadError::limit(view.place(), format!("more than {MAX_STEPS} estimators")));
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Takes from the account of what the loaded model may cost.
    pub(crate) fn charge(&mut self, view: &View<'_>, bytes: usize) -> Result<(), LoadError> {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or_else(|| {
            LoadError::limit(view.place(), "the model is far larger than its file: parts are referred to many times")
        })?;
        Ok(())
    }

    /// New slots for numbers; the first of them.
    pub(crate) fn slots(&mut self, view: &View<'_>, count: usize) -> Result<u32, LoadError> {
        let first = self.slots;
        self.slots = self.slots.saturating_add(count);
        if self.slots > MAX_SLOTS {
            return Err(LoadError::limit(view.place(), format!("more than {MAX_SLOTS} columns")));
        }
        self.charge(view, count * size_of::<f64>())?;
        Ok(first as u32)
    }

    pub(crate) fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// The kind of a column, if it is known by now.
    pub(crate) fn kind(&self, feature: &Feature) -> Option<ColumnKind> {
        match &feature.source {
            Source::Input(index) => self.inputs.get(*index as usize).and_then(|input| input.kind),
            Source::Number(_) => Some(ColumnKind::Number),
            Source::Text(_) => Some(ColumnKind::Text),
        }
    }

    fn input(&mut self, view: &View<'_>, index: u32, kind: ColumnKind) -> Result<&mut InputColumn, LoadError> {
        let input = self.inputs.get_mut(index as usize).ok_or_else(|| view.damaged("an input is not there"))?;
        if input.kind.is_some_and(|have| have != kind) {
            let (have, wanted) = if kind == ColumnKind::Text { ("numbers", "text") } else { ("text", "numbers") };
            return Err(view.unsupported(format!("column {} holds {have} where {wanted} is taken, which", input.name)));
        }
        input.kind = Some(kind);
        input.used = true;
        Ok(input)
    }

    /// The slot of a column that is read as a number. `finite` names who refuses infinities.
    pub(crate) fn number(
        &mut self,
        view: &View<'_>,
        feature: &Feature,
        finite: Option<&'static str>,
    ) -> Result<u32, LoadError> {
        match &feature.source {
            Source::Number(slot) => Ok(*slot),
            Source::Input(index) => {
                let input = self.input(view, *index, ColumnKind::Number)?;
                input.finite = input.finite.or(finite);
                Ok(*index)
            }
            Source::Text(source) => {
                let name =
                    self.inputs.get(source.input as usize).map(|input| input.name.to_string()).unwrap_or_default();
                Err(view.unsupported(format!("column {name} holds text where numbers are taken, which")))
            }
        }
    }

    /// The source of a column that is read as text.
    pub(crate) fn text(&mut self, view: &View<'_>, feature: &Feature) -> Result<TextSource, LoadError> {
        match &feature.source {
            Source::Text(source) => Ok(source.clone()),
            Source::Input(index) => {
                self.input(view, *index, ColumnKind::Text)?;
                Ok(TextSource { input: *index, fills: Vec::new() })
            }
            Source::Number(_) => Err(view.unsupported("a column of numbers where text is taken")),
        }
    }

    /// The finished plan.
    pub(crate) fn finish(self) -> Plan {
        Plan { inputs: self.inputs, ops: self.ops, slots: self.slots }
    }
}

impl Feature {
    /// A column of numbers that a step made of this one.
    pub(crate) fn made(&self, slot: u32) -> Self {
        Self { source: Source::Number(slot), origin: self.origin, single: false }
    }

    /// This text column with an imputer put after it.
    pub(crate) fn made_text(&self, source: TextSource) -> Self {
        Self { source: Source::Text(source), origin: self.origin, single: false }
    }

    /// Marks the column as float32.
    pub(crate) fn with_single(mut self, single: bool) -> Self {
        self.single = single;
        self
    }
}

impl Table {
    /// scikit-learn would hold the table as one float32 array.
    pub(crate) fn single(&self) -> bool {
        !self.features.is_empty() && self.features.iter().all(|feature| feature.single)
    }
}
