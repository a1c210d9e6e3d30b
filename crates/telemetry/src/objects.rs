//! Chunks and outcomes as Parquet objects, and back; and how the objects are named.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Schema as ArrowSchema, TimeUnit, TimestampMicrosecondType, UInt32Type,
};
use bytes::Bytes;
use kernel::frame::{Cell, Column, ColumnKind};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;

use crate::chunk::{Added, Chunk, Tail, Values};
use crate::codec::{Picked, Source};
use crate::key::{self, Key};
use crate::outcomes::{OutcomeList, Truth};
use crate::{Error, Schema};

/// Rows that a reader takes or leaves together; a short window of a busy day reads a few of these groups.
const ROW_GROUP: usize = 8_192;
/// Features are told apart from our own columns by this prefix.
const FEATURE: &str = "feature.";

/// `yyyy-mm-dd` (UTC) of an instant.
pub(crate) fn day_of(at_us: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(at_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// The object of one source's predictions of one day in one segment. The name depends on nothing but these, so that writing it
/// again replaces it.
pub(crate) fn prediction_path(source: &Source, day: &str, segment: u64) -> String {
    let mut digest = kernel::digest::Builder::default();
    digest.piece(source.model.as_bytes()).piece(source.version.as_bytes());
    for (name, kind) in &source.schema.features {
        digest.piece(name.as_bytes()).piece(if *kind == ColumnKind::Text { b"text" } else { b"number" });
    }
    let digest = digest.finish();
    format!("telemetry/{}/{day}/{segment:012}-{}.parquet", plain(&source.deployment), &digest[..16])
}

/// The object of the outcomes observed on one day in one segment.
pub(crate) fn outcome_path(day: &str, segment: u64) -> String {
    format!("telemetry/_outcomes/{day}/{segment:012}.parquet")
}

const HEX: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

/// A deployment's name as one path segment: letters, digits and `-` as they are, everything else escaped, so that no two names meet.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            plain.push(byte as char);
        } else {
            plain.extend(["~", HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    if plain.len() > 200 { format!("{}~{}", &plain[..120], &kernel::digest::of(name.as_bytes())[..32]) } else { plain }
}

/// Rows of one source by event time: chunk and row.
pub(crate) type Selection<'a> = [(&'a Chunk, usize)];

/// Predictions as Parquet.
pub(crate) fn write_predictions(source: &Source, rows: &Selection<'_>) -> Result<Bytes, Error> {
    let mut fields = vec![
        Field::new("prediction_id", DataType::Utf8, false),
        Field::new("event_time", instant(), false),
        Field::new("received", instant(), false),
        Field::new("latency_us", DataType::UInt32, false),
        Field::new("model", DataType::Utf8, false),
        Field::new("version", DataType::Utf8, false),
        Field::new("score", DataType::Float64, true),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(pick(rows, |chunk, row| chunk.ids.get(row)).map(Some).collect::<StringArray>()),
        instants(pick(rows, |chunk, row| chunk.event_us[row]).collect()),
        instants(pick(rows, |chunk, row| chunk.received_us[row]).collect()),
        Arc::new(UInt32Array::from_iter_values(pick(rows, |chunk, row| chunk.latency_us[row]))),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&*source.model, rows.len()))),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&*source.version, rows.len()))),
        numbers(pick(rows, |chunk, row| chunk.scores[row])),
    ];
    for (index, (name, kind)) in source.schema.features.iter().enumerate() {
        let data_type = if *kind == ColumnKind::Text { DataType::Utf8 } else { DataType::Float64 };
        fields.push(Field::new(format!("{FEATURE}{name}"), data_type, true));
        columns.push(match kind {
            ColumnKind::Number => numbers(pick(rows, |chunk, row| match &chunk.columns[index] {
                Values::Number(values) => values[row],
                Values::Text { .. } => f64::NAN,
            })),
            ColumnKind::Text => Arc::new(
                pick(rows, |chunk, row| chunk.columns[index].text(row).map(|text| &**text)).collect::<StringArray>(),
            ),
        });
    }
    write(fields, columns)
}

fn pick<'a, T: 'a>(
    rows: &'a Selection<'a>,
    get: impl Fn(&'a Chunk, usize) -> T + Copy + 'a,
) -> impl Iterator<Item = T> + 'a {
    rows.iter().map(move |&(chunk, row)| get(chunk, row))
}

fn numbers(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(values.map(|value| (!value.is_nan()).then_some(value)).collect::<Float64Array>())
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn instants(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn write(fields: Vec<Field>, columns: Vec<ArrayRef>) -> Result<Bytes, Error> {
    let internal = |error: &dyn std::fmt::Display| Error::Internal(format!("while writing Parquet: {error}"));
    let schema = Arc::new(ArrowSchema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns).map_err(|error| internal(&error))?;
    let level = ZstdLevel::try_new(1).map_err(|error| internal(&error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).map_err(|error| internal(&error))?;
    writer.write(&batch).map_err(|error| internal(&error))?;
    writer.close().map_err(|error| internal(&error))?;
    Ok(bytes.into())
}

/// Predictions of Parquet again: the source and the rows with event time in `[from, until)`.
pub(crate) fn read_predictions(
    path: &str,
    bytes: Bytes,
    deployment: &Arc<str>,
    (from_us, until_us): (i64, i64),
) -> Result<Option<(Source, Chunk)>, Error> {
    let mut read: Option<(Source, Tail)> = None;
    for batch in batches(path, bytes, Some((from_us, until_us)))? {
        let view = Predictions::of(path, &batch)?;
        if batch.num_rows() == 0 {
            continue;
        }
        let (_, tail) = read.get_or_insert_with(|| {
            let source = Source {
                deployment: deployment.clone(),
                model: view.model.value(0).into(),
                version: view.version.value(0).into(),
                schema: Arc::new(view.schema()),
            };
            let tail = Tail::new(&source.schema);
            (source, tail)
        });
        let rows: Vec<_> =
            (0..batch.num_rows()).filter(|&row| (from_us..until_us).contains(&view.event_us[row])).collect();
        view.append(tail, &rows).map_err(|reason| damaged(path, reason))?;
    }
    Ok(read.map(|(source, tail)| (source, tail.chunk)))
}

/// The columns of a batch of predictions.
struct Predictions<'a> {
    ids: &'a StringArray,
    event_us: &'a [i64],
    received_us: &'a [i64],
    latency_us: &'a [u32],
    model: &'a StringArray,
    version: &'a StringArray,
    scores: &'a Float64Array,
    features: Vec<(Arc<str>, &'a ArrayRef)>,
}

impl<'a> Predictions<'a> {
    fn of(path: &str, batch: &'a RecordBatch) -> Result<Self, Error> {
        let missing = |name: &str| damaged(path, format!("no column {name} of the expected type"));
        let text = |name| {
            batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(|| missing(name))
        };
        let time = |name| {
            let column =
                batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
            column.map(|column| &column.values()[..]).ok_or_else(|| missing(name))
        };
        let schema = batch.schema_ref();
        let features = schema.fields().iter().zip(batch.columns());
        let features =
            features.filter_map(|(field, column)| Some((field.name().strip_prefix(FEATURE)?.into(), column)));
        Ok(Self {
            ids: text("prediction_id")?,
            event_us: time("event_time")?,
            received_us: time("received")?,
            latency_us: batch
                .column_by_name("latency_us")
                .and_then(|column| column.as_primitive_opt::<UInt32Type>())
                .map(|column| &column.values()[..])
                .ok_or_else(|| missing("latency_us"))?,
            model: text("model")?,
            version: text("version")?,
            scores: batch
                .column_by_name("score")
                .and_then(|column| column.as_primitive_opt::<Float64Type>())
                .ok_or_else(|| missing("score"))?,
            features: features.collect(),
        })
    }

    fn schema(&self) -> Schema {
        let kind = |column: &ArrayRef| {
            if column.data_type() == &DataType::Utf8 { ColumnKind::Text } else { ColumnKind::Number }
        };
        Schema { features: self.features.iter().map(|(name, column)| (name.clone(), kind(column))).collect() }
    }

    fn append(&self, tail: &mut Tail, rows: &[usize]) -> Result<(), String> {
        let columns = self.features.iter().map(|(_, column)| crate::table::column(column));
        let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
        let ids: Vec<String> = self.ids.iter().map(|id| id.unwrap_or_default().to_owned()).collect();
        let scores: Vec<f64> = self.scores.iter().map(|score| score.unwrap_or(f64::NAN)).collect();
        // Reception differs by row here, so rows go in one by one where it changes.
        let mut at = 0;
        while at < rows.len() {
            let same = |row: &usize| (self.received_us[*row], self.latency_us[*row]);
            let run = rows[at..].iter().take_while(|row| same(row) == same(&rows[at])).count();
            let (received_us, latency_us) = same(&rows[at]);
            let added = Added {
                ids: &ids,
                event_us: self.event_us,
                scores: &scores,
                columns: &columns,
                received_us,
                latency_us,
            };
            tail.push(&added, Picked { all: ids.len(), keep: Some(&rows[at..at + run]) });
            at += run;
        }
        Ok(())
    }
}

/// Outcomes as Parquet, in the order of acceptance.
pub(crate) fn write_outcomes(rows: &[(&str, &Truth)]) -> Result<Bytes, Error> {
    let number = |truth: &Truth| if let Cell::Number(value) = truth.value { Some(value) } else { None };
    let fields = vec![
        Field::new("prediction_id", DataType::Utf8, false),
        Field::new("observed", instant(), false),
        Field::new("received", instant(), false),
        Field::new("number", DataType::Float64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("truth", DataType::Boolean, true),
    ];
    let text = |truth: &Truth| if let Cell::Text(text) = &truth.value { Some(text.to_string()) } else { None };
    let bool = |truth: &Truth| if let Cell::Bool(value) = truth.value { Some(value) } else { None };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(id, _)| id))),
        instants(rows.iter().map(|(_, truth)| truth.observed_us).collect()),
        instants(rows.iter().map(|(_, truth)| truth.received_us).collect()),
        Arc::new(rows.iter().map(|(_, truth)| number(truth)).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|(_, truth)| text(truth)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(_, truth)| bool(truth)).collect::<BooleanArray>()),
    ];
    write(fields, columns)
}

/// Outcomes of Parquet again.
pub(crate) fn read_outcomes(path: &str, bytes: Bytes) -> Result<OutcomeList, Error> {
    let mut rows: Vec<(Key, Truth)> = Vec::new();
    for batch in batches(path, bytes, None)? {
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| damaged(path, format!("no column {name}")));
        let wrong = || damaged(path, "a column has another type".to_owned());
        let ids = column("prediction_id")?.as_string_opt::<i32>().ok_or_else(wrong)?;
        let observed = column("observed")?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
        let received = column("received")?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong)?;
        let numbers = column("number")?.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
        let texts = column("text")?.as_string_opt::<i32>().ok_or_else(wrong)?;
        let truths = column("truth")?.as_boolean_opt().ok_or_else(wrong)?;
        for row in 0..batch.num_rows() {
            let value = if numbers.is_valid(row) {
                Cell::Number(numbers.value(row))
            } else if truths.is_valid(row) {
                Cell::Bool(truths.value(row))
            } else if texts.is_valid(row) {
                Cell::Text(texts.value(row).into())
            } else {
                Cell::Missing
            };
            let truth = Truth { value, observed_us: observed.value(row), received_us: received.value(row) };
            rows.push((key::of(ids.value(row)), truth));
        }
    }
    Ok(OutcomeList::new(rows))
}

/// The batches of an object; with a range, only the row groups whose event time may lie in it.
fn batches(path: &str, bytes: Bytes, range: Option<(i64, i64)>) -> Result<Vec<RecordBatch>, Error> {
    let bad = |error: &dyn std::fmt::Display| damaged(path, error.to_string());
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| bad(&error))?;
    if let Some(range) = range {
        let groups = builder.metadata().row_groups().iter().enumerate();
        let wanted = groups.filter(|(_, group)| may_hold(group, range)).map(|(index, _)| index).collect();
        builder = builder.with_row_groups(wanted);
    }
    let reader = builder.with_batch_size(65_536).build().map_err(|error| bad(&error))?;
    reader.collect::<Result<_, _>>().map_err(|error| bad(&error))
}

fn may_hold(group: &RowGroupMetaData, (from_us, until_us): (i64, i64)) -> bool {
    let event_time = group.columns().iter().find(|column| column.column_path().string() == "event_time");
    match event_time.and_then(|column| column.statistics()) {
        Some(Statistics::Int64(known)) => {
            known.min_opt().is_none_or(|least| *least < until_us) && known.max_opt().is_none_or(|most| *most >= from_us)
        }
        _ => true,
    }
}

fn damaged(path: &str, reason: String) -> Error {
    Error::Damaged { path: path.to_owned(), reason }
}
