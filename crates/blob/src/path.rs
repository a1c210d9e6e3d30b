//! The only way from text that a user sent to the name of a file.

use std::fmt;

use kernel::error::{Classified, Kind};
use percent_encoding::percent_decode_str;

/// Longest path in bytes.
const MAX_PATH: usize = 2_048;
/// Longest segment in bytes, which is what file systems allow.
const MAX_SEGMENT: usize = 255;
/// Where uploads wait until they are complete; no file of a user is called so.
pub(crate) const INCOMING: &str = ".incoming";

/// A relative path of plain segments, joined by single slashes. However often it is percent-decoded, no segment of it is `.`
/// or `..` and it does not become absolute; the text itself is kept as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(String);

/// Why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing in it.
    #[error("the path is empty")]
    Empty,
    /// A slash in front, behind, or two in a row; a drive letter.
    #[error("the path must be relative, with single slashes between its segments")]
    NotRelative,
    /// A `.` or `..`.
    #[error("the path must not contain \".\" or \"..\" as a segment")]
    Traversal,
    /// A character that no name may contain.
    #[error("the path must not contain a backslash, '#' or control characters")]
    Character,
    /// Longer than any file system takes.
    #[error("the path is too long: at most {MAX_PATH} bytes, and {MAX_SEGMENT} in a segment")]
    TooLong,
    /// A name we keep for ourselves.
    #[error("the name \"{INCOMING}\" is reserved")]
    Reserved,
    /// Not of the scheme `mlflow-artifacts`.
    #[error("not an artifact location: expected mlflow-artifacts:/PATH")]
    NotArtifact,
}

impl Classified for PathError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn field(&self) -> Option<&str> {
        Some("path")
    }
}

impl SafePath {
    /// Reads a path. It is judged as it stands and after each further round of percent-decoding, until nothing changes.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        let mut form = text.as_bytes().to_vec();
        loop {
            judge(&form)?;
            let decoded: Vec<u8> = percent_encoding::percent_decode(&form).collect();
            if decoded == form {
                return Ok(Self(text.to_owned()));
            }
            form = decoded;
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A path below this one.
    pub fn join(&self, more: &str) -> Result<Self, PathError> {
        let more = Self::parse(more)?;
        Self::parse(&format!("{}/{}", self.0, more.0))
    }

    /// The last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes, since a decoded form need not be UTF-8 any more.
fn judge(path: &[u8]) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.iter().any(|byte| matches!(byte, b'\\' | b'#' | 0x00..=0x1f | 0x7f)) {
        return Err(PathError::Character);
    }
    if matches!(path, [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(PathError::NotRelative);
    }
    for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
        match segment {
            b"" => return Err(PathError::NotRelative),
            b"." | b".." => return Err(PathError::Traversal),
            _ if segment.len() > MAX_SEGMENT => return Err(PathError::TooLong),
            _ if index == 0 && segment == INCOMING.as_bytes() => return Err(PathError::Reserved),
            _ => {}
        }
    }
    Ok(())
}

/// Where the files of an artifact location are: `mlflow-artifacts:/0/RUN/artifacts` (also with a host, `mlflow-artifacts://h/0/..`)
/// is the directory `artifacts/0/RUN/artifacts` of the store.
pub fn artifact_path(uri: &str) -> Result<SafePath, PathError> {
    let rest = uri.strip_prefix("mlflow-artifacts:").ok_or(PathError::NotArtifact)?;
    if rest.contains(['?', '#']) {
        return Err(PathError::Character);
    }
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_host, path)| path),
        None => rest.strip_prefix('/').unwrap_or(rest),
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    // A location is a URI: one round of encoding belongs to it.
    let path = percent_decode_str(path).decode_utf8().map_err(|_| PathError::Character)?;
    SafePath::parse(&format!("artifacts/{}", SafePath::parse(&path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused_in_every_disguise() {
        let check = |text: &str, expect: PathError| assert_eq!(SafePath::parse(text), Err(expect), "{text:?}");
        check("", PathError::Empty);
        for text in [
            "..",
            "../x",
            "a/../b",
            "a/..",
            "../../../../../../../../../../../../../../etc/passwd",
            "..%2f..%2fetc%2fpasswd",
            "%2e%2e/x",
            "%2E%2E%2Fx",
            ".%2e/x",
            "%252e%252e%252fx",
            "%25252e%25252e/x",
            "a/%2e%2e/%2e%2e/b",
            ".",
            "./a",
            "a/./b",
            "a/.",
            "a/%2e",
        ] {
            check(text, PathError::Traversal);
        }
        for text in [
            "/etc/passwd",
            "//proc/self/root",
            "%2fetc/passwd",
            "%252fetc/passwd",
            "a//b",
            "a%2f%2fb",
            "a/",
            "a%2f",
            "file:///etc/passwd",
            "http://h/x",
            "C:/Windows",
            "c:x",
            "%43:/Windows",
            "C%3a/x",
        ] {
            check(text, PathError::NotRelative);
        }
        for text in [
            "..\\x",
            "a\\..\\b",
            "\\\\host\\share",
            "a%5c..%5cb",
            "a%255cb",
            "a\0b",
            "a%00b",
            "a%2500.txt",
            "a\nb",
            "a\u{7f}b",
            "a#b",
            "http:#/../../etc",
            "a%23b",
            "a%2523/../../b",
        ] {
            assert!(SafePath::parse(text).is_err(), "{text:?}");
        }
        check("a\\b", PathError::Character);
        check("a%23b", PathError::Character);
        check(&"x".repeat(256), PathError::TooLong);
        check(&"x/".repeat(1_100), PathError::TooLong);
        check(".incoming/x", PathError::Reserved);
        check("%2eincoming/x", PathError::Reserved);
    }

    #[test]
    fn ordinary_and_unusual_names_stay_as_they_are() {
        for text in [
            "a",
            "0/3f2a/artifacts/model/MLmodel",
            "with space.txt",
            "100%.txt",
            "100%25",
            "a%20b",
            "x?y",
            "a;b=c",
            "a&b",
            "ab:c",
            "~root",
            "...",
            "..a",
            "a..",
            ".hidden",
            "grüße/日本語.bin",
            "\u{2024}\u{2024}/one dot leaders",
            "\u{ff0e}\u{ff0e}/full width dots",
            "a\u{2215}b",
            "a\u{ff3c}b",
            "%c0%ae%c0%ae/overlong",
            "a/.incoming/b",
        ] {
            assert_eq!(SafePath::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(SafePath::parse("a/b/c.txt").unwrap().name(), "c.txt");
        assert_eq!(SafePath::parse("a").unwrap().name(), "a");
    }

    #[test]
    fn a_join_is_judged_as_a_whole() {
        let base = SafePath::parse("artifacts/0").unwrap();
        assert_eq!(base.join("m/a.txt").unwrap().as_str(), "artifacts/0/m/a.txt");
        assert_eq!(base.join("../1"), Err(PathError::Traversal));
        assert_eq!(base.join("/etc"), Err(PathError::NotRelative));
        assert_eq!(base.join("C:x"), Err(PathError::NotRelative));
        // two halves that only together decode to something
        assert!(SafePath::parse("a/%2").unwrap().join("e").is_ok());
    }

    #[test]
    fn an_artifact_location_names_a_directory_of_the_store() {
        let check = |uri: &str, expect: Result<&str, PathError>| {
            assert_eq!(artifact_path(uri).as_ref().map(SafePath::as_str).map_err(|error| *error), expect, "{uri}");
        };
        check("mlflow-artifacts:/0/abc/artifacts", Ok("artifacts/0/abc/artifacts"));
        check("mlflow-artifacts:/0/abc/artifacts/", Ok("artifacts/0/abc/artifacts"));
        check("mlflow-artifacts://host:5000/0/abc", Ok("artifacts/0/abc"));
        check("mlflow-artifacts:///0/abc", Ok("artifacts/0/abc"));
        check("mlflow-artifacts:/a%20b", Ok("artifacts/a b"));
        check("mlflow-artifacts:/../x", Err(PathError::Traversal));
        check("mlflow-artifacts:/%252e%252e/x", Err(PathError::Traversal));
        check("mlflow-artifacts:/a?b", Err(PathError::Character));
        check("mlflow-artifacts:/a#/../b", Err(PathError::Character));
        check("mlflow-artifacts:/", Err(PathError::Empty));
        check("mlflow-artifacts://../../etc", Err(PathError::Traversal));
        check("file:///etc/passwd", Err(PathError::NotArtifact));
        check("s3://bucket/x", Err(PathError::NotArtifact));
    }
}
