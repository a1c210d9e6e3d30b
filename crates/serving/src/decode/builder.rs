//! Values, row by row or column by column -> a frame.

use std::sync::Arc;

use kernel::frame::{Column, ColumnKind, Frame};

use super::check::{Value, describe, expected, number};
use super::{Input, Inputs};
use crate::Error;
use crate::deployment::ExtraColumns;

/// How strict a protocol is.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What happens to a column that the model does not have.
    pub extra: ExtraColumns,
    /// Accept null in a required column of floating-point numbers or text and let the model say whether it minds (mlflow does).
    pub lenient_null: bool,
    /// Most rows.
    pub max_rows: usize,
    /// What the request calls its rows, for the paths in messages (`rows[3].carrier`).
    pub field: &'static str,
}

/// Builds the frame of a request. A row ends with [`FrameBuilder::end_row`]; a column must be given whole.
#[derive(Debug)]
pub struct FrameBuilder<'i> {
    inputs: &'i Inputs,
    rules: Rules,
    columns: Vec<Column>,
    rows: usize,
    order: Option<Vec<Option<usize>>>,
}

impl<'i> FrameBuilder<'i> {
    /// An empty builder.
    pub fn new(inputs: &'i Inputs, rules: Rules) -> Self {
        // most requests have one row; longer columns grow by doubling
        let columns = inputs.iter().map(|input| match input.kind {
            ColumnKind::Number => Column::Number(Vec::with_capacity(1)),
            ColumnKind::Text => Column::Text(Vec::with_capacity(1)),
        });
        let columns = columns.collect();
        Self { inputs, rules, columns, rows: 0, order: None }
    }

    /// The columns it builds.
    pub fn inputs(&self) -> &'i Inputs {
        self.inputs
    }

    /// What the request calls its rows.
    pub fn field(&self) -> &'static str {
        self.rules.field
    }

    /// How many rows have ended.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Says in which order the values of array rows come. Without this they come in the model's order.
    pub fn set_columns<N: AsRef<str>>(&mut self, names: &[N]) -> Result<(), Error> {
        let mut order = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            let name = name.as_ref();
            let place = self.inputs.position(name, at);
            if place.is_none() && self.rules.extra == ExtraColumns::Refuse {
                return Err(self.extra("columns".to_owned(), String::new(), name));
            }
            if place.is_some() && order.contains(&place) {
                return Err(Error::request("columns", format!("column `{name}` is named twice")));
            }
            order.push(place);
        }
        self.order = Some(order);
        Ok(())
    }

    /// How many values an array row has.
    pub fn width(&self) -> usize {
        self.order.as_ref().map_or(self.inputs.len(), Vec::len)
    }

    /// Where the value at a place of an array row belongs; `None` if it is left out.
    pub fn place(&self, at: usize) -> Option<usize> {
        match &self.order {
            Some(order) => order.get(at).copied().flatten(),
            None => Some(at),
        }
    }

    /// Begins a row; more than are allowed are refused before they take memory.
    pub fn begin_row(&self) -> Result<(), Error> {
        if self.rows >= self.rules.max_rows {
            return Err(Error::TooLarge { what: format!("more than {} rows", self.rows), limit: self.rules.max_rows });
        }
        Ok(())
    }

    /// Gives one value of the present row.
    pub fn put(&mut self, at: usize, value: Value<'_>) -> Result<(), Error> {
        let (Some(input), Some(column)) = (self.inputs.get(at), self.columns.get_mut(at)) else {
            return Err(Error::request(self.rules.field, format!("row {}: too many values", self.rows)));
        };
        if column.len() != self.rows {
            let message = format!("row {}: column `{}` is given twice", self.rows, input.name);
            return Err(Error::request(path(&self.rules, self.rows, input), message));
        }
        push(column, input, value, &self.rules).map_err(|()| misfit(&self.rules, self.rows, input, value))
    }

    /// Ends the present row. A column that was not given is missing, if it may be.
    pub fn end_row(&mut self) -> Result<(), Error> {
        for (input, column) in self.inputs.iter().zip(&mut self.columns) {
            if column.len() > self.rows {
                continue;
            }
            if input.required {
                return Err(Error::MissingColumn {
                    field: path(&self.rules, self.rows, input),
                    row: self.rows,
                    column: input.name.to_string(),
                    expected: expected(input.data_type),
                });
            }
            push_missing(column);
        }
        self.rows += 1;
        Ok(())
    }

    /// Refuses or ignores a column that the model does not have.
    pub fn unknown(&self, name: &str) -> Result<(), Error> {
        match self.rules.extra {
            ExtraColumns::Ignore => Ok(()),
            ExtraColumns::Refuse => {
                let field = format!("{}[{}].{name}", self.rules.field, self.rows);
                Err(self.extra(field, format!("row {}: ", self.rows), name))
            }
        }
    }

    /// An array row with another number of values than there are columns.
    pub fn wrong_width(&self, got: usize) -> Error {
        Error::Request {
            field: format!("{}[{}]", self.rules.field, self.rows),
            message: format!("row {}: expected {} values, got {got}", self.rows, self.width()),
            hint: Some(format!("the columns are {}", self.inputs.describe())),
        }
    }

    /// A row that is neither an object nor an array.
    pub fn no_row(&self, value: Value<'_>) -> Error {
        Error::Request {
            field: format!("{}[{}]", self.rules.field, self.rows),
            message: format!("row {}: expected an object or an array, got {}", self.rows, describe(value)),
            hint: Some(format!("the columns are {}", self.inputs.describe())),
        }
    }

    /// Gives the next value of a whole column; follow with [`FrameBuilder::finish_columns`].
    pub fn put_in_column(&mut self, at: usize, value: Value<'_>) -> Result<(), Error> {
        let (Some(input), Some(column)) = (self.inputs.get(at), self.columns.get_mut(at)) else {
            return Err(Error::request(self.rules.field, format!("there is no column {at}")));
        };
        let row = column.len();
        if row >= self.rules.max_rows {
            return Err(Error::TooLarge { what: format!("more than {row} rows"), limit: self.rules.max_rows });
        }
        push(column, input, value, &self.rules).map_err(|()| misfit(&self.rules, row, input, value))
    }

    /// How many values a column has so far.
    pub fn column_len(&self, at: usize) -> usize {
        self.columns.get(at).map_or(0, Column::len)
    }

    /// Ends a request that came by column: all given columns have `rows` values.
    pub fn finish_columns(mut self, rows: usize) -> Result<Frame, Error> {
        for (input, column) in self.inputs.iter().zip(&mut self.columns) {
            let have = column.len();
            if have == rows {
                continue;
            }
            let field = format!("{}.{}", self.rules.field, input.name);
            if have > 0 {
                let message = format!("column `{}` has {have} values, the others have {rows}", input.name);
                return Err(Error::request(field, message));
            }
            if input.required {
                let (column, expected) = (input.name.to_string(), expected(input.data_type));
                return Err(Error::MissingColumn { field, row: 0, column, expected });
            }
            (0..rows).for_each(|_| push_missing(column));
        }
        self.rows = rows;
        self.finish()
    }

    /// The frame.
    pub fn finish(self) -> Result<Frame, Error> {
        if self.rows == 0 {
            return Err(Error::request(self.rules.field, "there are no rows to predict"));
        }
        Frame::with_names(self.inputs.names().clone(), self.columns).ok_or(Error::Defect)
    }

    fn extra(&self, field: String, place: String, name: &str) -> Error {
        let column = name.chars().take(128).collect();
        Error::ExtraColumn { field, place, column, known: self.inputs.describe() }
    }
}

fn push(column: &mut Column, input: &Input, value: Value<'_>, rules: &Rules) -> Result<(), ()> {
    match (column, value) {
        (column, Value::Null) => {
            let lenient = rules.lenient_null && takes_missing(input);
            if !input.nullable && !lenient {
                return Err(());
            }
            push_missing(column);
        }
        (Column::Text(texts), Value::Text(text)) => texts.push(Some(Arc::from(text))),
        (Column::Text(_), _) => return Err(()),
        (Column::Number(numbers), value) => numbers.push(number(input.data_type, value).ok_or(())?),
    }
    Ok(())
}

fn takes_missing(input: &Input) -> bool {
    use inference::DataType::{Double, Float};
    input.kind == ColumnKind::Text || matches!(input.data_type, Double | Float)
}

fn push_missing(column: &mut Column) {
    match column {
        Column::Number(numbers) => numbers.push(f64::NAN),
        Column::Text(texts) => texts.push(None),
    }
}

fn misfit(rules: &Rules, row: usize, input: &Input, value: Value<'_>) -> Error {
    Error::Value {
        field: path(rules, row, input),
        row,
        column: input.name.to_string(),
        expected: expected(input.data_type),
        got: describe(value),
    }
}

fn path(rules: &Rules, row: usize, input: &Input) -> String {
    format!("{}[{row}].{}", rules.field, input.name)
}
