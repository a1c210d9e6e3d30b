//! The small fields of a request: its keys, ids and points in time.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// The keys of a request.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
pub(super) enum Key {
    Rows,
    Inputs,
    Columns,
    Ids,
    Id,
    EventTimes,
    EventTime,
    Probabilities,
}

impl Key {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Inputs => "inputs",
            Self::Columns => "columns",
            Self::Ids => "ids",
            Self::Id => "id",
            Self::EventTimes => "event_times",
            Self::EventTime => "event_time",
            Self::Probabilities => "probabilities",
        }
    }
}

/// The id of a prediction: text, or a whole number taken as text.
pub(super) struct Id(pub(super) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the id of a prediction, as text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
        Ok(Id(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Id, E> {
        Ok(Id(text))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
        Ok(Id(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
        Ok(Id(number.to_string()))
    }
}

/// A point in time, in microseconds since the epoch: RFC 3339 text, or a number of seconds since the epoch.
pub(super) struct Time(pub(super) i64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a point in time, as RFC 3339 text or seconds since the epoch")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        kernel::clock::parse_us(text).map(Time).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Time, E> {
        let micros = seconds.checked_mul(kernel::clock::SECOND_US);
        micros.map(Time).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(seconds), &self))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Time, E> {
        let signed = i64::try_from(seconds).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))?;
        self.visit_i64(signed)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Time, E> {
        const LATEST: f64 = 9e11;
        if seconds.abs() < LATEST {
            Ok(Time((seconds * 1e6).round() as i64))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(seconds), &self))
        }
    }
}
