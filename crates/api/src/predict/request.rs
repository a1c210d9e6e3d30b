//! The request, read in one pass: rows go straight into the frame.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serving::decode::json::{Feed, Row, Rows};
use serving::decode::{FrameBuilder, Rules};
use serving::{Batch, Error, Live};

use super::fields::{Id, Key, Time};

/// What is asked for.
pub(super) struct Request {
    /// The rows, with ids and event times.
    pub(super) batch: Batch,
    /// Whether the probability of every class is wanted.
    pub(super) probabilities: bool,
}

const KEYS: &str =
    "`rows` or `inputs`, and optionally `columns`, `ids` or `id`, `event_times` or `event_time`, `probabilities`";

/// Reads a body for a version.
pub(super) fn decode(live: &Live, body: &[u8]) -> Result<Request, Error> {
    let mut top = Top::default();
    let mut read = pass(live, body, &mut top, None);
    if top.columns != Columns::First
        && (top.columns == Columns::Late || read.is_err())
        && let Ok(OnlyColumns { columns: Some(names) }) = serde_json::from_slice(body)
    {
        // the rows came before the columns that describe them: read once more, knowing them
        top = Top::default();
        read = pass(live, body, &mut top, Some(&names));
    }
    let builder = read?;
    if !top.rows {
        let (field, message) = ("rows".to_owned(), "the request has no rows".to_owned());
        return Err(Error::Request { field, message, hint: Some(format!("send {KEYS}")) });
    }
    let batch = Batch { frame: builder.finish()?, ids: top.ids, event_times_us: top.times };
    Ok(Request { batch, probabilities: top.probabilities })
}

fn pass<'i>(live: &'i Live, body: &[u8], top: &mut Top, columns: Option<&[String]>) -> Result<FrameBuilder<'i>, Error> {
    let extra = live.config().extra_columns;
    let rules = Rules { extra, lenient_null: false, max_rows: live.max_rows(), field: "rows" };
    let mut builder = FrameBuilder::new(live.inputs(), rules);
    if let Some(columns) = columns {
        builder.set_columns(columns)?;
    }
    let mut feed = Feed::new(&mut builder);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = deserializer.deserialize_map(TopVisitor { feed: &mut feed, top, known: columns.is_some() });
    if let Err(error) = read.and_then(|()| deserializer.end()) {
        return Err(feed.explain(&error, top.key));
    }
    Ok(builder)
}

/// Where `columns` stood in the body.
#[derive(Debug, Default, PartialEq, Eq)]
enum Columns {
    #[default]
    Nowhere,
    First,
    Late,
}

#[derive(Deserialize)]
struct OnlyColumns {
    #[serde(default)]
    columns: Option<Vec<String>>,
}

/// The keys of a request except the rows.
struct Top {
    key: &'static str,
    rows: bool,
    columns: Columns,
    ids: Vec<String>,
    times: Vec<i64>,
    probabilities: bool,
}

impl Default for Top {
    fn default() -> Self {
        let (ids, times) = (Vec::new(), Vec::new());
        Self { key: "body", rows: false, columns: Columns::Nowhere, ids, times, probabilities: false }
    }
}

struct TopVisitor<'t, 'b, 'i> {
    feed: &'t mut Feed<'b, 'i>,
    top: &'t mut Top,
    known: bool,
}

impl<'de> Visitor<'de> for TopVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {KEYS}")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            self.top.key = key.name();
            self.member(key, &mut map)?;
            self.top.key = "body";
        }
        Ok(())
    }
}

impl TopVisitor<'_, '_, '_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let Self { feed, top, known } = self;
        match key {
            Key::Rows | Key::Inputs if top.rows => {
                return Err(feed.fail(Error::request(top.key, "the rows are given twice")));
            }
            Key::Rows => {
                top.rows = true;
                map.next_value_seed(Rows(feed))?;
            }
            Key::Inputs => {
                top.rows = true;
                map.next_value_seed(Row(feed))?;
            }
            Key::Columns => {
                let names: Vec<String> = map.next_value()?;
                top.columns = if top.rows { Columns::Late } else { Columns::First };
                if !top.rows && !*known {
                    feed.builder.set_columns(&names).map_err(|error| feed.fail(error))?;
                }
            }
            Key::Ids => top.ids = map.next_value::<Vec<Id>>()?.into_iter().map(|id| id.0).collect(),
            Key::Id => top.ids = vec![map.next_value::<Id>()?.0],
            Key::EventTimes => top.times = map.next_value::<Vec<Time>>()?.into_iter().map(|at| at.0).collect(),
            Key::EventTime => top.times = vec![map.next_value::<Time>()?.0],
            Key::Probabilities => top.probabilities = map.next_value()?,
        }
        Ok(())
    }
}
