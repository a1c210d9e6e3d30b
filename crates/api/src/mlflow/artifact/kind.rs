//! What a browser is told of a file: its type and its name.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What MLflow shows as text, whatever its own type is.
const TEXT: [&str; 26] = [
    "txt",
    "log",
    "err",
    "cfg",
    "conf",
    "cnf",
    "cf",
    "ini",
    "properties",
    "prop",
    "hocon",
    "toml",
    "yaml",
    "yml",
    "xml",
    "json",
    "js",
    "py",
    "py3",
    "csv",
    "tsv",
    "md",
    "rst",
    "ipynb",
    "MLmodel",
    "MLproject",
];

/// The types of other files that people log.
const OTHERS: [(&str, &str); 16] = [
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("svg", "image/svg+xml"),
    ("webp", "image/webp"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("tar", "application/x-tar"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/x-wav"),
    ("mp4", "video/mp4"),
    ("wasm", "application/wasm"),
];

/// The type by the name's extension, or by the whole name if it has none.
pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or(name, |(_, extension)| extension);
    if TEXT.contains(&extension) {
        return "text/plain";
    }
    let known = OTHERS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known));
    known.map_or("application/octet-stream", |(_, content_type)| content_type)
}

/// What RFC 8187 lets stand as it is.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `attachment` with the name in both forms of RFC 6266: one for all, one exact.
pub(super) fn disposition(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%') { c } else { '_' }).collect();
    let exact = utf8_percent_encode(name, ATTRIBUTE);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_that_mlflow_gives() {
        let check = |name: &str, expect: &str| assert_eq!(content_type(name), expect, "{name}");
        check("MLmodel", "text/plain");
        check("a.json", "text/plain");
        check("a.html", "text/html");
        check("a.PNG", "image/png");
        check("model.pkl", "application/octet-stream");
        check("noextension", "application/octet-stream");
    }

    #[test]
    fn no_name_breaks_out_of_its_header() {
        let check = |name: &str, expect: &str| assert_eq!(disposition(name), expect);
        check("a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt");
        check("a \"b\".txt", "attachment; filename=\"a _b_.txt\"; filename*=UTF-8''a%20%22b%22.txt");
        check("grün;x", "attachment; filename=\"gr_n;x\"; filename*=UTF-8''gr%C3%BCn%3Bx");
    }
}
