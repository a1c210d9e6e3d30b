//! The values that one parameter can take, how they are drawn, and which of them a grid takes.

use super::draw::{Draws, truncated};
use super::space::{Kind, MAX_VALUES, Param, Setting};
use crate::{Error, check};

/// A normal distribution is cut off at so many deviations, so that every range has ends.
const NORMAL_REACH: f64 = 5.0;
/// Whole numbers up to here are exact as doubles.
const MAX_INT: f64 = 9_007_199_254_740_992.0;

/// What a parameter can be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Domain {
    /// A range of numbers.
    Range(Range),
    /// One of these.
    Choice(Vec<Setting>),
}

/// A range of numbers, both ends included.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Only `low`, `low + step` ... are taken.
    pub(super) step: Option<f64>,
    /// Evenly spread in the logarithm.
    pub(super) log: bool,
    /// Mean and deviation, if it is spread as a normal distribution.
    pub(super) normal: Option<(f64, f64)>,
    whole: bool,
    /// Decimals that `low` and `step` are written with.
    decimals: usize,
}

impl Domain {
    /// Reads a parameter; `path` is its place in the definition.
    pub(super) fn new(path: &str, param: &Param) -> Result<Self, Error> {
        only_fields_of_its_kind(path, param)?;
        match param.kind {
            Kind::Choice => choice(path, param.values.as_deref().unwrap_or_default()),
            Kind::Fixed => {
                let value = param.value.clone().ok_or_else(|| Error::Missing { path: format!("{path}.value") })?;
                Ok(Self::Choice(vec![finite(&format!("{path}.value"), value)?]))
            }
            Kind::Normal => normal(path, param).map(Self::Range),
            _ => range(path, param).map(Self::Range),
        }
    }

    /// All values, if there are only some.
    pub(super) fn values(&self) -> Option<&[Setting]> {
        match self {
            Self::Range(_) => None,
            Self::Choice(values) => Some(values),
        }
    }

    /// Whether there is only one value.
    pub(super) fn is_single(&self) -> bool {
        match self {
            Self::Range(range) => range.low >= range.high,
            Self::Choice(values) => values.len() == 1,
        }
    }

    /// A draw.
    pub(super) fn draw(&self, draws: &mut Draws) -> Setting {
        match self {
            Self::Choice(values) => self.setting(draws.below(values.len()) as f64),
            Self::Range(range) => {
                let (low, high) = range.ends();
                let at = match range.normal {
                    Some((mean, deviation)) => truncated(mean, deviation, low, high, draws),
                    None => low + draws.unit() * (high - low),
                };
                range.setting(if range.log { at.exp() } else { at })
            }
        }
    }

    /// The value of a number: of a range the nearest that it takes, of a choice that of the index.
    pub(super) fn setting(&self, number: f64) -> Setting {
        match self {
            Self::Range(range) => range.setting(number),
            Self::Choice(values) => values.get(number as usize).cloned().unwrap_or(Setting::Int(0)),
        }
    }

    /// The number of a value; `None` if it takes no such value.
    pub(super) fn number(&self, value: &Setting) -> Option<f64> {
        match (self, value) {
            (Self::Choice(values), value) => values.iter().position(|one| one == value).map(|index| index as f64),
            (Self::Range(_), Setting::Int(value)) => Some(*value as f64),
            (Self::Range(_), Setting::Float(value)) => Some(*value),
            (Self::Range(_), _) => None,
        }
    }

    /// The values that a grid takes, each once.
    pub(super) fn grid(&self, path: &str, points: Option<usize>) -> Result<Vec<Setting>, Error> {
        let range = match self {
            Self::Choice(values) => return Ok(values.clone()),
            Self::Range(range) => range,
        };
        let all = range.step.map(|step| ((range.high - range.low) / step).round() as usize + 1);
        let mut values: Vec<Setting> = match (points, all) {
            (Some(1), _) => vec![range.setting(range.low)],
            (Some(points), _) => {
                let (low, high) = if range.log { (range.low.ln(), range.high.ln()) } else { (range.low, range.high) };
                let at = |index: usize| low + (high - low) * index as f64 / (points - 1) as f64;
                let point = |index: usize| brief(if range.log { at(index).exp() } else { at(index) });
                (0..points).map(|index| range.setting(point(index))).collect()
            }
            (None, Some(count)) if count <= MAX_VALUES && !range.log => {
                let step = range.step.unwrap_or(1.0);
                (0..count).map(|index| range.setting(range.low + step * index as f64)).collect()
            }
            (None, _) if range.normal.is_some() => {
                let reason = "a grid takes a normal distribution only with a `step`".to_owned();
                return Err(Error::Value { path: format!("{path}.type"), value: check::json("normal"), reason });
            }
            (None, _) => return Err(Error::Missing { path: format!("{path}.points") }),
        };
        values.dedup();
        Ok(values)
    }
}

impl Range {
    /// The ends as a draw needs them: in the logarithm if it is spread so, and wider by half a step.
    pub(super) fn ends(&self) -> (f64, f64) {
        let half = self.step.unwrap_or(0.0) / 2.0;
        let (low, high) = (self.low - half, self.high + half);
        if self.log { (low.ln(), high.ln()) } else { (low, high) }
    }

    /// The nearest number that it takes.
    pub(super) fn nearest(&self, number: f64) -> f64 {
        let value = number.clamp(self.low, self.high);
        let Some(step) = self.step else { return value };
        let steps = ((value - self.low) / step).round_ties_even();
        rounded(self.low + steps * step, self.decimals).clamp(self.low, self.high)
    }

    fn setting(&self, number: f64) -> Setting {
        let value = self.nearest(number);
        if self.whole { Setting::Int(value as i64) } else { Setting::Float(value) }
    }
}

fn range(path: &str, param: &Param) -> Result<Range, Error> {
    let log = matches!(param.kind, Kind::Loguniform | Kind::IntLog);
    let whole = matches!(param.kind, Kind::Int | Kind::IntLog);
    let (low, high) = (number(path, "low", param.low)?, number(path, "high", param.high)?);
    let step = if whole { Some(param.step.unwrap_or(1.0)) } else { param.step };
    let wrong = |field: &str, value: f64, reason: &str| {
        Err(Error::Value { path: format!("{path}.{field}"), value: value.to_string(), reason: reason.to_owned() })
    };
    if low > high {
        return wrong("high", high, "it must not be less than `low`");
    }
    if log && low <= 0.0 {
        return wrong("low", low, "it must be greater than 0, because it has a logarithm");
    }
    for (field, value) in [("low", low), ("high", high), ("step", step.unwrap_or(1.0))] {
        if whole && (value.fract() != 0.0 || value.abs() > MAX_INT) {
            return wrong(field, value, "it must be a whole number");
        }
    }
    if let Some(step) = step
        && !(step > 0.0 && step.is_finite())
    {
        return wrong("step", step, "it must be greater than 0");
    }
    if high - low > f64::MAX / 2.0 {
        return wrong("high", high, "the range is too wide");
    }
    let mut range = Range { low, high, step, log, normal: None, whole, decimals: decimals(low, step) };
    if let Some(step) = step {
        range.high = rounded(low + ((high - low) / step * (1.0 + 1e-12)).floor() * step, range.decimals);
    }
    Ok(range)
}

fn normal(path: &str, param: &Param) -> Result<Range, Error> {
    let (mean, deviation) = (number(path, "mean", param.mean)?, number(path, "deviation", param.deviation)?);
    let positive = |field: &str, value: f64| {
        if value > 0.0 {
            return Ok(value);
        }
        let reason = "it must be greater than 0".to_owned();
        Err(Error::Value { path: format!("{path}.{field}"), value: value.to_string(), reason })
    };
    positive("deviation", deviation)?;
    let step = param.step.map(|step| positive("step", step)).transpose()?;
    let mut reach = NORMAL_REACH * deviation;
    if let Some(step) = step {
        reach = (reach / step).floor() * step;
    }
    let decimals = decimals(mean, step);
    let (low, high) = (mean - reach, mean + reach);
    Ok(Range { low, high, step, log: false, normal: Some((mean, deviation)), whole: false, decimals })
}

fn choice(path: &str, values: &[Setting]) -> Result<Domain, Error> {
    if values.is_empty() {
        return Err(Error::Missing { path: format!("{path}.values") });
    }
    if values.len() > MAX_VALUES {
        let reason = format!("there may be at most {MAX_VALUES}");
        return Err(Error::Value { path: format!("{path}.values"), value: values.len().to_string(), reason });
    }
    let mut checked: Vec<Setting> = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let path = format!("{path}.values[{index}]");
        let value = finite(&path, value.clone())?;
        if checked.iter().any(|one| one.to_string() == value.to_string()) {
            let reason = "it is there twice".to_owned();
            return Err(Error::Value { path, value: check::json(&value.to_string()), reason });
        }
        checked.push(value);
    }
    Ok(Domain::Choice(checked))
}

fn finite(path: &str, value: Setting) -> Result<Setting, Error> {
    let text = value.to_string();
    if matches!(value, Setting::Float(number) if !number.is_finite()) {
        let reason = "it must be finite".to_owned();
        return Err(Error::Value { path: path.to_owned(), value: text, reason });
    }
    if text.contains('\0') {
        let reason = "it must not hold the character NUL".to_owned();
        return Err(Error::Value { path: path.to_owned(), value: check::json(&text), reason });
    }
    check::length(&text, check::MAX_PARAM_VALUE, || path.to_owned())?;
    Ok(value)
}

fn number(path: &str, field: &str, value: Option<f64>) -> Result<f64, Error> {
    let path = || format!("{path}.{field}");
    let value = value.ok_or_else(|| Error::Missing { path: path() })?;
    if value.is_finite() {
        return Ok(value);
    }
    Err(Error::Value { path: path(), value: value.to_string(), reason: "it must be finite".to_owned() })
}

/// A field that means nothing for the type is a mistake.
fn only_fields_of_its_kind(path: &str, param: &Param) -> Result<(), Error> {
    use Kind::{Choice, Fixed, Int, IntLog, Loguniform, Normal, Uniform};
    let given: [(&str, bool, &[Kind]); 8] = [
        ("low", param.low.is_some(), &[Uniform, Loguniform, Int, IntLog]),
        ("high", param.high.is_some(), &[Uniform, Loguniform, Int, IntLog]),
        ("step", param.step.is_some(), &[Uniform, Int, Normal]),
        ("mean", param.mean.is_some(), &[Normal]),
        ("deviation", param.deviation.is_some(), &[Normal]),
        ("values", param.values.is_some(), &[Choice]),
        ("value", param.value.is_some(), &[Fixed]),
        ("points", param.points.is_some(), &[Uniform, Loguniform, Int, IntLog]),
    ];
    match given.iter().find(|(_, given, kinds)| *given && !kinds.contains(&param.kind)) {
        Some((field, ..)) => Err(Error::Value {
            path: format!("{path}.{field}"),
            value: check::json(field),
            reason: "a parameter of this type has no such field".to_owned(),
        }),
        None => Ok(()),
    }
}

/// Decimals of a number and a step as they are written.
fn decimals(low: f64, step: Option<f64>) -> usize {
    let of = |value: f64| value.to_string().split_once('.').map_or(0, |(_, after)| after.len());
    of(low).max(step.map_or(0, of))
}

/// Without the dust that sums of decimal fractions leave.
fn rounded(value: f64, decimals: usize) -> f64 {
    if decimals > 15 { value } else { format!("{value:.decimals$}").parse().unwrap_or(value) }
}

/// To twelve digits: the middle of 0.001 and 0.1 is 0.01 and not 0.010000000000000004.
fn brief(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}
