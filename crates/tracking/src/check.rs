//! What names, keys and values may be: MLflow's rules and its words for breaking them.

use crate::{Error, Pair};

pub(crate) const MAX_KEY: usize = 250;
pub(crate) const MAX_PARAM_VALUE: usize = 6_000;
pub(crate) const MAX_TAG_VALUE: usize = 8_000;
const MAX_EXPERIMENT_NAME: usize = 500;
const MAX_EXPERIMENT_TAG_VALUE: usize = 20_000;
/// The most that one page of a search holds.
const MAX_RESULTS: i64 = 50_000;
/// The most experiments of one search; SQLite takes 32,766 values in one statement.
const MAX_EXPERIMENTS: usize = 30_000;

/// A key that could be a file name: plain characters, and the same path after `.` and `..` are resolved.
pub(crate) fn key(key: &str, path: impl Fn() -> String) -> Result<(), Error> {
    // Most keys: no path at all.
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ' | b':' | b'.');
    if !key.is_empty() && !key.starts_with('.') && key.bytes().all(simple) {
        return Ok(());
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | ' ' | ':');
    let reason = if !key.chars().all(plain) {
        "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
            .to_owned()
    } else if let Some(other) = other_path(key) {
        format!(
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. \
             This name would resolve to '{other}'"
        )
    } else {
        return Ok(());
    };
    Err(Error::Value { path: path(), value: json(key), reason })
}

/// A text as JSON, for messages.
pub(crate) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The path that a name would resolve to, if that is not the name itself or leads out.
fn other_path(name: &str) -> Option<String> {
    let resolved = resolved_path(name);
    let other = resolved != name || resolved == "." || resolved.starts_with("..") || resolved.starts_with('/');
    other.then_some(resolved)
}

/// As Python's `posixpath.normpath`.
fn resolved_path(name: &str) -> String {
    let root = match name {
        _ if name.starts_with("//") && !name.starts_with("///") => "//",
        _ if name.starts_with('/') => "/",
        _ => "",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." if !root.is_empty() && parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let joined = format!("{root}{}", parts.join("/"));
    if joined.is_empty() { ".".to_owned() } else { joined }
}

/// No longer than this many characters.
pub(crate) fn length(text: &str, limit: usize, path: impl Fn() -> String) -> Result<(), Error> {
    // Bytes are cheap to count, and a text has at most as many characters.
    if text.len() > limit && text.chars().nth(limit).is_some() {
        return Err(Error::TooLong { path: path(), limit });
    }
    Ok(())
}

/// The first so many characters.
pub(crate) fn truncated(mut text: String, limit: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(limit) {
        text.truncate(end);
    }
    text
}

/// A param: its key is checked, its value cut.
pub(crate) fn param(param: Pair, path: impl Fn(&str) -> String) -> Result<Pair, Error> {
    key(&param.key, || path("key"))?;
    length(&param.key, MAX_KEY, || "Param key".to_owned())?;
    Ok(Pair { key: param.key, value: truncated(param.value, MAX_PARAM_VALUE) })
}

/// A run's tag: its key is checked, its value cut.
pub(crate) fn tag(tag: Pair, path: impl Fn(&str) -> String) -> Result<Pair, Error> {
    key(&tag.key, || path("key"))?;
    length(&tag.key, MAX_KEY, || path("key"))?;
    Ok(Pair { key: tag.key, value: truncated(tag.value, MAX_TAG_VALUE) })
}

/// An experiment's tag; nothing is cut.
pub(crate) fn experiment_tag(tag: &Pair) -> Result<(), Error> {
    key(&tag.key, || "key".to_owned())?;
    length(&tag.key, MAX_KEY, || "key".to_owned())?;
    length(&tag.value, MAX_EXPERIMENT_TAG_VALUE, || "value".to_owned())
}

/// An experiment's name.
pub(crate) fn experiment_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid("name", format!("Invalid experiment name: '{name}'")));
    }
    length(name, MAX_EXPERIMENT_NAME, || "name".to_owned())
}

/// The number behind an experiment's id.
pub(crate) fn experiment_id(id: &str) -> Result<i64, Error> {
    id.trim().parse().map_err(|_| {
        let message = format!("Invalid experiment ID '{id}'. Experiment ID must be a valid integer.");
        Error::invalid("experiment_id", message)
    })
}

/// The numbers behind the ids of experiments to search in.
pub(crate) fn experiment_ids(ids: &[String]) -> Result<Vec<i64>, Error> {
    if ids.len() > MAX_EXPERIMENTS {
        let message = format!("A search can cover at most {MAX_EXPERIMENTS} experiments. Got {}.", ids.len());
        return Err(Error::invalid("experiment_ids", message));
    }
    ids.iter().map(|id| experiment_id(id)).collect()
}

/// A run's id: a letter or digit, then up to 255 word characters or dashes.
pub(crate) fn run_id(id: &str) -> Result<(), Error> {
    let mut chars = id.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && chars.clone().count() <= 255 && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        return Ok(());
    }
    let message = format!("Invalid value {} for parameter 'run_id' supplied.", json(id));
    Err(Error::invalid("run_id", message))
}

/// A logged model's name.
pub(crate) fn model_name(name: &str) -> Result<(), Error> {
    if !name.is_empty() && !name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Ok(());
    }
    let message = format!(
        "Invalid model name ({}) provided. Model name must be a non-empty string and cannot contain the following \
         characters: ('/', ':', '.', '%', '\"', \"'\")",
        python_repr(name)
    );
    Err(Error::invalid("name", message))
}

/// The size of a page.
pub(crate) fn max_results(value: i64) -> Result<i64, Error> {
    let reason = match value {
        1..=MAX_RESULTS => return Ok(value),
        ..1 => "It must be a positive integer".to_owned(),
        _ => format!("It must be at most {MAX_RESULTS}"),
    };
    let message = format!("Invalid value {value} for parameter 'max_results' supplied. {reason}");
    Err(Error::invalid("max_results", message))
}

/// A text as Python's `repr` shows it.
pub(crate) fn python_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\\' => shown.push_str("\\\\"),
            _ if c == quote => shown.extend(['\\', c]),
            _ => shown.push(c),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names_that_stay_what_they_are() {
        for good in ["mae", "val/mae", "a.b-c_d e:f", "été", "..a/b"] {
            assert_eq!(key(good, || "name".to_owned()).is_ok(), !good.starts_with(".."), "{good}");
        }
        let check = |bad: &str, expect: &str| {
            let error = key(bad, || "metrics[3].name".to_owned()).expect_err(bad).to_string();
            assert!(error.starts_with("Invalid value ") && error.contains("metrics[3].name"), "{error}");
            assert!(error.contains(expect), "{error}");
        };
        check("a//b", "would resolve to 'a/b'");
        check("", "would resolve to '.'");
        check(".", "would resolve to '.'");
        check("/a", "would resolve to '/a'");
        check("../a", "would resolve to '../a'");
        check("a/../b", "would resolve to 'b'");
        check("a/", "would resolve to 'a'");
        check("a?b", "Names may only contain");
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(length("ééé", 3, || "key".to_owned()).is_ok());
        assert!(length("éééé", 3, || "key".to_owned()).is_err());
        assert_eq!(truncated("éàü".to_owned(), 2), "éà");
    }

    #[test]
    fn texts_are_shown_as_python_shows_them() {
        let check = |text: &str, expect: &str| assert_eq!(python_repr(text), expect);
        check("a", "'a'");
        check("it's", "\"it's\"");
        check("'\"", "'\\'\"'");
        check("a\nb\\", "'a\\nb\\\\'");
    }
}
