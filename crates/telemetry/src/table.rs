//! Data files that people log as artifacts: CSV and Parquet into a [`Frame`], and a log's rows out as CSV.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use bytes::Bytes;
use kernel::frame::{Cell, Column, Frame};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{Error, Rows};

/// Texts of a CSV cell that mean missing.
const MISSING: [&str; 11] = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A", "<NA>"];

/// The format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, first line is the header. A column whose cells are all numbers (or all truth values, or all points in time)
    /// is a number; what pandas reads as missing is missing.
    Csv,
    /// Apache Parquet. Integers, floats, decimals and truth values become numbers, points in time microseconds since the epoch.
    Parquet,
}

/// Reads a table.
pub fn read(bytes: Bytes, format: Format) -> Result<Frame, Error> {
    match format {
        Format::Csv => read_csv(&bytes),
        Format::Parquet => read_parquet(bytes),
    }
}

fn read_csv(bytes: &[u8]) -> Result<Frame, Error> {
    let bad = |reason: String| Error::Table { format: "CSV", reason };
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let names: Vec<Arc<str>> =
        reader.headers().map_err(|error| bad(error.to_string()))?.iter().map(Arc::from).collect();
    let mut cells: Vec<Vec<Option<Arc<str>>>> = vec![Vec::new(); names.len()];
    let mut words: HashMap<String, Arc<str>> = HashMap::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| bad(error.to_string()))? {
        for (column, cell) in cells.iter_mut().zip(&record) {
            let word = (!MISSING.contains(&cell)).then(|| match words.get(cell) {
                Some(word) => word.clone(),
                None => words.entry(cell.to_owned()).or_insert_with(|| Arc::from(cell)).clone(),
            });
            column.push(word);
        }
    }
    Frame::new(names, cells.into_iter().map(typed).collect())
        .ok_or_else(|| bad("its columns differ in length".to_owned()))
}

/// The most specific reading that fits every cell.
fn typed(cells: Vec<Option<Arc<str>>>) -> Column {
    let truth = |text: &str| match text {
        "true" | "True" | "TRUE" => Some(1.0),
        "false" | "False" | "FALSE" => Some(0.0),
        _ => None,
    };
    let time = |text: &str| {
        let looks_so = text.len() >= 10 && text.as_bytes()[4] == b'-';
        if looks_so { kernel::clock::parse_us(text).map(|at| at as f64) } else { None }
    };
    let number = |text: &str| text.trim().parse::<f64>().ok();
    as_numbers(&cells, number)
        .or_else(|| as_numbers(&cells, truth))
        .or_else(|| as_numbers(&cells, time))
        .map_or(Column::Text(cells), Column::Number)
}

fn as_numbers(cells: &[Option<Arc<str>>], parse: impl Fn(&str) -> Option<f64>) -> Option<Vec<f64>> {
    cells.iter().map(|cell| cell.as_ref().map_or(Some(f64::NAN), |text| parse(text))).collect()
}

fn read_parquet(bytes: Bytes) -> Result<Frame, Error> {
    let bad = |reason: String| Error::Table { format: "Parquet", reason };
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| bad(error.to_string()))?;
    let schema = builder.schema().clone();
    let names: Vec<Arc<str>> = schema.fields().iter().map(|field| field.name().as_str().into()).collect();
    let mut columns: Vec<Option<Column>> = vec![None; names.len()];
    let reader = builder.with_batch_size(65_536).build().map_err(|error| bad(error.to_string()))?;
    for batch in reader {
        let batch = batch.map_err(|error| bad(error.to_string()))?;
        for ((column, array), name) in columns.iter_mut().zip(batch.columns()).zip(&names) {
            let more = self::column(array).map_err(|reason| bad(format!("column {name:?}: {reason}")))?;
            match (column.as_mut(), more) {
                (Some(Column::Number(values)), Column::Number(more)) => values.extend(more),
                (Some(Column::Text(values)), Column::Text(more)) => values.extend(more),
                (_, more) => *column = Some(more),
            }
        }
    }
    let columns = columns.into_iter().map(|column| column.unwrap_or(Column::Number(Vec::new()))).collect();
    Frame::new(names, columns).ok_or_else(|| bad("its columns differ in length".to_owned()))
}

/// An Arrow array as a column.
pub(crate) fn column(array: &ArrayRef) -> Result<Column, String> {
    let cast_to = |target: &DataType| cast(array, target).map_err(|error| error.to_string());
    match array.data_type() {
        DataType::Float64 => Ok(Column::Number(numbers(array))),
        DataType::Utf8 => Ok(Column::Text(texts(array))),
        DataType::LargeUtf8 | DataType::Utf8View => column(&cast_to(&DataType::Utf8)?),
        DataType::Dictionary(_, values) => column(&cast_to(values)?),
        DataType::Boolean => {
            let truths = array.as_boolean();
            Ok(Column::Number(
                truths.iter().map(|truth| truth.map_or(f64::NAN, |truth| f64::from(u8::from(truth)))).collect(),
            ))
        }
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let instants = cast(&cast_to(&DataType::Timestamp(TimeUnit::Microsecond, None))?, &DataType::Int64);
            let instants = instants.map_err(|error| error.to_string())?;
            let instants = instants.as_primitive::<Int64Type>();
            Ok(Column::Number(instants.iter().map(|at| at.map_or(f64::NAN, |at| at as f64)).collect()))
        }
        DataType::Null => Ok(Column::Number(vec![f64::NAN; array.len()])),
        other if other.is_numeric() => Ok(Column::Number(numbers(&cast_to(&DataType::Float64)?))),
        other => Err(format!("values of type {other} are not a feature; leave the column out")),
    }
}

fn numbers(array: &ArrayRef) -> Vec<f64> {
    let array = array.as_primitive::<Float64Type>();
    if array.null_count() == 0 {
        return array.values().to_vec();
    }
    array.iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}

fn texts(array: &ArrayRef) -> Vec<Option<Arc<str>>> {
    let mut words: HashMap<&str, Arc<str>> = HashMap::new();
    let mut word = |text| words.entry(text).or_insert_with(|| Arc::from(text)).clone();
    let array = array.as_string::<i32>();
    array.iter().map(|text| text.map(&mut word)).collect()
}

/// Writes rows as CSV: `prediction_id, event_time, version`, the features, `score, outcome, observed`; a feature of one of these
/// names is written as `feature.<name>`. Points in time are RFC 3339, truth values 1 and 0, missing is empty.
pub fn write_csv(rows: &Rows) -> Result<Bytes, Error> {
    const OURS: [&str; 6] = ["prediction_id", "event_time", "version", "score", "outcome", "observed"];
    let failed = |error: csv::Error| Error::Internal(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let feature = |name: &Arc<str>| if OURS.contains(&&**name) { format!("feature.{name}") } else { name.to_string() };
    let header = OURS[..3].iter().map(|name| (*name).to_owned());
    let header = header.chain(rows.features.names().iter().map(feature));
    writer.write_record(header.chain(OURS[3..].iter().map(|name| (*name).to_owned()))).map_err(failed)?;
    for row in 0..rows.len() {
        let time = kernel::clock::rfc3339(rows.event_time_us[row]);
        writer.write_field(&rows.ids[row]).map_err(failed)?;
        writer.write_field(time).map_err(failed)?;
        writer.write_field(&*rows.versions[row]).map_err(failed)?;
        for column in rows.features.columns() {
            writer.write_field(cell_text(&column.cell(row))).map_err(failed)?;
        }
        let labelled = rows.outcomes[row] != Cell::Missing;
        let observed = if labelled { kernel::clock::rfc3339(rows.observed_us[row]) } else { String::new() };
        writer.write_field(cell_text(&Cell::Number(rows.scores[row]))).map_err(failed)?;
        writer.write_field(cell_text(&rows.outcomes[row])).map_err(failed)?;
        writer.write_field(observed).map_err(failed)?;
        writer.write_record(None::<&[u8]>).map_err(failed)?;
    }
    writer.into_inner().map(Bytes::from).map_err(|error| Error::Internal(error.to_string()))
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Bool(value) => u8::from(*value).to_string(),
        Cell::Number(value) if value.is_nan() => String::new(),
        Cell::Number(value) => value.to_string(),
        Cell::Text(text) => text.to_string(),
    }
}
