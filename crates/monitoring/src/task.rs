//! What a model predicts, as far as its quality can be measured from scores and outcomes.

use kernel::frame::Cell;
use serde::{Deserialize, Serialize};

/// The kind of prediction. It decides which quality metrics apply and how an outcome is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Task {
    /// The score is the predicted number.
    Regression,
    /// The score is the probability of `positive`.
    Binary {
        /// The class whose probability the score is; every other outcome is the negative class.
        positive: Cell,
    },
    /// The score is the probability of the chosen class.
    Multiclass,
}

impl Task {
    /// A binary task whose positive class is the number 1 (or `true`).
    pub fn binary() -> Self {
        Self::Binary { positive: Cell::Number(1.0) }
    }

    /// The outcome as the number that metrics compare with: the true value, or 1 for the positive class and 0 for the other.
    /// `None` for a missing outcome, one of the wrong kind, and for multiclass.
    pub fn truth(&self, outcome: &Cell) -> Option<f64> {
        match (self, outcome) {
            (_, Cell::Missing) | (Self::Multiclass, _) => None,
            (Self::Regression, outcome) => outcome.as_f64().filter(|value| value.is_finite()),
            (Self::Binary { positive }, outcome) => Some(f64::from(u8::from(same_class(positive, outcome)))),
        }
    }
}

/// Classes are equal as numbers, as truth values, or as text; a number equals the text that writes it.
fn same_class(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Text(a), Cell::Text(b)) => a == b,
        (Cell::Text(text), other) | (other, Cell::Text(text)) => match (text.trim(), other) {
            ("true" | "True", Cell::Bool(value)) => *value,
            ("false" | "False", Cell::Bool(value)) => !*value,
            (text, other) => text.parse::<f64>().ok().is_some_and(|number| Some(number) == other.as_f64()),
        },
        (a, b) => a.as_f64().is_some() && a.as_f64() == b.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_in_every_form_a_class_is_written_in() {
        let check =
            |outcome: Cell, expect: Option<f64>| assert_eq!(Task::binary().truth(&outcome), expect, "{outcome:?}");
        check(Cell::Number(1.0), Some(1.0));
        check(Cell::Bool(true), Some(1.0));
        check(Cell::Text("1".into()), Some(1.0));
        check(Cell::Number(0.0), Some(0.0));
        check(Cell::Text("late".into()), Some(0.0));
        check(Cell::Missing, None);
        let late = Task::Binary { positive: Cell::Text("late".into()) };
        assert_eq!(late.truth(&Cell::Text("late".into())), Some(1.0));
        assert_eq!(Task::Regression.truth(&Cell::Text("late".into())), None);
        assert_eq!(Task::Regression.truth(&Cell::Number(f64::INFINITY)), None);
    }
}
