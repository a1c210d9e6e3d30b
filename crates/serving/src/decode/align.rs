//! A frame from elsewhere (the log, a table of training rows) -> the columns of a model, by name.

use inference::{Input, Model};
use kernel::frame::{Column, ColumnKind, Frame};

use super::check::expected;
use crate::Error;

/// The columns of a model, in its order, taken from a frame by name. Columns that the model does not have are left out; a column that
/// the frame does not have is missing in every row, if the model allows that.
pub fn align(model: &Model, frame: &Frame) -> Result<Frame, Error> {
    let names = model.inputs().iter().map(|input| input.name.clone()).collect();
    let columns: Result<Vec<Column>, Error> = model.inputs().iter().map(|input| column(input, frame)).collect();
    Frame::new(names, columns?).ok_or(Error::Defect)
}

fn column(input: &Input, frame: &Frame) -> Result<Column, Error> {
    let rows = frame.rows();
    match frame.column(&input.name) {
        Some(column) if column.kind() == input.kind => Ok(column.clone()),
        Some(column) => match present(column) {
            None => Ok(missing(input.kind, rows)),
            Some(row) => Err(Error::Value {
                field: input.name.to_string(),
                row,
                column: input.name.to_string(),
                expected: expected(input.data_type),
                got: if column.kind() == ColumnKind::Text { "text" } else { "a number" }.to_owned(),
            }),
        },
        None if input.required => Err(Error::MissingColumn {
            field: input.name.to_string(),
            row: 0,
            column: input.name.to_string(),
            expected: expected(input.data_type),
        }),
        None => Ok(missing(input.kind, rows)),
    }
}

/// The first row that holds a value.
fn present(column: &Column) -> Option<usize> {
    match column {
        Column::Number(numbers) => numbers.iter().position(|number| !number.is_nan()),
        Column::Text(texts) => texts.iter().position(Option::is_some),
    }
}

fn missing(kind: ColumnKind, rows: usize) -> Column {
    match kind {
        ColumnKind::Number => Column::Number(vec![f64::NAN; rows]),
        ColumnKind::Text => Column::Text(vec![None; rows]),
    }
}
