//! `application/json`: exactly one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serving::decode::FrameBuilder;
use serving::decode::json::{ColumnValues, Feed, Rows};
use serving::{Error, Live};

use kernel::frame::Frame;

use super::{Decoded, Reply, rules};

const FORMS: &str = "the body must be a JSON object with exactly one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`";

const TENSOR_FORMS: &str = "the body must be a JSON object with exactly one of `instances` and `inputs`";

pub(super) fn decode(live: &Live, body: &[u8]) -> Decoded {
    with_nan(body, |body| read(live, body))
}

/// Only `instances` and `inputs`, and which of them it was.
pub(super) fn decode_tensors(live: &Live, body: &[u8]) -> Result<(Frame, Reply), Error> {
    with_nan(body, |body| {
        let keys = keys(body, TENSOR_FORMS)?;
        match (keys.instances, keys.inputs, keys.dataframe_split.or(keys.dataframe_records)) {
            (Some(instances), None, None) => {
                Ok((instances_or_inputs(live, instances, "instances")?, Reply::Predictions))
            }
            (None, Some(inputs), None) => Ok((instances_or_inputs(live, inputs, "inputs")?, Reply::Outputs)),
            _ => Err(Error::request("body", TENSOR_FORMS).into()),
        }
    })
}

/// Reads a body, and once more without its `NaN` literals if it is not JSON as it stands.
fn with_nan<T>(body: &[u8], read: impl Fn(&[u8]) -> Result<T, Syntax>) -> Result<T, Error> {
    match read(body) {
        Err(Syntax::Body(error)) => match without_nan(body) {
            Cow::Owned(body) => read(&body).map_err(Syntax::into_error),
            Cow::Borrowed(_) => Err(error),
        },
        Err(Syntax::Meaning(error)) => Err(error),
        Ok(read) => Ok(read),
    }
}

/// What went wrong: the text as JSON, or what it says.
enum Syntax {
    Body(Error),
    Meaning(Error),
}

impl Syntax {
    fn into_error(self) -> Error {
        match self {
            Self::Body(error) | Self::Meaning(error) => error,
        }
    }
}

impl From<Error> for Syntax {
    fn from(error: Error) -> Self {
        Self::Meaning(error)
    }
}

/// The keys of the body, their values not yet read.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    dataframe_split: Option<&'a RawValue>,
    #[serde(borrow)]
    dataframe_records: Option<&'a RawValue>,
    #[serde(borrow)]
    instances: Option<&'a RawValue>,
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
}

fn keys<'b>(body: &'b [u8], forms: &str) -> Result<Body<'b>, Syntax> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Error::request("body", format!("the body is not valid UTF-8: {error}")))?;
    if text.trim_start().starts_with('[') {
        return Err(Error::request("body", format!("{forms}; a list came")).into());
    }
    serde_json::from_str(text).map_err(|error| {
        let explained = Error::request("body", format!("the body is not valid JSON: {error}"));
        if error.is_data() {
            Syntax::Meaning(Error::request("body", format!("{forms}: {error}")))
        } else {
            Syntax::Body(explained)
        }
    })
}

fn read(live: &Live, body: &[u8]) -> Result<Frame, Syntax> {
    let body = keys(body, FORMS)?;
    let frame = match (body.dataframe_split, body.dataframe_records, body.instances, body.inputs) {
        (Some(split), None, None, None) => dataframe_split(live, split)?,
        (None, Some(records), None, None) => rows(live, records, "dataframe_records")?,
        (None, None, Some(instances), None) => instances_or_inputs(live, instances, "instances")?,
        (None, None, None, Some(inputs)) => instances_or_inputs(live, inputs, "inputs")?,
        _ => return Err(Error::request("body", FORMS).into()),
    };
    Ok(frame)
}

/// A dataframe as `DataFrame.to_dict(orient="split")` writes it.
#[derive(Deserialize)]
struct Split<'a> {
    #[serde(default)]
    columns: Option<Vec<Name>>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default, rename = "index")]
    _index: IgnoredAny,
}

/// The name of a column; pandas numbers columns that have none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Number(i64),
}

fn dataframe_split(live: &Live, raw: &RawValue) -> Decoded {
    let split: Split<'_> = serde_json::from_str(raw.get()).map_err(|error| {
        Error::request("dataframe_split", format!("dataframe_split must hold `columns` and `data`: {error}"))
    })?;
    let mut builder = FrameBuilder::new(live.inputs(), rules(live, "data"));
    if let Some(columns) = split.columns {
        let named = columns.iter().any(|name| matches!(name, Name::Text(_)));
        let names: Vec<String> = columns
            .into_iter()
            .map(|name| match name {
                Name::Text(text) => text,
                Name::Number(number) => number.to_string(),
            })
            .collect();
        // columns that are only numbered come in the order of the model
        if named || names.iter().all(|name| live.inputs().position(name, 0).is_some()) {
            builder.set_columns(&names)?;
        }
    }
    feed_rows(builder, split.data)
}

fn rows(live: &Live, raw: &RawValue, field: &'static str) -> Decoded {
    feed_rows(FrameBuilder::new(live.inputs(), rules(live, field)), raw)
}

fn feed_rows(mut builder: FrameBuilder<'_>, raw: &RawValue) -> Decoded {
    let field = builder.field();
    let mut feed = Feed::new(&mut builder);
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    if let Err(error) = serde::de::DeserializeSeed::deserialize(Rows(&mut feed), &mut deserializer) {
        return Err(feed.explain(&error, field));
    }
    builder.finish()
}

/// A list of rows, or an object of columns.
fn instances_or_inputs(live: &Live, raw: &RawValue, field: &'static str) -> Decoded {
    if !raw.get().starts_with('{') {
        return rows(live, raw, field);
    }
    if let Some(matrix) = only_tensor(live, raw) {
        return rows(live, matrix, field);
    }
    let mut builder = FrameBuilder::new(live.inputs(), rules(live, field));
    let mut feed = Feed::new(&mut builder);
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    match deserializer.deserialize_map(Columns(&mut feed)) {
        Ok(rows) => builder.finish_columns(rows),
        Err(error) => Err(feed.explain(&error, field)),
    }
}

/// The rows of `{"NAME": [[1, 2], [3, 4]]}`, if the model has no column of that name: one tensor of all its columns.
fn only_tensor<'r>(live: &Live, raw: &'r RawValue) -> Option<&'r RawValue> {
    if live.inputs().len() < 2 || !live.inputs().all_numbers() {
        return None;
    }
    let tensors: BTreeMap<Cow<'r, str>, &'r RawValue> = serde_json::from_str(raw.get()).ok()?;
    let (name, rows) = tensors.iter().next().filter(|_| tensors.len() == 1)?;
    (live.inputs().position(name, 0).is_none() && rows.get().starts_with('[')).then_some(*rows)
}

/// `{"a": [1, 2], "b": ["x", "y"]}`; the number of rows is that of the longest column.
struct Columns<'f, 'b, 'i>(&'f mut Feed<'b, 'i>);

impl<'de> Visitor<'de> for Columns<'_, '_, '_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list for each column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        let mut rows = 0;
        while let Some(name) = map.next_key::<String>()? {
            match self.0.builder.inputs().position(&name, 0) {
                Some(at) => {
                    map.next_value_seed(ColumnValues(&mut *self.0, at))?;
                    rows = rows.max(self.0.builder.column_len(at));
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(rows)
    }
}

/// Python's `json` writes `NaN` for what pandas holds as missing, and mlflow's client sends it. Outside of strings it becomes null.
fn without_nan(body: &[u8]) -> Cow<'_, [u8]> {
    const NAN: &[u8] = b"NaN";
    let (mut out, mut at, mut in_string, mut changed) = (Vec::with_capacity(body.len()), 0, false, false);
    while let Some(&byte) = body.get(at) {
        let rest = body.get(at..).unwrap_or_default();
        if in_string {
            let width = if byte == b'\\' { 2 } else { 1 };
            in_string = byte != b'"';
            out.extend_from_slice(rest.get(..width).unwrap_or(rest));
            at += width;
        } else if rest.starts_with(NAN) {
            out.extend_from_slice(b"null");
            at += NAN.len();
            changed = true;
        } else {
            in_string = byte == b'"';
            out.push(byte);
            at += 1;
        }
    }
    if changed { Cow::Owned(out) } else { Cow::Borrowed(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_nan_becomes_null_outside_of_strings() {
        let check = |text: &str, expect: &str| {
            assert_eq!(String::from_utf8(without_nan(text.as_bytes()).into_owned()).unwrap(), expect);
        };
        check("[NaN, 1, NaN]", "[null, 1, null]");
        check("[-Infinity]", "[-Infinity]");
        check(r#"{"NaN": "a NaN \" NaN", "x": NaN}"#, r#"{"NaN": "a NaN \" NaN", "x": null}"#);
        check(r#"["\\", NaN]"#, r#"["\\", null]"#);
        check("\"unfinished \\", "\"unfinished \\");
    }
}
