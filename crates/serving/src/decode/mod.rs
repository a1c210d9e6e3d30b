//! Rows on a wire -> the frame that a model takes, checked column by column.
//!
//! [`Inputs`] is what a model takes, prepared for lookups. [`FrameBuilder`] takes values by row or by column and says precisely
//! which one does not fit. [`json`] feeds it from JSON text without a tree in between. The wire formats themselves (which key holds
//! the rows) are not known here.

mod align;
mod builder;
mod check;
pub mod json;

use std::collections::HashMap;
use std::sync::Arc;

pub use align::align;
pub use builder::{FrameBuilder, Rules};
pub use check::Value;
use inference::{DataType, Model};
use kernel::frame::ColumnKind;

/// One column that a model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: Arc<str>,
    /// How it stands in the frame.
    pub kind: ColumnKind,
    /// Its type in the signature.
    pub data_type: DataType,
    /// False if it may be left out.
    pub required: bool,
    /// True if it may be null. A column of a model without a signature may: the model itself says whether it minds.
    pub nullable: bool,
}

/// The columns that a model takes, in its order.
#[derive(Clone, Debug)]
pub struct Inputs {
    columns: Vec<Input>,
    names: Arc<[Arc<str>]>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Inputs {
    /// The columns of a model.
    pub fn of(model: &Model) -> Self {
        let signed = model.signature().is_some();
        Self::new(model.inputs().iter().map(|input| Input {
            name: input.name.clone(),
            kind: input.kind,
            data_type: input.data_type,
            required: input.required,
            nullable: !input.required || !signed,
        }))
    }

    /// These columns.
    pub fn new(columns: impl IntoIterator<Item = Input>) -> Self {
        let columns: Vec<Input> = columns.into_iter().collect();
        let names: Arc<[Arc<str>]> = columns.iter().map(|input| input.name.clone()).collect();
        let by_name = names.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        Self { columns, names, by_name }
    }

    /// How many columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Input> {
        self.columns.iter()
    }

    /// The column at a position.
    pub fn get(&self, at: usize) -> Option<&Input> {
        self.columns.get(at)
    }

    /// Their names, in order.
    pub fn names(&self) -> &Arc<[Arc<str>]> {
        &self.names
    }

    /// Where the column of a name stands. Callers send columns in the same order again and again, so the place after the last
    /// one is tried first.
    pub fn position(&self, name: &str, hint: usize) -> Option<usize> {
        if self.names.get(hint).is_some_and(|have| &**have == name) {
            return Some(hint);
        }
        self.by_name.get(name).copied()
    }

    /// True if every column holds numbers.
    pub fn all_numbers(&self) -> bool {
        self.columns.iter().all(|input| input.kind == ColumnKind::Number)
    }

    /// The names for a message; long lists are cut.
    pub fn describe(&self) -> String {
        const SHOWN: usize = 40;
        let shown: Vec<&str> = self.names.iter().take(SHOWN).map(|name| &**name).collect();
        let more = if self.len() > SHOWN { format!(" and {} more", self.len() - SHOWN) } else { String::new() };
        format!("{}{more}", shown.join(", "))
    }

    /// What a caller of `old` must know now, in words.
    pub fn changes_since(&self, old: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for input in &self.columns {
            match old.by_name.get(&input.name).and_then(|at| old.columns.get(*at)) {
                None if input.required => changes.push(format!("column `{}` is new and required", input.name)),
                None => changes.push(format!("column `{}` is new", input.name)),
                Some(before) if before.data_type != input.data_type => changes.push(format!(
                    "column `{}` takes {} instead of {}",
                    input.name,
                    input.data_type.name(),
                    before.data_type.name()
                )),
                Some(before) if input.required && !before.required => {
                    changes.push(format!("column `{}` has become required", input.name));
                }
                Some(_) => {}
            }
        }
        let gone = old.columns.iter().filter(|input| !self.by_name.contains_key(&input.name));
        changes.extend(gone.map(|input| format!("column `{}` is gone", input.name)));
        changes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn inputs(spec: &[(&str, DataType, bool)]) -> Inputs {
        Inputs::new(spec.iter().map(|(name, data_type, required)| Input {
            name: Arc::from(*name),
            kind: data_type.kind(),
            data_type: *data_type,
            required: *required,
            nullable: !required,
        }))
    }

    #[test]
    fn a_change_of_the_interface_is_told_in_words() {
        let old = inputs(&[("a", DataType::Double, true), ("b", DataType::String, false), ("c", DataType::Long, true)]);
        let new = inputs(&[("a", DataType::Long, true), ("b", DataType::String, true), ("d", DataType::Double, true)]);
        assert_eq!(
            new.changes_since(&old),
            vec![
                "column `a` takes long instead of double",
                "column `b` has become required",
                "column `d` is new and required",
                "column `c` is gone",
            ]
        );
        assert!(old.changes_since(&old).is_empty());
    }

    #[test]
    fn a_column_is_found_at_the_hint_and_elsewhere() {
        let inputs = inputs(&[("a", DataType::Double, true), ("b", DataType::String, false)]);
        assert_eq!(inputs.position("a", 0), Some(0));
        assert_eq!(inputs.position("a", 1), Some(0));
        assert_eq!(inputs.position("b", 7), Some(1));
        assert_eq!(inputs.position("c", 0), None);
    }
}
