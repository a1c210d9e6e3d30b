//! JSON text -> values of a [`FrameBuilder`], without a tree in between.
//!
//! serde can carry only a text through its errors, so the precise error waits in the [`Feed`] and [`Feed::explain`] takes it out;
//! for a plain syntax error it adds in which row and column the reader was.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{FrameBuilder, Value};
use crate::Error;

/// A builder being fed.
#[derive(Debug)]
pub struct Feed<'b, 'i> {
    /// The builder.
    pub builder: &'b mut FrameBuilder<'i>,
    fault: Option<Error>,
    at: Option<usize>,
}

impl<'b, 'i> Feed<'b, 'i> {
    /// Feeds a builder.
    pub fn new(builder: &'b mut FrameBuilder<'i>) -> Self {
        Self { builder, fault: None, at: None }
    }

    /// Keeps the precise error; serde gets a stand-in.
    pub fn fail<E: de::Error>(&mut self, error: Error) -> E {
        self.fault = Some(error);
        E::custom("a value does not fit")
    }

    /// The precise error behind what serde reported; `field` is the key of the request that was being read.
    pub fn explain(&mut self, error: &serde_json::Error, field: &str) -> Error {
        if let Some(fault) = self.fault.take() {
            return fault;
        }
        let place = self.at.and_then(|at| self.builder.inputs().get(at)).map(|input| {
            let row = self.builder.rows();
            (format!("{field}[{row}].{}", input.name), format!("row {row}, column `{}`: ", input.name))
        });
        let (field, place) = place.unwrap_or_else(|| (field.to_owned(), String::new()));
        if error.is_data() {
            return Error::Request { field, message: format!("{place}{error}"), hint: None };
        }
        let hint = "NaN and Infinity are not JSON, send null for a missing value".to_owned();
        Error::Request { field, message: format!("{place}the body is not valid JSON: {error}"), hint: Some(hint) }
    }
}

/// An array of rows; each is an object, an array, or (for a model of one column) a single value.
#[derive(Debug)]
pub struct Rows<'f, 'b, 'i>(pub &'f mut Feed<'b, 'i>);

/// One row.
#[derive(Debug)]
pub struct Row<'f, 'b, 'i>(pub &'f mut Feed<'b, 'i>);

/// The values of one column, by its place.
#[derive(Debug)]
pub struct ColumnValues<'f, 'b, 'i>(pub &'f mut Feed<'b, 'i>, pub usize);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows.next_element_seed(Row(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Row<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.at = None;
        deserializer.deserialize_any(self)
    }
}

impl Row<'_, '_, '_> {
    fn single<E: de::Error>(self, value: Value<'_>) -> Result<(), E> {
        let builder = &mut *self.0.builder;
        let fed = if builder.width() == 1 {
            let place = builder.place(0);
            builder
                .begin_row()
                .and_then(|()| place.map_or(Ok(()), |at| builder.put(at, value)))
                .and_then(|()| builder.end_row())
        } else {
            Err(builder.no_row(value))
        };
        fed.map_err(|error| self.0.fail(error))
    }
}

impl<'de> Visitor<'de> for Row<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row: an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<(), A::Error> {
        let feed = self.0;
        feed.builder.begin_row().map_err(|error| feed.fail(error))?;
        let mut next = 0;
        while let Some(found) = row.next_key_seed(ColumnName { feed: &mut *feed, hint: next })? {
            if let Some(at) = found {
                feed.at = Some(at);
                row.next_value_seed(Cell { feed: &mut *feed, at, whole: false })?;
                next = at + 1;
            } else {
                row.next_value::<IgnoredAny>()?;
            }
        }
        feed.at = None;
        feed.builder.end_row().map_err(|error| feed.fail(error))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<(), A::Error> {
        let feed = self.0;
        feed.builder.begin_row().map_err(|error| feed.fail(error))?;
        let width = feed.builder.width();
        for given in 0..width {
            let more = match feed.builder.place(given) {
                Some(at) => {
                    feed.at = Some(at);
                    row.next_element_seed(Cell { feed: &mut *feed, at, whole: false })?.is_some()
                }
                None => row.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                let error = feed.builder.wrong_width(given);
                return Err(feed.fail(error));
            }
        }
        feed.at = None;
        let mut given = width;
        while row.next_element::<IgnoredAny>()?.is_some() {
            given += 1;
        }
        if given > width {
            let error = feed.builder.wrong_width(given);
            return Err(feed.fail(error));
        }
        feed.builder.end_row().map_err(|error| feed.fail(error))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.single(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.single(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.single(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.single(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.single(Value::Text(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.single(Value::Null)
    }
}

impl<'de> DeserializeSeed<'de> for ColumnValues<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ColumnValues<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array with the values of a column")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element_seed(Cell { feed: &mut *self.0, at: self.1, whole: true })?.is_some() {}
        Ok(())
    }
}

/// The name of a column, looked up while it is still in the text.
struct ColumnName<'f, 'b, 'i> {
    feed: &'f mut Feed<'b, 'i>,
    hint: usize,
}

impl<'de> DeserializeSeed<'de> for ColumnName<'_, '_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ColumnName<'_, '_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a column")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let found = self.feed.builder.inputs().position(name, self.hint);
        if found.is_none()
            && let Err(error) = self.feed.builder.unknown(name)
        {
            return Err(self.feed.fail(error));
        }
        Ok(found)
    }
}

/// One value of a row or (`whole`) of a column given whole.
struct Cell<'f, 'b, 'i> {
    feed: &'f mut Feed<'b, 'i>,
    at: usize,
    whole: bool,
}

impl Cell<'_, '_, '_> {
    fn put<E: de::Error>(self, value: Value<'_>) -> Result<(), E> {
        let builder = &mut *self.feed.builder;
        let put = if self.whole { builder.put_in_column(self.at, value) } else { builder.put(self.at, value) };
        put.map_err(|error| self.feed.fail(error))
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text, true, false or null")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.put(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.put(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.put(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.put(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.put(Value::Text(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.put(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.put(Value::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.put(Value::Other("an object"))
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Uint(value), Self::Int)
    }
}
