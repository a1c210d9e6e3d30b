//! YAML as JSON: mappings, sequences and plain scalars by the core schema. Aliases and tags are refused.

use anyhow::bail;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

const MAX_DEPTH: usize = 32;

/// Reads one document.
pub(super) fn read(text: &str) -> anyhow::Result<Value> {
    let mut parser = Parser::new_from_str(text);
    // What is open: a list, or a mapping with the key that waits for its value.
    let mut open: Vec<Open> = Vec::new();
    let mut document = None;
    while let Some(event) = parser.next_event() {
        let (event, span) = event?;
        let line = span.start.line();
        let value = match event {
            Event::MappingStart(_, None) => {
                open.push(Open::Mapping(Map::new(), None));
                None
            }
            Event::SequenceStart(_, None) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::Scalar(text, style, _, None) => Some(scalar(&text, style)),
            Event::MappingEnd | Event::SequenceEnd => open.pop().map(Open::close),
            Event::Alias(_) => bail!("line {line}: aliases are not read"),
            Event::MappingStart(..) | Event::SequenceStart(..) | Event::Scalar(..) => {
                bail!("line {line}: tags are not read")
            }
            _ => None,
        };
        if open.len() > MAX_DEPTH {
            bail!("line {line}: it is nested too deeply");
        }
        let Some(value) = value else { continue };
        match open.last_mut() {
            None if document.is_some() => bail!("line {line}: there is a second document"),
            None => document = Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Mapping(map, waiting)) => match waiting.take() {
                Some(key) => {
                    if map.insert(key.clone(), value).is_some() {
                        bail!("line {line}: `{key}` is there twice");
                    }
                }
                None => match value {
                    Value::String(key) => *waiting = Some(key),
                    other => *waiting = Some(other.to_string()),
                },
            },
        }
    }
    Ok(document.unwrap_or_default())
}

enum Open {
    List(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

impl Open {
    fn close(self) -> Value {
        match self {
            Self::List(items) => Value::Array(items),
            Self::Mapping(map, _) => Value::Object(map),
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::from(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Value::from(whole);
    }
    // Words that Rust reads as numbers (inf, nan) are words here.
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    let number = text.parse::<f64>().ok().filter(|number| is_number && number.is_finite());
    number.map_or_else(|| Value::from(text), Value::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_is_read() {
        let text = "name: a\nbudget:\n  trials: 5\nspace:\n  lr: {type: loguniform, low: 1e-5, high: .1}\n  kind:\n    type: choice\n    values: [tree, 'true', yes, true, 3, -2.5, ~]\n";
        let expect = json!({
            "name": "a", "budget": {"trials": 5},
            "space": {
                "lr": {"type": "loguniform", "low": 1e-5, "high": 0.1},
                "kind": {"type": "choice", "values": ["tree", "true", "yes", true, 3, -2.5, null]},
            },
        });
        assert_eq!(read(text).unwrap(), expect);
        assert_eq!(read("").unwrap(), Value::Null);
    }

    #[test]
    fn what_is_more_than_a_document_is_refused() {
        let check = |text: &str, expect: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("a: &x 1\nb: *x\n", "aliases are not read");
        check("a: !!python/object:os.system {}\n", "tags are not read");
        check("a: 1\na: 2\n", "`a` is there twice");
        check("--- 1\n--- 2\n", "second document");
        check(&"[".repeat(40), "nested too deeply");
    }
}
