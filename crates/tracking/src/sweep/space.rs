//! What is varied: parameters, the values they can take, and when they are there at all.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::definition::environment_names;
use super::domain::Domain;
use super::draw::Draws;
use crate::{Error, check};

/// As many as a batch of a run's params takes.
const MAX_PARAMS: usize = 100;
pub(super) const MAX_VALUES: usize = 1_000;

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number; finite.
    Float(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for Setting {
    /// As Python's `str` shows it, so that a script that logs what it was given logs the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => {
                let text = format!("{value:?}");
                match text.split_once('e') {
                    Some((digits, exponent)) => {
                        let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |rest| ("-", rest));
                        write!(f, "{digits}e{sign}{exponent:0>2}")
                    }
                    None => f.write_str(&text),
                }
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The values of the parameters that are there, by name.
pub type Settings = BTreeMap<String, Setting>;

/// A parameter as it is written down; which fields it needs depends on its type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// `uniform`, `loguniform`, `int`, `int_log`, `normal`, `choice` or `fixed`.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// The greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Only `low`, `low + step` ... are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// Of a normal distribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Of a normal distribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
    /// What is chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Setting>>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Setting>,
    /// How many values a grid takes of a range, evenly spaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// It is there only if each of these parameters has one of these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Vec<Setting>>,
}

/// How a parameter is spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Evenly.
    #[default]
    Uniform,
    /// Evenly in its logarithm.
    Loguniform,
    /// Whole numbers, evenly.
    Int,
    /// Whole numbers, evenly in their logarithm.
    IntLog,
    /// As a normal distribution, cut off at five deviations.
    Normal,
    /// One of some values, each as likely.
    Choice,
    /// Always the same.
    Fixed,
}

/// A parameter that was checked.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) domain: Domain,
    /// How many values a grid takes.
    pub(super) points: Option<usize>,
    when: BTreeMap<String, Vec<Setting>>,
}

impl Checked {
    /// Whether it is there beside these values of the parameters before it.
    pub(super) fn is_active(&self, settings: &Settings) -> bool {
        self.when.iter().all(|(name, allowed)| settings.get(name).is_some_and(|value| allowed.contains(value)))
    }

    /// Whether it is there whatever the others are.
    pub(super) fn is_always_active(&self) -> bool {
        self.when.is_empty()
    }

    /// Whether it depends on this parameter.
    pub(super) fn depends_on(&self, name: &str) -> bool {
        self.when.contains_key(name)
    }
}

/// All parameters; one stands after those it depends on, otherwise by name.
#[derive(Clone, Debug)]
pub(super) struct Space(pub(super) Vec<Checked>);

impl Space {
    pub(super) fn new(params: &BTreeMap<String, Param>) -> Result<Self, Error> {
        if params.is_empty() {
            return Err(Error::Missing { path: "space".to_owned() });
        }
        if params.len() > MAX_PARAMS {
            let reason = format!("it may have at most {MAX_PARAMS} parameters");
            return Err(Error::Value { path: "space".to_owned(), value: params.len().to_string(), reason });
        }
        environment_names(params.keys())?;
        let mut left: Vec<Checked> =
            params.iter().map(|(name, param)| checked(name, param)).collect::<Result<_, _>>()?;
        let mut ordered: Vec<Checked> = Vec::new();
        while !left.is_empty() {
            let is_ready =
                |one: &Checked| one.when.keys().all(|name| ordered.iter().any(|before| before.name == *name));
            let Some(place) = left.iter().position(is_ready) else {
                return Err(lost(&left, params));
            };
            let next = left.remove(place);
            check_conditions(&next, &ordered)?;
            ordered.push(next);
        }
        Ok(Self(ordered))
    }

    /// Independent draws for a trial. A parameter has a stream of its own, so another one beside it does not change its values.
    pub(super) fn draw(&self, seed: i64, trial: i64) -> Settings {
        let mut settings = Settings::new();
        for param in &self.0 {
            if param.is_active(&settings) {
                let value = param.domain.draw(&mut Draws::new(seed, trial, &param.name));
                settings.insert(param.name.clone(), value);
            }
        }
        settings
    }
}

fn checked(name: &str, param: &Param) -> Result<Checked, Error> {
    let path = format!("space.{name}");
    check::key(name, || path.clone())?;
    check::length(name, check::MAX_KEY, || path.clone())?;
    let domain = Domain::new(&path, param)?;
    if let Some(points) = param.points
        && !(1..=MAX_VALUES as i64).contains(&points)
    {
        let reason = format!("it must be between 1 and {MAX_VALUES}");
        return Err(Error::Value { path: format!("{path}.points"), value: points.to_string(), reason });
    }
    let points = param.points.map(|points| points as usize);
    Ok(Checked { name: name.to_owned(), domain, points, when: param.when.clone() })
}

/// A condition must be one that can hold.
fn check_conditions(param: &Checked, before: &[Checked]) -> Result<(), Error> {
    for (name, allowed) in &param.when {
        let path = || format!("space.{}.when.{name}", param.name);
        let Some(on) = before.iter().find(|one| one.name == *name) else { continue };
        let Some(values) = on.domain.values() else {
            let reason = "only a parameter of type choice or fixed can be a condition".to_owned();
            return Err(Error::Value { path: path(), value: check::json(name), reason });
        };
        let impossible = allowed.iter().find(|value| !values.contains(value));
        if let Some(value) = impossible {
            let reason = format!("`{name}` never has this value");
            return Err(Error::Value { path: path(), value: check::json(&value.to_string()), reason });
        }
        if allowed.is_empty() {
            return Err(Error::Missing { path: path() });
        }
    }
    Ok(())
}

/// What is wrong with parameters that depend on something that is not there, or on each other.
fn lost(left: &[Checked], params: &BTreeMap<String, Param>) -> Error {
    for one in left {
        for name in one.when.keys() {
            if !params.contains_key(name) {
                let reason = "there is no such parameter".to_owned();
                return Error::Value { path: format!("space.{}.when", one.name), value: check::json(name), reason };
            }
        }
    }
    let names: Vec<&str> = left.iter().map(|one| one.name.as_str()).collect();
    let path = format!("space.{}.when", names.first().unwrap_or(&""));
    Error::Value { path, value: check::json(&names.join(", ")), reason: "they depend on each other".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_as_python_shows_it() {
        let check = |value: Setting, expect: &str| assert_eq!(value.to_string(), expect);
        for (value, expect) in [
            (0.1, "0.1"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e-10, "1.5e-10"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (3.0, "3.0"),
            (-2.5e-7, "-2.5e-07"),
            (1e100, "1e+100"),
        ] {
            check(Setting::Float(value), expect);
        }
        check(Setting::Int(-3), "-3");
        check(Setting::Bool(true), "True");
        check(Setting::Text("a b".to_owned()), "a b");
    }

    #[test]
    fn a_value_is_read_back_as_what_it_is() {
        let values = [Setting::Bool(false), Setting::Int(1), Setting::Float(1.0), Setting::Text("1".to_owned())];
        let text = serde_json::to_string(&values).unwrap();
        assert_eq!(text, "[false,1,1.0,\"1\"]");
        assert_eq!(serde_json::from_str::<Vec<Setting>>(&text).unwrap(), values);
    }
}
