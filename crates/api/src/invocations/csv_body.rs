//! `text/csv`: a header line with names, then rows, as `DataFrame.to_csv(index=False)` writes them.

use inference::DataType;
use serving::Error;
use serving::Live;
use serving::decode::{FrameBuilder, Input, Value};

use super::{Decoded, rules};

/// What pandas reads as missing.
const MISSING: [&str; 17] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "nan", "null",
];

pub(super) fn decode(live: &Live, body: &[u8]) -> Decoded {
    let mut reader = csv::ReaderBuilder::new().from_reader(body);
    let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    let mut builder = FrameBuilder::new(live.inputs(), rules(live, "csv"));
    builder.set_columns(&names)?;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(unreadable)? {
        builder.begin_row()?;
        for (given, text) in record.iter().enumerate() {
            if let Some(at) = builder.place(given)
                && let Some(input) = live.inputs().get(at)
            {
                builder.put(at, value(input, text))?;
            }
        }
        builder.end_row()?;
    }
    builder.finish()
}

fn unreadable(error: csv::Error) -> Error {
    Error::request("csv", format!("the body is not valid CSV: {error}"))
}

/// A field as the column wants it; what cannot be read that way goes on as text and is refused with the name of the column.
fn value<'a>(input: &Input, text: &'a str) -> Value<'a> {
    if MISSING.contains(&text) || text == "None" {
        return Value::Null;
    }
    let trimmed = text.trim();
    match input.data_type {
        DataType::String | DataType::Datetime => Value::Text(text),
        DataType::Boolean => match trimmed {
            "True" | "TRUE" | "true" => Value::Bool(true),
            "False" | "FALSE" | "false" => Value::Bool(false),
            _ => Value::Text(text),
        },
        DataType::Integer | DataType::Long => match trimmed.parse::<i64>() {
            Ok(number) => Value::Int(number),
            Err(_) => trimmed.parse::<f64>().map_or(Value::Text(text), Value::Float),
        },
        DataType::Float | DataType::Double => trimmed.parse::<f64>().map_or(Value::Text(text), Value::Float),
    }
}
