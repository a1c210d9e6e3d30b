//! The one place that writes to the terminal: tables, notes, errors with a hint, JSON for programs.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

/// An error with advice on what to do next.
#[derive(Debug)]
pub(crate) struct Hinted {
    message: String,
    hint: String,
}

impl Display for Hinted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// An error that says what is wrong and what to do.
pub(crate) fn hinted(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Hinted { message: message.into(), hint: hint.into() }.into()
}

/// Writes a line to standard output. A closed pipe ends the program quietly, as `rondo ... | head` should.
pub(crate) fn line(text: impl Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Writes a line to standard error.
pub(crate) fn note(text: impl Display) {
    let _closed = writeln!(std::io::stderr(), "{text}");
}

/// Writes a value as JSON to standard output.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Says what failed, why, and what to do.
pub(crate) fn complain(error: &anyhow::Error) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (red, cyan, off) = if colour { ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
    note(format!("{red}error{off}: {error}"));
    for cause in error.chain().skip(1) {
        note(format!("  because: {cause}"));
    }
    if let Some(hint) = error.chain().find_map(|cause| cause.downcast_ref::<Hinted>()) {
        note(format!("{cyan}hint{off}: {}", hint.hint));
    }
}

/// Whether standard output takes colours.
pub(crate) fn colourful() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Text in bold where the terminal can.
pub(crate) fn bold(text: &str) -> String {
    if colourful() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

/// Text in a weak colour where the terminal can.
pub(crate) fn dim(text: &str) -> String {
    if colourful() { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

/// Writes rows under a heading, columns aligned.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = heading.iter().map(|text| text.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let aligned = |cells: Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    line(dim(&aligned(heading.iter().map(|text| (*text).to_uppercase()).collect())));
    for row in rows {
        line(aligned(row.clone()));
    }
}
