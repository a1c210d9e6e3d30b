//! A row of a result, read by column name.

use std::sync::Arc;

use crate::Error;

/// One value as it came from the database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    I64(i64),
    F64(f64),
    Text(String),
    Bool(bool),
    Bytes(Vec<u8>),
}

impl Cell {
    fn found(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::I64(_) => "an integer",
            Self::F64(_) => "a float",
            Self::Text(_) => "text",
            Self::Bool(_) => "a boolean",
            Self::Bytes(_) => "bytes",
        }
    }
}

/// One row. The accessors name the column in their error; `opt_*` reads NULL as `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub(crate) columns: Arc<[String]>,
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    /// An integer.
    pub fn i64(&self, column: &str) -> Result<i64, Error> {
        self.opt_i64(column)?.ok_or_else(|| Error::wrong_type(column, "an integer", "null"))
    }

    /// A float; an integer is widened.
    pub fn f64(&self, column: &str) -> Result<f64, Error> {
        self.opt_f64(column)?.ok_or_else(|| Error::wrong_type(column, "a float", "null"))
    }

    /// A text, as an owned copy.
    pub fn text(&self, column: &str) -> Result<String, Error> {
        self.str(column).map(str::to_owned)
    }

    /// A text, borrowed.
    pub fn str(&self, column: &str) -> Result<&str, Error> {
        self.opt_str(column)?.ok_or_else(|| Error::wrong_type(column, "text", "null"))
    }

    /// A boolean; SQLite keeps them as 0 and 1.
    pub fn bool(&self, column: &str) -> Result<bool, Error> {
        self.opt_bool(column)?.ok_or_else(|| Error::wrong_type(column, "a boolean", "null"))
    }

    /// Bytes.
    pub fn bytes(&self, column: &str) -> Result<Vec<u8>, Error> {
        self.opt_bytes(column)?.ok_or_else(|| Error::wrong_type(column, "bytes", "null"))
    }

    /// An integer or nothing.
    pub fn opt_i64(&self, column: &str) -> Result<Option<i64>, Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::I64(value) => Ok(Some(*value)),
            other => Err(Error::wrong_type(column, "an integer", other.found())),
        }
    }

    /// A float or nothing.
    pub fn opt_f64(&self, column: &str) -> Result<Option<f64>, Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::F64(value) => Ok(Some(*value)),
            Cell::I64(value) => Ok(Some(*value as f64)),
            other => Err(Error::wrong_type(column, "a float", other.found())),
        }
    }

    /// A text or nothing, as an owned copy.
    pub fn opt_text(&self, column: &str) -> Result<Option<String>, Error> {
        Ok(self.opt_str(column)?.map(str::to_owned))
    }

    /// A text or nothing, borrowed.
    pub fn opt_str(&self, column: &str) -> Result<Option<&str>, Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text(value) => Ok(Some(value)),
            other => Err(Error::wrong_type(column, "text", other.found())),
        }
    }

    /// A boolean or nothing.
    pub fn opt_bool(&self, column: &str) -> Result<Option<bool>, Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Bool(value) => Ok(Some(*value)),
            Cell::I64(value @ (0 | 1)) => Ok(Some(*value == 1)),
            other => Err(Error::wrong_type(column, "a boolean", other.found())),
        }
    }

    /// Bytes or nothing.
    pub fn opt_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Bytes(value) => Ok(Some(value.clone())),
            other => Err(Error::wrong_type(column, "bytes", other.found())),
        }
    }

    fn cell(&self, column: &str) -> Result<&Cell, Error> {
        let index = self.columns.iter().position(|have| have == column);
        index
            .and_then(|index| self.cells.get(index))
            .ok_or_else(|| Error::NoColumn { column: column.to_owned(), present: self.columns.join(", ") })
    }
}
