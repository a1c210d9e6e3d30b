//! A table of values by column: what a model is fed, what the log returns and what a profile is made from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Missing.
    Missing,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text, which is always a category.
    Text(Arc<str>),
}

impl Cell {
    /// The number in it; a truth value counts as 0 or 1.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Missing | Self::Text(_) => None,
        }
    }
}

/// The kind of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// `f64`, NaN is missing. Integers, booleans and dates arrive as numbers too.
    Number,
    /// Text, `None` is missing.
    Text,
}

/// A column of a [`Frame`].
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers; NaN is missing.
    Number(Vec<f64>),
    /// Texts; `None` is missing.
    Text(Vec<Option<Arc<str>>>),
}

impl Column {
    /// An empty column of a kind.
    pub fn empty(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Number => Self::Number(Vec::new()),
            ColumnKind::Text => Self::Text(Vec::new()),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Self::Number(_) => ColumnKind::Number,
            Self::Text(_) => ColumnKind::Text,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Number(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value in a row; a row past the end is missing.
    pub fn cell(&self, row: usize) -> Cell {
        match self {
            Self::Number(values) => match values.get(row) {
                Some(value) if !value.is_nan() => Cell::Number(*value),
                _ => Cell::Missing,
            },
            Self::Text(values) => match values.get(row) {
                Some(Some(text)) => Cell::Text(text.clone()),
                _ => Cell::Missing,
            },
        }
    }

    /// The rows at these positions, in this order; positions past the end are left out.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        match self {
            Self::Number(values) => Self::Number(rows.iter().filter_map(|&row| values.get(row).copied()).collect()),
            Self::Text(values) => Self::Text(rows.iter().filter_map(|&row| values.get(row).cloned()).collect()),
        }
    }
}

/// Named columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    names: Arc<[Arc<str>]>,
    columns: Vec<Column>,
}

impl Frame {
    /// A frame from names and columns of equal length; `None` if the shapes disagree.
    pub fn new(names: Vec<Arc<str>>, columns: Vec<Column>) -> Option<Self> {
        Self::with_names(names.into(), columns)
    }

    /// The same from names that many frames share: cloning them costs one count instead of one for each column.
    pub fn with_names(names: Arc<[Arc<str>]>, columns: Vec<Column>) -> Option<Self> {
        let rows = columns.first().map_or(0, Column::len);
        let even = columns.iter().all(|column| column.len() == rows);
        (even && names.len() == columns.len()).then_some(Self { names, columns })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// Column names, in order.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.names.iter().position(|have| &**have == name).and_then(|index| self.columns.get(index))
    }

    /// The rows at these positions, in this order.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        Self { names: self.names.clone(), columns: self.columns.iter().map(|column| column.take(rows)).collect() }
    }
}
