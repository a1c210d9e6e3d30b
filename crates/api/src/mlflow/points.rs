//! Points as clients write them, read without a tree of values in between: a batch of 1,000 points is the most frequent large
//! request there is.
//!
//! Only the plain form is known here: every field once, by its snake_case name and of its own type. Whatever else the protocol
//! allows, and every mistake, gives `None`, and the general reader has it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use tracking::Pair;
use tracking::batch::Batch;
use tracking::metric::Metric;

/// The run and the batch of a `log-batch`.
pub(crate) fn read_batch(bytes: &[u8]) -> Option<(String, Batch)> {
    let wire: BatchWire<'_> = serde_json::from_slice(bytes).ok()?;
    let metrics = wire.metrics.into_iter().map(Metric::try_from).collect::<Result<_, _>>().ok()?;
    let pairs = |wires: Vec<PairWire>| {
        let pair = |wire: PairWire| (!wire.key.is_empty()).then_some(Pair { key: wire.key, value: wire.value });
        wires.into_iter().map(pair).collect::<Option<Vec<Pair>>>()
    };
    let batch = Batch { metrics, params: pairs(wire.params)?, tags: pairs(wire.tags)? };
    (!wire.run_id.is_empty()).then_some((wire.run_id, batch))
}

/// The run and the point of a `log-metric`.
pub(crate) fn read_point(bytes: &[u8]) -> Option<(String, Metric)> {
    let wire: PointWire<'_> = serde_json::from_slice(bytes).ok()?;
    let point = MetricWire { key: wire.key, value: wire.value, timestamp: wire.timestamp, step: wire.step };
    let point = Metric::try_from(point).ok()?;
    (!wire.run_id.is_empty()).then_some((wire.run_id, point))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchWire<'a> {
    run_id: String,
    #[serde(default, borrow)]
    metrics: Vec<MetricWire<'a>>,
    #[serde(default)]
    params: Vec<PairWire>,
    #[serde(default)]
    tags: Vec<PairWire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricWire<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    value: Number,
    timestamp: i64,
    #[serde(default)]
    step: i64,
}

/// A point with its run; clients send the old name of the run beside the new one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PointWire<'a> {
    run_id: String,
    #[serde(default, rename = "run_uuid")]
    _run_uuid: String,
    #[serde(borrow)]
    key: Cow<'a, str>,
    value: Number,
    timestamp: i64,
    #[serde(default)]
    step: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairWire {
    key: String,
    #[serde(default)]
    value: String,
}

/// It has no name.
struct Nameless;

impl TryFrom<MetricWire<'_>> for Metric {
    type Error = Nameless;

    fn try_from(wire: MetricWire<'_>) -> Result<Self, Nameless> {
        if wire.key.is_empty() {
            return Err(Nameless);
        }
        let key = wire.key.into_owned();
        Ok(Self { key, value: wire.value.0, timestamp_ms: wire.timestamp, step: wire.step, ..Self::default() })
    }
}

/// A double; three of them are texts.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                match text {
                    "NaN" => Ok(Number(f64::NAN)),
                    "Infinity" => Ok(Number(f64::INFINITY)),
                    "-Infinity" => Ok(Number(f64::NEG_INFINITY)),
                    other => Err(E::custom(other)),
                }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write_is_read() {
        let bytes = br#"{"run_id": "r", "metrics": [
            {"key": "a", "value": 1, "timestamp": 2, "step": -3},
            {"key": "b", "value": "-Infinity", "timestamp": 2},
            {"key": "c", "value": 0.1, "timestamp": 2, "step": 3}], "params": [], "tags": [{"key": "t", "value": "v"}]}"#;
        let (run_id, batch) = read_batch(bytes).unwrap();
        let of = |metric: &Metric| (metric.key.clone(), metric.value, metric.timestamp_ms, metric.step);
        let seen: Vec<_> = batch.metrics.iter().map(of).collect();
        let expect = [("a", 1.0, 2, -3), ("b", f64::NEG_INFINITY, 2, 0), ("c", 0.1, 2, 3)];
        assert_eq!(seen, expect.map(|(key, value, timestamp, step)| (key.to_owned(), value, timestamp, step)));
        assert_eq!((run_id.as_str(), batch.tags), ("r", vec![Pair::new("t", "v")]));
        let bytes = br#"{"run_id": "r", "run_uuid": "r", "key": "a", "value": "NaN", "timestamp": 2, "step": 1}"#;
        assert!(read_point(bytes).unwrap().1.value.is_nan());
    }

    #[test]
    fn everything_else_is_left_to_the_general_reader() {
        for other in [
            r#"{"run_id": "r", "metrics": [{"key": "a", "value": 1, "timestamp": "2"}]}"#,
            r#"{"run_id": "r", "metrics": [{"key": "a", "value": "1", "timestamp": 2}]}"#,
            r#"{"run_id": "r", "metrics": [{"key": "a", "value": 1, "timestamp": 2.0}]}"#,
            r#"{"run_id": "r", "metrics": [{"key": "a", "value": 1, "timestamp": 2, "model_id": "m"}]}"#,
            r#"{"run_id": "r", "metrics": [{"key": "a", "timestamp": 2}]}"#,
            r#"{"run_id": "r", "metrics": [{"key": "", "value": 1, "timestamp": 2}]}"#,
            r#"{"run_id": "r", "metrics": null}"#,
            r#"{"runId": "r", "metrics": []}"#,
            r#"{"run_id": "", "metrics": []}"#,
            r#"{"run_id": "r", "tags": [{"key": "", "value": "v"}]}"#,
            r#""{}""#,
            "",
        ] {
            assert!(read_batch(other.as_bytes()).is_none(), "{other}");
        }
    }
}
