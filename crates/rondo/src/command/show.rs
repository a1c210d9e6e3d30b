//! How values of the API are written for people.

use serde_json::Value;

/// Text as it is, numbers short, nothing as a dash.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.4}"),
            _ => number.to_string(),
        },
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key}={}", cell(value))).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Microseconds since the epoch as a short UTC time.
pub(crate) fn time(value: &Value) -> String {
    value.as_i64().filter(|at| *at > 0).map_or_else(
        || "-".to_owned(),
        |at| kernel::clock::rfc3339(at).chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect(),
    )
}

/// The rows of a listing: the named fields of each object; a name ending in `_us` is shown as a time.
pub(crate) fn rows(items: &Value, fields: &[&str]) -> Vec<Vec<String>> {
    let one = |item: &Value| {
        fields
            .iter()
            .map(|field| if field.ends_with("_us") { time(&item[*field]) } else { cell(&item[*field]) })
            .collect()
    };
    items.as_array().map(|items| items.iter().map(one).collect()).unwrap_or_default()
}

/// The headings of such rows.
pub(crate) fn headings<'a>(fields: &[&'a str]) -> Vec<&'a str> {
    fields.iter().map(|field| field.trim_end_matches("_us")).collect()
}
