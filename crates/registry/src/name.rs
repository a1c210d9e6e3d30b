//! The rules for names, as MLflow has them.

use crate::{Error, Result};

const MAX_NAME: usize = 256;
const MAX_ALIAS: usize = 255;

/// The text for a value that is required and not there.
fn missing(field: &'static str) -> Error {
    let message = format!(
        "Missing value for required parameter '{field}'. See the API docs for more information about request parameters."
    );
    Error::invalid(field, message)
}

/// A model's name: not blank, no `/` or `:`, no path step.
pub(crate) fn model(field: &'static str, name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(missing(field));
    }
    if name.contains(['/', ':']) {
        return Err(Error::invalid(field, format!("Invalid model name '{name}'. Names cannot contain '/' or ':'.")));
    }
    if name == "." || name == ".." {
        return Err(Error::invalid(field, format!("Invalid model name '{name}'. Names cannot be a step of a path.")));
    }
    if name.contains(char::is_control) {
        return Err(Error::invalid(field, "Invalid model name. Names cannot contain control characters."));
    }
    if name.chars().count() > MAX_NAME {
        return Err(Error::invalid(field, format!("Invalid model name: longer than {MAX_NAME} characters.")));
    }
    Ok(())
}

/// A version number.
pub(crate) fn version(text: &str) -> Result<i64> {
    text.trim().parse().map_err(|_| {
        let message = format!("Parameter 'version' must be an integer, got '{text}'.");
        Error::invalid("version", message)
    })
}

/// An alias that is asked for.
pub(crate) fn alias(alias: &str) -> Result<()> {
    if alias.is_empty() {
        return Err(Error::invalid("alias", "Registered model alias name cannot be empty."));
    }
    if !alias.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
        let message = format!(
            "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_) and dashes (-)."
        );
        return Err(Error::invalid("alias", message));
    }
    if alias.chars().count() > MAX_ALIAS {
        let message = format!("Registered model alias name is too long: at most {MAX_ALIAS} characters.");
        return Err(Error::invalid("alias", message));
    }
    Ok(())
}

/// An alias that is to be set: not one that means a version by itself.
pub(crate) fn new_alias(text: &str) -> Result<()> {
    alias(text)?;
    if text.eq_ignore_ascii_case("latest") {
        return Err(Error::invalid("alias", "'latest' alias name (case insensitive) is reserved."));
    }
    let digits = text.strip_prefix(['v', 'V']).unwrap_or_default();
    if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()) {
        return Err(Error::invalid("alias", format!("Version alias name '{text}' is reserved.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models() {
        for good in ["m", "visit-reranker", "with space", "a.b", "Überfall", "%2e%2e", "a\\b"] {
            assert!(model("name", good).is_ok(), "{good}");
        }
        for bad in ["", "  ", "a/b", "a:b", "..", ".", "a\nb", "a\0", &"x".repeat(257)] {
            assert!(model("name", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_aliases() {
        for good in ["champion", "a-b_c", "v1a", "v", "1"] {
            assert!(new_alias(good).is_ok(), "{good}");
        }
        for bad in ["", "latest", "LATEST", "v1", "V22", "a b", "a.b", "@a", &"x".repeat(256)] {
            assert!(new_alias(bad).is_err(), "{bad:?}");
        }
        assert!(alias("latest").is_ok());
    }

    #[test]
    fn numbers_of_versions() {
        assert_eq!(version("7").unwrap(), 7);
        for bad in ["", "x", "1.0", "99999999999999999999"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
