//! Numbers as MLflow's JSON has them: NaN and the infinities are text.

use serde::{Deserialize, Deserializer, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Number(f64),
    Text(String),
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    match Either::deserialize(input)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no number"))),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn serialize<S: Serializer>(value: &f64, output: S) -> Result<S::Ok, S::Error> {
    match value {
        value if value.is_nan() => output.serialize_str("NaN"),
        value if value.is_infinite() => output.serialize_str(if *value > 0.0 { "Infinity" } else { "-Infinity" }),
        value => output.serialize_f64(*value),
    }
}

/// As Python and protobuf write them: `nan`, `inf`, `Infinity`, `1e-3`.
pub(crate) fn parse(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}
