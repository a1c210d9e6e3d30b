//! Names of other tools as names that MLflow's rules take.

use crate::mlflow::{Pair, Point};

/// The longest key, characters; the longest param value.
const MAX_KEY: usize = 250;
const MAX_VALUE: usize = 6_000;

/// A name whose characters and path MLflow takes: letters, digits, `_-. :/`.
pub(crate) fn key(name: &str) -> String {
    let allowed = |c: char| if c.is_alphanumeric() || "_-. :/".contains(c) { c } else { '_' };
    let clean: String = name.chars().take(MAX_KEY).map(allowed).collect();
    let parts: Vec<&str> = clean.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
    if parts.is_empty() { "_".to_owned() } else { parts.join("/") }
}

/// A param or tag.
pub(crate) fn pair(name: &str, value: impl Into<String>) -> Pair {
    let value: String = value.into();
    Pair { key: key(name), value: value.chars().take(MAX_VALUE).collect() }
}

/// An id that is the same whenever the same thing is read: 32 hexadecimal digits.
pub(crate) fn run_id(of: &[&str]) -> String {
    let mut hash = blake3::Hasher::new();
    for part in of {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    hash.finalize().to_hex().chars().take(32).collect()
}

/// The latest point of each metric, by key.
pub(crate) fn latest(points: &[Point]) -> Vec<Point> {
    let mut found = std::collections::BTreeMap::new();
    for point in points {
        let kept = match found.remove(&point.key) {
            Some(kept) => crate::mlflow::later(kept, point.clone()),
            None => point.clone(),
        };
        found.insert(point.key.clone(), kept);
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_one_that_is_taken() {
        let check = |name: &str, expect: &str| assert_eq!(key(name), expect);
        check("loss/train", "loss/train");
        check("/a//b/../c", "a/b/c");
        check("p(95)%", "p_95__");
        check("", "_");
    }
}
