//! Every statement of every layer, prepared on both engines: names of tables and columns, types and grammar are right before anybody
//! runs it.
//!
//! Statements are found in the source: string literals that begin like one. What is put together at run time (`db::Sql`) is not whole
//! in the source; the suites of the layers run it on both engines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Whose statements are for databases that are not ours, or for one engine alone.
const ELSEWHERE: [&str; 4] = ["foreign/src", "db/src/engine", "db/src/copy", "testkit/src"];
const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
/// How the beginning of a statement ends that is handed on to be pushed.
const GOES_ON: [&str; 3] = [" IN", "=", "("];
/// What only PostgreSQL knows.
const POSTGRES_ONLY: &str = "FOR KEY SHARE";

/// A string literal: where it is, its value, and the code before it.
struct Literal<'a> {
    line: usize,
    value: String,
    before: &'a str,
}

/// The literals of a source file up to its unit tests.
fn literals(source: &str) -> Vec<Literal<'_>> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let bytes = source.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let rest = &source[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") || rest.starts_with("'\\\"'") {
            at += rest.find("\"'").unwrap() + 2;
        } else if let Some((value, length)) = literal(rest) {
            let line = source[..at].matches('\n').count() + 1;
            found.push(Literal { line, value, before: &source[..at] });
            at += length;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

/// The value of a literal that the text begins with, and its length in the source.
fn literal(text: &str) -> Option<(String, usize)> {
    if let Some(raw) = text.strip_prefix("r#\"") {
        let end = raw.find("\"#")?;
        return Some((raw[..end].to_owned(), end + 5));
    }
    let inner = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, at + 2)),
            '\\' => match chars.next()?.1 {
                // the line goes on where the next text is
                '\n' => while chars.next_if(|(_, next)| next.is_whitespace()).is_some() {},
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

/// The name before the last bracket that the code opens, as in `tx.query(`.
fn called(before: &str) -> &str {
    let before = before.trim_end().strip_suffix('(').unwrap_or_default();
    before.rsplit(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap_or_default()
}

/// The name that a literal is bound to, as in `const SELECT: &str =`.
fn bound(before: &str) -> Option<&str> {
    let before = before.trim_end().strip_suffix('=')?;
    let binding = before.rsplit([';', '{', '}', ')']).next()?.trim();
    let binding = ["pub(super) ", "pub(crate) "].iter().fold(binding, |text, word| text.trim_start_matches(word));
    let name = binding.strip_prefix("const ").or_else(|| binding.strip_prefix("let "))?;
    Some(name.split(':').next()?.trim())
}

fn sources(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every whole statement with the place where it is written.
fn statements() -> Vec<(String, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    files.retain(|file| !ELSEWHERE.iter().any(|part| file.to_string_lossy().contains(part)));
    files.sort();
    let sources: Vec<(PathBuf, String)> =
        files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect();
    // A constant that is pushed somewhere is the beginning of a statement, and one that is not is a whole one.
    let pushed: BTreeSet<&str> = sources
        .iter()
        .flat_map(|(_, text)| text.split("push(").skip(1))
        .map(|rest| rest.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap_or_default())
        .filter(|name| !name.is_empty())
        .collect();
    let mut found = Vec::new();
    for (file, text) in &sources {
        for one in literals(text) {
            let begins = VERBS.iter().any(|verb| one.value.trim_start().starts_with(verb));
            let fragment = called(one.before) == "push" || bound(one.before).is_some_and(|name| pushed.contains(name));
            let several = one.value.contains(';');
            let goes_on = GOES_ON.iter().any(|end| one.value.trim_end().ends_with(end));
            if begins && !goes_on && !fragment && !several {
                let place = file.strip_prefix(crates).unwrap().display();
                found.push((format!("{place}:{}", one.line), one.value));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_statement_is_understood_by_both_engines() {
    let found = statements();
    assert!(found.len() > 250, "only {} statements were found: does the test still see them?", found.len());
    let found = &found;
    testkit::on_both_with(&rondo_conductor::TABLES, |db| async move {
        let mut wrong = Vec::new();
        for (place, text) in found {
            if text.contains(POSTGRES_ONLY) && db.engine() == db::Engine::Sqlite {
                continue;
            }
            let text: &'static str = text.clone().leak();
            if let Err(error) = db.read(move |tx| tx.prepare(text)).await {
                wrong.push(format!("{place}: {error}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), found.len(), wrong.join("\n"));
    })
    .await;
}

#[test]
fn literals_are_read_as_the_compiler_reads_them() {
    let source = "let a = \"SELECT 1 \\\n     FROM t\"; // \"no\"\nlet q = '\"'; tx.query(r#\"SELECT \"b\"\"#, &[])\n#[cfg(test)] \"c\"";
    let found = literals(source);
    let values: Vec<(usize, &str)> = found.iter().map(|one| (one.line, one.value.as_str())).collect();
    assert_eq!(values, [(1, "SELECT 1 FROM t"), (3, "SELECT \"b\"")]);
    assert_eq!((bound(found[0].before), called(found[1].before)), (Some("a"), "query"));
}
