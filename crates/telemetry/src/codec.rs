//! The payloads of the write-ahead log, to bytes and back. First byte is the kind; numbers are little-endian.
//!
//! Every segment explains itself: it declares a source (deployment, model, version, features) before the first batch of it.

use std::sync::Arc;

use kernel::frame::{Cell, Column, ColumnKind};

use crate::{Outcome, PredictionBatch, Schema};

const SOURCE: u8 = 1;
const PREDICTIONS: u8 = 2;
const OUTCOMES: u8 = 3;
const WATERMARKS: u8 = 4;
const NO_TEXT: u32 = u32::MAX;

/// Who predicted, from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) deployment: Arc<str>,
    pub(crate) model: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) schema: Arc<Schema>,
}

/// Predictions as read back.
#[derive(Debug, PartialEq)]
pub(crate) struct Predictions {
    pub(crate) source: u32,
    pub(crate) received_us: i64,
    pub(crate) latency_us: u32,
    pub(crate) ids: Vec<String>,
    pub(crate) event_times_us: Vec<i64>,
    pub(crate) scores: Vec<f64>,
    pub(crate) columns: Vec<Column>,
}

/// A payload as read back.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    Source(Source),
    Predictions(Predictions),
    Outcomes(Vec<Outcome>),
    Watermarks(Vec<(String, i64)>),
}

/// Declares the next source; they are numbered 0, 1, ... in each segment.
pub(crate) fn put_source(out: &mut Vec<u8>, source: &Source) {
    out.push(SOURCE);
    put_text(out, &source.deployment);
    put_text(out, &source.model);
    put_text(out, &source.version);
    put_u32(out, source.schema.features.len() as u32);
    for (name, kind) in &source.schema.features {
        put_text(out, name);
        out.push(u8::from(*kind == ColumnKind::Text));
    }
}

/// The rows of a batch, all or those in `keep`.
pub(crate) fn put_predictions(out: &mut Vec<u8>, source: u32, batch: &PredictionBatch<'_>, keep: Option<&[usize]>) {
    let rows = Picked { all: batch.ids.len(), keep };
    out.push(PREDICTIONS);
    put_u32(out, source);
    put_i64(out, batch.received_us);
    put_u32(out, batch.latency_us);
    put_u32(out, rows.len() as u32);
    rows.each(|row| put_text(out, &batch.ids[row]));
    rows.each(|row| put_i64(out, batch.event_times_us[row]));
    rows.each(|row| put_f64(out, batch.scores[row]));
    for column in batch.frame.columns() {
        match column {
            Column::Number(values) => {
                out.push(0);
                rows.each(|row| put_f64(out, values[row]));
            }
            Column::Text(values) => {
                out.push(1);
                rows.each(|row| put_optional(out, values[row].as_deref()));
            }
        }
    }
}

/// Some rows of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Picked<'a> {
    pub(crate) all: usize,
    pub(crate) keep: Option<&'a [usize]>,
}

impl Picked<'_> {
    pub(crate) fn len(self) -> usize {
        self.keep.map_or(self.all, <[usize]>::len)
    }

    pub(crate) fn each(self, mut visit: impl FnMut(usize)) {
        match self.keep {
            None => (0..self.all).for_each(visit),
            Some(keep) => keep.iter().for_each(|&row| visit(row)),
        }
    }
}

/// Outcomes.
pub(crate) fn put_outcomes(out: &mut Vec<u8>, outcomes: &[Outcome]) {
    out.push(OUTCOMES);
    put_u32(out, outcomes.len() as u32);
    for outcome in outcomes {
        put_text(out, &outcome.prediction_id);
        put_i64(out, outcome.observed_us);
        put_i64(out, outcome.received_us);
        put_cell(out, &outcome.value);
    }
}

/// Watermarks.
pub(crate) fn put_watermarks<'a>(out: &mut Vec<u8>, marks: impl ExactSizeIterator<Item = (&'a str, i64)>) {
    out.push(WATERMARKS);
    put_u32(out, marks.len() as u32);
    for (deployment, at) in marks {
        put_text(out, deployment);
        put_i64(out, at);
    }
}

/// Reads a payload; `None` if it is not one of ours.
pub(crate) fn read(payload: &[u8]) -> Option<Record> {
    let mut input = Input(payload);
    let record = match input.u8()? {
        SOURCE => Record::Source(read_source(&mut input)?),
        PREDICTIONS => Record::Predictions(read_predictions(&mut input)?),
        OUTCOMES => {
            let n = input.count(25)?;
            Record::Outcomes((0..n).map(|_| read_outcome(&mut input)).collect::<Option<_>>()?)
        }
        WATERMARKS => {
            let n = input.count(12)?;
            Record::Watermarks((0..n).map(|_| Some((input.text()?, input.i64()?))).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    input.0.is_empty().then_some(record)
}

fn read_source(input: &mut Input<'_>) -> Option<Source> {
    let (deployment, model, version) = (input.text()?, input.text()?, input.text()?);
    let n = input.count(5)?;
    let kind = |byte| if byte == 1 { ColumnKind::Text } else { ColumnKind::Number };
    let features = (0..n).map(|_| Some((Arc::from(input.text()?), kind(input.u8()?)))).collect::<Option<_>>()?;
    Some(Source {
        deployment: deployment.into(),
        model: model.into(),
        version: version.into(),
        schema: Arc::new(Schema { features }),
    })
}

fn read_predictions(input: &mut Input<'_>) -> Option<Predictions> {
    let (source, received_us, latency_us) = (input.u32()?, input.i64()?, input.u32()?);
    let n = input.count(20)?;
    let ids = (0..n).map(|_| input.text()).collect::<Option<_>>()?;
    let event_times_us = (0..n).map(|_| input.i64()).collect::<Option<_>>()?;
    let scores = (0..n).map(|_| input.f64()).collect::<Option<_>>()?;
    let mut columns = Vec::new();
    while !input.0.is_empty() {
        columns.push(match input.u8()? {
            0 => Column::Number((0..n).map(|_| input.f64()).collect::<Option<_>>()?),
            1 => Column::Text(input.optionals(n)?),
            _ => return None,
        });
    }
    Some(Predictions { source, received_us, latency_us, ids, event_times_us, scores, columns })
}

fn read_outcome(input: &mut Input<'_>) -> Option<Outcome> {
    let prediction_id = input.text()?;
    let (observed_us, received_us) = (input.i64()?, input.i64()?);
    let value = match input.u8()? {
        0 => Cell::Missing,
        1 => Cell::Bool(false),
        2 => Cell::Bool(true),
        3 => Cell::Number(input.f64()?),
        4 => Cell::Text(input.text()?.into()),
        _ => return None,
    };
    Some(Outcome { prediction_id, value, observed_us, received_us })
}

fn put_cell(out: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Missing => out.push(0),
        Cell::Bool(value) => out.push(1 + u8::from(*value)),
        Cell::Number(value) => {
            out.push(3);
            put_f64(out, *value);
        }
        Cell::Text(text) => {
            out.push(4);
            put_text(out, text);
        }
    }
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u32(out, text.len() as u32);
    out.extend_from_slice(text.as_bytes());
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_text(out, text),
        None => put_u32(out, NO_TEXT),
    }
}

/// Bytes yet to be read; every read is checked.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn f64(&mut self) -> Option<f64> {
        self.array().map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)))
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// `n` texts of which some may be missing.
    fn optionals(&mut self, n: usize) -> Option<Vec<Option<Arc<str>>>> {
        let mut texts = Vec::with_capacity(n);
        for _ in 0..n {
            texts.push(match self.u32()? {
                NO_TEXT => None,
                length => Some(Arc::from(std::str::from_utf8(self.take(length as usize)?).ok()?)),
            });
        }
        Some(texts)
    }

    /// A count of things of at least `least` bytes each; more than fit in the rest is not a count.
    pub(crate) fn count(&mut self, least: usize) -> Option<usize> {
        let n = self.u32()? as usize;
        (n.checked_mul(least)? <= self.0.len()).then_some(n)
    }
}
