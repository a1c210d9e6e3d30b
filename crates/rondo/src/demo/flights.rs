//! The flights to replay, in the order of scheduled departure, ready to be sent.

use std::path::Path;

use anyhow::{Context as _, ensure};
use kernel::clock::{DAY_US, parse_us};

/// Midnight of the first of March in New York: where the replay begins. A day of the replay is 24 hours from there on.
pub(super) const START_US: i64 = 1_362_114_000 * kernel::clock::SECOND_US;
/// Days up to the end of the year.
pub(super) const DAYS: i64 = 306;

/// Columns of the file before the features.
const BEFORE: usize = 4;

/// A flight as the file tells it.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    /// Its id, used as the id of the prediction.
    pub(super) id: String,
    /// Scheduled departure.
    pub(super) event_us: i64,
    /// When the truth was known and what it was; nothing for a flight that never had one.
    pub(super) outcome: Option<(i64, bool)>,
    /// The features as a JSON array.
    row: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Flights {
    all: Vec<Flight>,
    /// The features as a JSON array of names.
    columns: String,
    /// Positions of the flights with a truth, in the order in which the truths were known.
    by_truth: Vec<usize>,
}

impl Flights {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut reader = csv::Reader::from_path(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let heading = reader.headers()?.clone();
        let names: Vec<&str> = heading.iter().skip(BEFORE).collect();
        let columns = serde_json::to_string(&names)?;
        let mut all = Vec::new();
        for record in reader.records() {
            all.push(flight(&record?)?);
        }
        ensure!(
            all.is_sorted_by_key(|flight: &Flight| flight.event_us),
            "the flights are not in the order of departure"
        );
        let mut by_truth: Vec<usize> = (0..all.len()).filter(|at| all[*at].outcome.is_some()).collect();
        by_truth.sort_by_key(|at| all[*at].outcome.map(|(known_us, _)| known_us));
        Ok(Self { all, columns, by_truth })
    }

    pub(super) fn all(&self) -> &[Flight] {
        &self.all
    }

    /// The flights of a day.
    pub(super) fn of_day(&self, day: i64) -> &[Flight] {
        let at = |day: i64| self.all.partition_point(|flight| flight.event_us < START_US + day * DAY_US);
        &self.all[at(day)..at(day + 1)]
    }

    /// The flights whose truth became known on a day; on the last one, also those after it.
    pub(super) fn known_on(&self, day: i64) -> impl Iterator<Item = &Flight> {
        let known = |at: &usize| self.all[*at].outcome.map_or(i64::MAX, |(known_us, _)| known_us);
        let at = |day: i64| self.by_truth.partition_point(|one| known(one) < START_US + day * DAY_US);
        let end = if day + 1 == DAYS { self.by_truth.len() } else { at(day + 1) };
        self.by_truth[at(day)..end].iter().map(|at| &self.all[*at])
    }

    /// The body of a request that predicts these flights.
    pub(super) fn predict(&self, flights: &[Flight]) -> String {
        let list = |each: fn(&Flight) -> String| flights.iter().map(each).collect::<Vec<_>>().join(",");
        format!(
            r#"{{"columns":{},"rows":[{}],"ids":[{}],"event_times":[{}]}}"#,
            self.columns,
            list(|flight| flight.row.clone()),
            list(|flight| format!("\"{}\"", flight.id)),
            list(|flight| format!("\"{}\"", kernel::clock::rfc3339(flight.event_us))),
        )
    }
}

impl Flight {
    /// The outcome as the API takes it.
    pub(super) fn told(&self) -> Option<serde_json::Value> {
        let (known_us, late) = self.outcome?;
        let observed_at = kernel::clock::rfc3339(known_us);
        Some(serde_json::json!({ "prediction_id": self.id, "value": u8::from(late), "observed_at": observed_at }))
    }
}

fn flight(record: &csv::StringRecord) -> anyhow::Result<Flight> {
    let field = |at: usize| record.get(at).unwrap_or_default();
    let event_us = parse_us(field(1)).with_context(|| format!("`{}` is no departure", field(1)))?;
    let outcome = parse_us(field(2)).filter(|_| !field(2).is_empty()).map(|known_us| (known_us, field(3) == "1"));
    let cells = record.iter().skip(BEFORE).map(|cell| match cell {
        "" => Ok("null".to_owned()),
        number if !number.starts_with(char::is_alphabetic) && number.parse::<f64>().is_ok() => Ok(number.to_owned()),
        text => serde_json::to_string(text),
    });
    let cells = cells.collect::<Result<Vec<String>, _>>()?;
    Ok(Flight { id: field(0).to_owned(), event_us, outcome, row: format!("[{}]", cells.join(",")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "id,event_time,observed_at,late,carrier,hour,temp\n\
        A,2013-03-01T10:15:00Z,2013-03-01T14:30:00Z,1,UA,5,39.92\n\
        B,2013-03-02T04:59:00Z,2013-03-02T08:00:00Z,0,9E,23,\n\
        C,2013-03-02T05:00:00Z,,,AA,0,41.0\n";

    #[test]
    fn flights_belong_to_the_day_of_departure_and_truths_to_that_of_arrival() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("replay.csv");
        std::fs::write(&path, FILE).unwrap();
        let flights = Flights::read(&path).unwrap();
        let ids = |of: &[Flight]| of.iter().map(|flight| flight.id.clone()).collect::<String>();
        assert_eq!((ids(flights.of_day(0)), ids(flights.of_day(1))), ("AB".to_owned(), "C".to_owned()));
        let known = |day| flights.known_on(day).map(|flight| flight.id.as_str()).collect::<String>();
        assert_eq!((known(0), known(1), known(2)), ("A".to_owned(), "B".to_owned(), String::new()));
        let body: serde_json::Value = serde_json::from_str(&flights.predict(flights.of_day(0))).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "columns": ["carrier", "hour", "temp"], "rows": [["UA", 5, 39.92], ["9E", 23, null]], "ids": ["A", "B"],
                "event_times": ["2013-03-01T10:15:00Z", "2013-03-02T04:59:00Z"],
            })
        );
        let told = flights.all()[0].told().unwrap();
        assert_eq!(
            told,
            serde_json::json!({ "prediction_id": "A", "value": 1, "observed_at": "2013-03-01T14:30:00Z" })
        );
        assert_eq!(flights.all()[2].told(), None);
    }
}
