//! Does a value fit a column? The rules of mlflow's schema enforcement: widening is allowed, narrowing is not, text is never
//! turned into numbers nor numbers into text.

use inference::DataType;

/// A value as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64`.
    Uint(u64),
    /// A number.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Something that is no single value, named for the message.
    Other(&'static str),
}

const F32_MAX: f64 = f32::MAX as f64;

/// What a column takes, for messages.
pub(super) fn expected(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "true or false (boolean)",
        DataType::Integer => "a whole number of 32 bits (integer)",
        DataType::Long => "a whole number (long)",
        DataType::Float => "a number within the range of 32-bit floats (float)",
        DataType::Double => "a number (double)",
        DataType::String => "text (string)",
        DataType::Datetime => "a point in time as RFC 3339 text (datetime)",
    }
}

/// The number that a number column stores, or `None` if the value does not fit. Null is not decided here.
pub(super) fn number(data_type: DataType, value: Value<'_>) -> Option<f64> {
    match (data_type, value) {
        (DataType::Boolean, Value::Bool(truth)) => Some(f64::from(u8::from(truth))),
        (DataType::Integer | DataType::Long | DataType::Float | DataType::Double, _) => {
            let number = plain(value)?;
            fits(data_type, number).then_some(number)
        }
        (DataType::Datetime, Value::Text(text)) => kernel::clock::parse_us(text).map(|at| at as f64),
        _ => None,
    }
}

fn plain(value: Value<'_>) -> Option<f64> {
    match value {
        Value::Int(number) => Some(number as f64),
        Value::Uint(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    }
}

fn fits(data_type: DataType, number: f64) -> bool {
    match data_type {
        DataType::Integer => number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number),
        DataType::Long => {
            number.fract() == 0.0 && (-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(&number)
        }
        DataType::Float => number.is_nan() || number.abs() <= F32_MAX || number.is_infinite(),
        _ => true,
    }
}

/// A value for messages: its type, and itself if it is short.
pub(super) fn describe(value: Value<'_>) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => format!("the boolean {truth}"),
        Value::Int(number) => format!("the number {number}"),
        Value::Uint(number) => format!("the number {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Text(text) if text.chars().count() <= SHOWN => format!("the text {text:?}"),
        Value::Text(text) => format!("the text {:?}...", text.chars().take(SHOWN).collect::<String>()),
        Value::Other(what) => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_is_allowed_and_narrowing_is_not() {
        let check = |data_type, value, expect: Option<f64>| assert_eq!(number(data_type, value), expect, "{value:?}");
        check(DataType::Double, Value::Int(3), Some(3.0));
        check(DataType::Double, Value::Float(0.5), Some(0.5));
        check(DataType::Double, Value::Bool(true), None);
        check(DataType::Double, Value::Text("3"), None);
        check(DataType::Long, Value::Float(3.0), Some(3.0));
        check(DataType::Long, Value::Float(3.5), None);
        check(DataType::Long, Value::Float(f64::NAN), None);
        check(DataType::Long, Value::Uint(u64::MAX), None);
        check(DataType::Integer, Value::Int(2_147_483_647), Some(2_147_483_647.0));
        check(DataType::Integer, Value::Int(2_147_483_648), None);
        check(DataType::Float, Value::Float(1e300), None);
        check(DataType::Float, Value::Float(1e30), Some(1e30));
        check(DataType::Boolean, Value::Bool(true), Some(1.0));
        check(DataType::Boolean, Value::Int(1), None);
        check(DataType::Datetime, Value::Text("1970-01-01T00:00:01Z"), Some(1e6));
        check(DataType::Datetime, Value::Text("soon"), None);
        check(DataType::Double, Value::Other("a list"), None);
    }

    #[test]
    fn long_texts_are_cut_in_messages() {
        assert_eq!(describe(Value::Text("ab\"c")), "the text \"ab\\\"c\"");
        assert!(describe(Value::Text(&"x".repeat(10_000))).len() < 60);
    }
}
