//! The shape of a Rust file: it says what it is, and neither it nor a function in it is too long.
//!
//! Functions are measured on text that rustfmt has laid out: the closing brace stands under the word that opened.

/// The longest file and the longest function outside of tests.
const FILE_LINES: usize = 800;
const FUNCTION_LINES: usize = 100;

/// Findings about one file. `path` is relative to the checkout.
pub(crate) fn check(path: &str, content: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !has_module_doc(content) {
        findings.push(format!("{path}: begins without `//!`: say what the module is, and what it is not"));
    }
    let in_tests = path.split('/').any(|part| part == "tests" || part == "benches");
    if in_tests {
        return findings;
    }
    let lines: Vec<&str> = content.lines().collect();
    let own = lines.iter().position(|line| *line == "#[cfg(test)]").unwrap_or(lines.len());
    let code = &lines[..own];
    if code.len() > FILE_LINES {
        findings.push(format!("{path}: {} lines, {FILE_LINES} at most: split it by noun", code.len()));
    }
    for (name, start, length) in functions(code) {
        if length > FUNCTION_LINES {
            findings.push(format!("{path}:{start}: fn {name} has {length} lines, {FUNCTION_LINES} at most"));
        }
    }
    findings
}

fn has_module_doc(content: &str) -> bool {
    let first = content.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    first.is_none_or(|line| line.starts_with("//!"))
}

/// Name, first line (from 1) and number of lines of each function with a body.
fn functions<'a>(code: &[&'a str]) -> Vec<(&'a str, usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in code.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &str| line.strip_prefix(indent).is_some_and(|rest| rest == "}");
        let declared =
            |line: &str| line.ends_with(';') && line.strip_prefix(indent).is_some_and(|rest| !rest.starts_with(' '));
        if line.ends_with('}') || declared(line) {
            continue;
        }
        let rest = &code[start + 1..];
        let Some(last) = rest.iter().position(|line| ends(line) || declared(line)) else { continue };
        if rest.get(last).is_some_and(|line| ends(line)) {
            found.push((name, start + 1, last + 2));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub(") {
        rest = after.split_once(") ")?.1;
    }
    loop {
        let word =
            ["pub ", "const ", "async ", "unsafe ", "extern \"C\" "].iter().find_map(|word| rest.strip_prefix(word));
        match word {
            Some(after) => rest = after,
            None => break,
        }
    }
    let name = rest.strip_prefix("fn ")?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(&name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_is() {
        let check = |content: &str, expect: usize| assert_eq!(check("a/src/b.rs", content).len(), expect, "{content}");
        check("//! Runs.\n", 0);
        check("#![forbid(unsafe_code)]\n//! Runs.\n", 0);
        check("", 0);
        check("use std::fs;\n", 1);
        check("// Runs.\n", 1);
    }

    #[test]
    fn functions_are_measured_where_they_are() {
        let code = "\
pub(crate) async fn first(
    a: i64,
) -> i64 {
    a
}
trait T {
    fn declared(&self) -> i64;
    fn wide(
        &self,
    ) -> i64;
    const fn given(&self) -> i64 {
        if true {
            1
        }
    }
}
fn short() {}";
        let lines: Vec<&str> = code.lines().collect();
        assert_eq!(functions(&lines), [("first", 1, 5), ("given", 11, 5)]);
    }

    #[test]
    fn long_functions_and_files_are_found() {
        let long = format!("//! Doc.\nfn long() {{\n{}}}\n", "    step();\n".repeat(99));
        assert_eq!(check("a/src/b.rs", &long), ["a/src/b.rs:2: fn long has 101 lines, 100 at most"]);
        assert!(check("a/tests/it/b.rs", &long).is_empty());
        let in_test_module = format!("//! Doc.\n#[cfg(test)]\n{long}");
        assert!(check("a/src/b.rs", &in_test_module).is_empty());
        let file = format!("//! Doc.\n{}", "// line\n".repeat(800));
        assert_eq!(check("a/src/b.rs", &file), ["a/src/b.rs: 801 lines, 800 at most: split it by noun"]);
    }
}
