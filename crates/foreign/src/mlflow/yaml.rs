//! The flat YAML of MLflow's `meta.yaml`: a mapping of scalars, some of them mappings of scalars. Aliases and depth are refused.

use std::collections::BTreeMap;
use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::{Error, Result};

/// MLflow writes some hundred bytes; a dataset's profile may have megabytes.
const MAX_LENGTH: u64 = 32 << 20;

/// A mapping.
#[derive(Debug, Default)]
pub(crate) struct Yaml {
    scalars: BTreeMap<String, String>,
    mappings: BTreeMap<String, BTreeMap<String, String>>,
}

impl Yaml {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(crate::error::at(path))?.len();
        if size > MAX_LENGTH {
            return Err(Error::damaged(path, format!("it is longer than {MAX_LENGTH} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(crate::error::at(path))?;
        parse(&text).map_err(|reason| Error::damaged(path, reason))
    }

    /// A scalar that is not null.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.scalars.get(key).map(String::as_str)
    }

    /// The same as an owned text; empty if there is none.
    pub(crate) fn owned(&self, key: &str) -> String {
        self.text(key).unwrap_or_default().to_owned()
    }

    /// A whole number.
    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        self.text(key)?.parse().ok()
    }

    /// A mapping.
    pub(crate) fn mapping(&self, key: &str) -> impl Iterator<Item = (&String, &String)> {
        self.mappings.get(key).into_iter().flatten()
    }
}

fn parse(text: &str) -> Result<Yaml, String> {
    let mut parser = Parser::new_from_str(text);
    let mut yaml = Yaml::default();
    // The keys that lead to where we are; a key waits for its value.
    let mut depth = 0_usize;
    let mut outer: Option<String> = None;
    let mut inner: Option<String> = None;
    while let Some(event) = parser.next_event() {
        let (event, _) = event.map_err(|error| error.to_string())?;
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
            Event::MappingEnd | Event::SequenceEnd => {
                depth = depth.saturating_sub(1);
                inner = None;
                if depth <= 1 {
                    outer = None;
                }
            }
            Event::Alias(_) => return Err("aliases are not read".to_owned()),
            Event::Scalar(text, style, ..) => match depth {
                1 => match outer.take() {
                    None => outer = Some(text.into_owned()),
                    Some(key) => {
                        if !is_null(&text, style) {
                            yaml.scalars.insert(key, text.into_owned());
                        }
                    }
                },
                2 => match (&outer, inner.take()) {
                    (Some(_), None) => inner = Some(text.into_owned()),
                    (Some(outer), Some(key)) => {
                        yaml.mappings.entry(outer.clone()).or_default().insert(key, text.into_owned());
                    }
                    (None, _) => {}
                },
                0 => return Err("it is not a mapping".to_owned()),
                _ => {}
            },
            _ => {}
        }
    }
    Ok(yaml)
}

fn is_null(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(text, "null" | "~" | "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mlflow_writes_is_read() {
        let text = "aliases:\n  champion: '1'\ndescription: null\nname: reg\nsource: '{\"tags\":\n  \"LOCAL\"}'\ntags: []\nempty: ''\nend_time: 17\n";
        let yaml = parse(text).unwrap();
        assert_eq!(yaml.text("name"), Some("reg"));
        assert_eq!(yaml.text("source"), Some("{\"tags\": \"LOCAL\"}"));
        assert_eq!((yaml.text("description"), yaml.text("empty")), (None, Some("")));
        assert_eq!((yaml.integer("end_time"), yaml.integer("name")), (Some(17), None));
        assert_eq!(yaml.mapping("aliases").collect::<Vec<_>>(), [(&"champion".to_owned(), &"1".to_owned())]);
        assert!(parse("a: &x [1]\nb: *x").is_err());
        assert!(parse("just text").is_err());
    }
}
