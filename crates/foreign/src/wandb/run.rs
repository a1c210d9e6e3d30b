//! The records of a run: the numbers in `wandb_internal.proto`, and what becomes of each kind.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::log;
use crate::mlflow::{Pair, Point};
use crate::protobuf::fields;
use crate::{Result, naming};

/// What a log holds.
#[derive(Debug, Default)]
pub(super) struct Logged {
    pub(super) id: String,
    pub(super) entity: String,
    pub(super) project: String,
    pub(super) name: String,
    pub(super) notes: String,
    pub(super) group: String,
    pub(super) job_type: String,
    pub(super) host: String,
    pub(super) tags: Vec<String>,
    pub(super) start_ms: i64,
    pub(super) points: Vec<Point>,
    pub(super) summary: Map<String, Value>,
    pub(super) output: String,
    pub(super) warnings: Vec<String>,
    config: BTreeMap<String, Value>,
    /// The exit code, if it ended.
    exit: Option<i64>,
    runtime_s: f64,
}

impl Logged {
    pub(super) fn status(&self) -> &'static str {
        match self.exit {
            Some(0) => "FINISHED",
            Some(_) => "FAILED",
            // The log breaks off: its writer was killed.
            None => "KILLED",
        }
    }

    pub(super) fn end_ms(&self) -> i64 {
        let last = self.points.iter().map(|point| point.timestamp).max();
        let ended = self.start_ms + (self.runtime_s * 1_000.0) as i64;
        last.map_or(ended, |last| last.max(ended))
    }

    /// The configuration as params: `optimizer.lr`.
    pub(super) fn params(&self) -> Vec<Pair> {
        let mut flat = BTreeMap::new();
        for (key, value) in self.config.iter().filter(|(key, _)| *key != "_wandb") {
            flatten(key, value, &mut flat);
        }
        flat.into_iter().map(|(key, value)| naming::pair(&key, value)).collect()
    }
}

fn flatten(key: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(inner) => inner.iter().for_each(|(name, value)| flatten(&format!("{key}.{name}"), value, flat)),
        Value::String(text) => drop(flat.insert(key.to_owned(), text.clone())),
        other => drop(flat.insert(key.to_owned(), other.to_string())),
    }
}

/// Reads a log to its end, or to where it breaks off.
pub(super) fn read(path: &Path) -> Result<Logged> {
    let mut logged = Logged::default();
    let mut wrong = 0_u32;
    let damaged = log::records(path, |bytes| wrong += u32::from(record(bytes, &mut logged).is_err()))?;
    if damaged {
        logged.warnings.push(format!("{} is damaged: what comes before that is taken", path.display()));
    }
    if wrong > 0 {
        logged.warnings.push(format!("{}: {wrong} records are passed over, they are no messages", path.display()));
    }
    Ok(logged)
}

fn record(bytes: &[u8], logged: &mut Logged) -> Result<(), String> {
    for (number, field) in fields(bytes)? {
        match number {
            2 => history(field.bytes(), logged)?,
            3 => {
                for (key, value) in updates(field.bytes(), 1)? {
                    // `a.b` stays one key here; the same names are metrics.
                    logged.summary.insert(key.join("."), value);
                }
            }
            5 => {
                for (key, value) in updates(field.bytes(), 1)? {
                    logged.config.insert(key.join("."), value);
                }
            }
            7 => stats(field.bytes(), logged)?,
            4 | 13 => {
                let line = fields(field.bytes())?.into_iter().find(|(number, _)| *number == 3);
                logged.output.push_str(&line.map(|(_, line)| line.text()).unwrap_or_default());
            }
            17 => run(field.bytes(), logged)?,
            18 => {
                logged.exit = Some(0);
                for (number, field) in fields(field.bytes())? {
                    match number {
                        1 => logged.exit = Some(field.integer()),
                        2 => logged.runtime_s = field.number(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn run(bytes: &[u8], logged: &mut Logged) -> Result<(), String> {
    for (number, field) in fields(bytes)? {
        match number {
            1 => logged.id = field.text(),
            2 => logged.entity = field.text(),
            3 => logged.project = field.text(),
            4 => {
                logged.config.extend(updates(field.bytes(), 1)?.into_iter().map(|(key, value)| (key.join("."), value)));
            }
            6 => logged.group = field.text(),
            7 => logged.job_type = field.text(),
            8 => logged.name = field.text(),
            9 => logged.notes = field.text(),
            10 if !logged.tags.contains(&field.text()) => logged.tags.push(field.text()),
            13 => logged.host = field.text(),
            17 => logged.start_ms = moment(field.bytes())?,
            _ => {}
        }
    }
    Ok(())
}

/// `google.protobuf.Timestamp` in milliseconds.
fn moment(bytes: &[u8]) -> Result<i64, String> {
    let mut ms = 0;
    for (number, field) in fields(bytes)? {
        match number {
            1 => ms += field.integer().saturating_mul(1_000),
            2 => ms += field.integer() / 1_000_000,
            _ => {}
        }
    }
    Ok(ms)
}

/// Items of a key (or a path of keys) and a value in JSON, in the repeated field `list`.
fn updates(bytes: &[u8], list: u64) -> Result<Vec<(Vec<String>, Value)>, String> {
    let mut found = Vec::new();
    for (_, item) in fields(bytes)?.into_iter().filter(|(number, _)| *number == list) {
        let (mut key, mut value) = (Vec::new(), Value::Null);
        for (number, field) in fields(item.bytes())? {
            match number {
                1 | 2 if !field.bytes().is_empty() => key.push(field.text()),
                16 => value = json(&field.text()),
                _ => {}
            }
        }
        found.push((key, value));
    }
    Ok(found)
}

/// Python's JSON knows NaN and the infinities; ours has them as texts.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// One step: every number in it is a point. `_step` and `_timestamp` say where and when.
fn history(bytes: &[u8], logged: &mut Logged) -> Result<(), String> {
    let mut step = 0;
    for (number, field) in fields(bytes)? {
        if number == 2 {
            step = fields(field.bytes())?.iter().find(|(number, _)| *number == 1).map_or(0, |(_, step)| step.integer());
        }
    }
    let items = updates(bytes, 1)?;
    let special =
        |name: &str| items.iter().find(|(key, _)| key.join(".") == name).and_then(|(_, value)| value.as_f64());
    let at_ms = special("_timestamp").map_or(logged.start_ms, |seconds| (seconds * 1_000.0) as i64);
    step = special("_step").map_or(step, |step| step as i64);
    for (key, value) in &items {
        if !key.first().is_some_and(|name| name.starts_with('_')) {
            numbers(&key.join("/"), value, &mut |key, value| {
                logged.points.push(Point { key: naming::key(key), value, timestamp: at_ms.max(0), step });
            });
        }
    }
    Ok(())
}

fn numbers(key: &str, value: &Value, take: &mut impl FnMut(&str, f64)) {
    match value {
        Value::Number(number) => take(key, number.as_f64().unwrap_or(f64::NAN)),
        Value::Bool(flag) => take(key, f64::from(u8::from(*flag))),
        Value::String(text) => match text.as_str() {
            "NaN" => take(key, f64::NAN),
            "Infinity" => take(key, f64::INFINITY),
            "-Infinity" => take(key, f64::NEG_INFINITY),
            _ => {}
        },
        // A media object or a histogram says what it is; it has no number of its own.
        Value::Object(inner) if !inner.contains_key("_type") => {
            inner.iter().for_each(|(name, value)| numbers(&format!("{key}/{name}"), value, take));
        }
        _ => {}
    }
}

/// Samples of the system: `system/cpu`, at the second of the run as step.
fn stats(bytes: &[u8], logged: &mut Logged) -> Result<(), String> {
    let moment_of = fields(bytes)?.into_iter().find(|(number, _)| *number == 2);
    let at_ms = moment_of.map(|(_, field)| moment(field.bytes())).transpose()?.unwrap_or(logged.start_ms);
    let step = (at_ms - logged.start_ms).max(0) / 1_000;
    for (key, value) in updates(bytes, 3)? {
        if let Some(number) = value.as_f64() {
            let key = naming::key(&format!("system/{}", key.join(".")));
            logged.points.push(Point { key, value: number, timestamp: at_ms.max(0), step });
        }
    }
    Ok(())
}
