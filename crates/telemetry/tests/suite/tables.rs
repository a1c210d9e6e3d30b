//! CSV and Parquet as people log them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float32Array, Float64Array, Int64Array, LargeStringArray,
    ListArray, RecordBatch, StringArray, TimestampNanosecondArray, UInt8Array,
};
use arrow::datatypes::{Int8Type, Int32Type};
use bytes::Bytes;
use kernel::clock::DAY_US;
use kernel::frame::{Cell, Frame};
use parquet::arrow::ArrowWriter;
use rondo_telemetry::table::{self, Format};

use crate::kit::{DAY, open, outcome, p, rows, send};

fn cells(frame: &Frame, name: &str) -> Vec<Cell> {
    (0..frame.rows()).map(|row| frame.column(name).expect(name).cell(row)).collect()
}

fn texts(texts: &[&str]) -> Vec<Cell> {
    texts.iter().map(|text| if text.is_empty() { Cell::Missing } else { Cell::Text((*text).into()) }).collect()
}

fn numbers(numbers: &[f64]) -> Vec<Cell> {
    numbers.iter().map(|n| if n.is_nan() { Cell::Missing } else { Cell::Number(*n) }).collect()
}

const NAN: f64 = f64::NAN;

#[test]
fn csv_columns_take_the_most_specific_type_that_fits_all_cells() {
    let csv = "id,int,float,bool,text,mixed,time,empty\n\
               a,1,1.5,True,\"x, \"\"y\"\"\",1,2013-01-02,\n\
               b,,-2e3,False,NA,z,2013-01-02T00:00:01Z,\n\
               c,3,nan,True,é,3,2013-01-02 00:00:02,NA\n";
    let frame = table::read(Bytes::from(csv), Format::Csv).unwrap();
    assert_eq!(frame.rows(), 3);
    assert_eq!(cells(&frame, "id"), texts(&["a", "b", "c"]));
    assert_eq!(cells(&frame, "int"), numbers(&[1.0, NAN, 3.0]));
    assert_eq!(cells(&frame, "float"), numbers(&[1.5, -2000.0, NAN]));
    assert_eq!(cells(&frame, "bool"), numbers(&[1.0, 0.0, 1.0]));
    assert_eq!(cells(&frame, "text"), texts(&["x, \"y\"", "", "é"]));
    assert_eq!(cells(&frame, "mixed"), texts(&["1", "z", "3"]));
    let day = (15_707 * DAY_US) as f64;
    assert_eq!(cells(&frame, "time"), numbers(&[day, day + 1e6, day + 2e6]));
    assert_eq!(cells(&frame, "empty"), numbers(&[NAN, NAN, NAN]));
}

#[test]
fn csv_that_is_not_a_table_is_refused() {
    for bad in ["a,b\n1\n", "a,b\n1,2,3\n"] {
        assert!(table::read(Bytes::from(bad), Format::Csv).is_err(), "{bad:?}");
    }
    assert_eq!(table::read(Bytes::from("a,b\n"), Format::Csv).unwrap().rows(), 0);
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Bytes {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes.into()
}

#[test]
fn parquet_types_become_numbers_and_texts() {
    let dictionary: DictionaryArray<Int8Type> = [Some("u"), None, Some("u")].into_iter().collect();
    let frame = table::read(
        parquet(vec![
            ("int", Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)]))),
            ("small", Arc::new(UInt8Array::from(vec![1, 2, 255]))),
            ("float", Arc::new(Float64Array::from(vec![Some(0.5), Some(NAN), None]))),
            ("single", Arc::new(Float32Array::from(vec![0.5, 1.5, 2.5]))),
            ("bool", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
            ("text", Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]))),
            ("large", Arc::new(LargeStringArray::from(vec!["a", "b", "c"]))),
            ("dictionary", Arc::new(dictionary)),
            ("time", Arc::new(TimestampNanosecondArray::from(vec![Some(5_000), None, Some(7_000)]))),
            ("date", Arc::new(Date32Array::from(vec![0, 1, 2]))),
        ]),
        Format::Parquet,
    );
    let frame = frame.unwrap();
    assert_eq!(cells(&frame, "int"), numbers(&[1.0, NAN, -3.0]));
    assert_eq!(cells(&frame, "small"), numbers(&[1.0, 2.0, 255.0]));
    assert_eq!(cells(&frame, "float"), numbers(&[0.5, NAN, NAN]));
    assert_eq!(cells(&frame, "single"), numbers(&[0.5, 1.5, 2.5]));
    assert_eq!(cells(&frame, "bool"), numbers(&[1.0, 0.0, NAN]));
    assert_eq!(cells(&frame, "text"), texts(&["a", "", "c"]));
    assert_eq!(cells(&frame, "large"), texts(&["a", "b", "c"]));
    assert_eq!(cells(&frame, "dictionary"), texts(&["u", "", "u"]));
    assert_eq!(cells(&frame, "time"), numbers(&[5.0, NAN, 7.0]));
    assert_eq!(cells(&frame, "date"), numbers(&[0.0, DAY_US as f64, 2.0 * DAY_US as f64]));
}

#[test]
fn a_nested_column_and_a_cut_file_are_named() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)])]);
    let error = table::read(parquet(vec![("embedding", Arc::new(list))]), Format::Parquet).unwrap_err();
    assert!(error.to_string().contains("embedding"), "{error}");
    let whole = parquet(vec![("x", Arc::new(Int64Array::from(vec![1, 2, 3])))]);
    for cut in 0..whole.len() {
        assert!(table::read(whole.slice(..cut), Format::Parquet).is_err(), "cut at {cut}");
    }
}

#[tokio::test]
async fn rows_are_written_as_csv_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    send(&log, "d", "3", &[p("a", DAY), p("b,\"c\"", DAY + 1_500_000)]).unwrap();
    log.append_outcomes(vec![outcome("a", 1.0, DAY + 2_000_000)]).await.unwrap();
    let csv = table::write_csv(&rows(&log).await).unwrap();
    let text = String::from_utf8(csv.to_vec()).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("prediction_id,event_time,version,delay,carrier,score,outcome,observed"));
    assert_eq!(lines.next(), Some("a,2013-03-01T00:00:00Z,3,32.333333333333336,UA,0.0097,1,2013-03-01T00:00:02Z"));
    let frame = table::read(csv, Format::Csv).unwrap();
    assert_eq!(cells(&frame, "outcome"), numbers(&[1.0, NAN]));
    assert_eq!(cells(&frame, "prediction_id"), texts(&["a", "b,\"c\""]));
}
