//! Where the elements of tensors go: into columns, or into the ids and event times of the predictions.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serving::Error;
use serving::decode::{FrameBuilder, Value};

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One column of the model.
    Column(usize),
    /// All columns, row by row.
    Matrix,
    /// The ids of the predictions.
    Ids,
    /// The event times of the predictions.
    Times,
}

/// Takes elements.
pub(super) struct Sink<'i> {
    builder: FrameBuilder<'i>,
    ids: Vec<String>,
    times: Vec<i64>,
    in_matrix: usize,
    taken: usize,
}

impl<'i> Sink<'i> {
    pub(super) fn new(builder: FrameBuilder<'i>) -> Self {
        Self { builder, ids: Vec::new(), times: Vec::new(), in_matrix: 0, taken: 0 }
    }

    /// How many elements were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Takes the next element of a tensor.
    pub(super) fn give(&mut self, target: Target, value: Value<'_>) -> Result<(), Error> {
        self.taken += 1;
        match (target, value) {
            (Target::Column(at), value) => self.builder.put_in_column(at, value),
            (Target::Matrix, value) => {
                let at = self.in_matrix % self.builder.inputs().len().max(1);
                self.in_matrix += 1;
                self.builder.put_in_column(at, value)
            }
            (Target::Ids, Value::Text(id)) => {
                self.ids.push(id.to_owned());
                Ok(())
            }
            (Target::Times, Value::Text(text)) => {
                self.times.push(time(text, self.times.len())?);
                Ok(())
            }
            (Target::Ids, _) => Err(Error::request("inputs.prediction_id", "an id must be text")),
            (Target::Times, _) => Err(Error::request("inputs.event_time", "an event time must be RFC 3339 text")),
        }
    }

    /// The id and event time that the parameters of a request give to its only row.
    pub(super) fn name_single(&mut self, id: Option<String>, at: Option<&str>, rows: usize) -> Result<(), Error> {
        if (id.is_some() || at.is_some()) && rows != 1 {
            let message =
                "the parameters prediction_id and event_time are for one row; send tensors of these names for several";
            return Err(Error::request("parameters", message));
        }
        if let Some(id) = id {
            self.ids = vec![id];
        }
        if let Some(at) = at {
            self.times = vec![time(at, 0)?];
        }
        Ok(())
    }

    pub(super) fn into_parts(self) -> (FrameBuilder<'i>, Vec<String>, Vec<i64>) {
        (self.builder, self.ids, self.times)
    }
}

fn time(text: &str, row: usize) -> Result<i64, Error> {
    kernel::clock::parse_us(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        let message =
            format!("row {row}: {shown:?} is no point in time; send RFC 3339 text or seconds since the epoch");
        Error::request("inputs.event_time", message)
    })
}

/// The elements of a JSON array, however deep it nests.
pub(super) struct Flat<'s, 'i> {
    pub(super) sink: &'s mut Sink<'i>,
    pub(super) target: Target,
    pub(super) fault: &'s mut Option<Error>,
}

impl Flat<'_, '_> {
    fn one<E: de::Error>(self, value: Value<'_>) -> Result<(), E> {
        self.sink.give(self.target, value).map_err(|error| {
            *self.fault = Some(error);
            E::custom("a value does not fit")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Flat<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flat<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let (sink, target, fault) = (self.sink, self.target, self.fault);
        while elements.next_element_seed(Flat { sink: &mut *sink, target, fault: &mut *fault })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.one(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.one(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.one(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.one(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.one(Value::Text(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.one(Value::Null)
    }
}
