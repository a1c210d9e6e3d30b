//! What the house promises about its own shape, held by a test: which crate may know which, where heavy dependencies live, how
//! long files and functions are, and that every module says what it is.

mod floors;
mod source;
mod text;

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::process;

/// Everything that is not tidy, one finding a line; empty when all is well.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let metadata = serde_json::from_str(&process::output(&mut cargo)?).context("cargo metadata cannot be read")?;
    let mut findings = floors::check(&metadata);

    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    findings.extend(floors::one_arrow(&lock));

    let mut git = Command::new("git");
    let tracked = process::output(git.current_dir(root).args(["ls-files", "-z"]))?;
    for path in tracked.split('\0').filter(|path| !path.is_empty()) {
        // Deleted but not committed yet, or no text: nothing to say about it.
        let Ok(content) = std::fs::read_to_string(root.join(path)) else { continue };
        findings.extend(text::check(path, &content));
        if Path::new(path).extension().is_some_and(|extension| extension == "rs") {
            findings.extend(source::check(path, &content));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let findings = check(root).unwrap();
        assert!(findings.is_empty(), "{} things are not tidy:\n{}", findings.len(), findings.join("\n"));
    }
}
