//! What a person at the terminal or in front of a CI log reads. Everything goes to standard error, in order with the tools' own.

use std::time::Duration;

/// The heading of a stage.
pub(crate) fn stage(name: &str, since_start: Duration) {
    say(&format!("\n== {name}  ({:.0} s since the start)", since_start.as_secs_f64()));
}

/// One line of news.
pub(crate) fn note(text: &str) {
    say(&format!("   {text}"));
}

/// A longer text, as it is.
pub(crate) fn text(text: &str) {
    say(text);
}

/// What failed and, from its causes, why.
pub(crate) fn failure(error: &anyhow::Error) {
    say(&format!("\nerror: {error}"));
    for cause in error.chain().skip(1) {
        say(&format!("  because: {cause}"));
    }
}

#[expect(clippy::print_stderr, reason = "this is a program for the terminal")]
fn say(text: &str) {
    eprintln!("{text}");
}
