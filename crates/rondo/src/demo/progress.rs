//! What the terminal shows while it works: one line for each step done, a spinner for the one under way, a bar for the replay.
//! Where standard error is no terminal only the finished lines are written.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::term;

/// A step under way.
#[derive(Debug)]
pub(super) struct Step {
    name: &'static str,
    begun: Instant,
    bar: ProgressBar,
}

/// Begins a step.
pub(super) fn step(name: &'static str) -> Step {
    begin(name, ProgressBar::new_spinner().with_style(style("  {spinner:.cyan} {prefix:16} {wide_msg}")))
}

/// Begins the replay of so many days.
pub(super) fn days(name: &'static str, days: u64) -> Step {
    let style = style("  {spinner:.cyan} {prefix:16} [{bar:30.cyan/blue}] {wide_msg}").progress_chars("=> ");
    begin(name, ProgressBar::new(days).with_style(style))
}

fn begin(name: &'static str, bar: ProgressBar) -> Step {
    bar.set_prefix(name);
    bar.enable_steady_tick(Duration::from_millis(100));
    Step { name, begun: Instant::now(), bar }
}

impl Step {
    /// Says what it is doing.
    pub(super) fn note(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// One day more.
    pub(super) fn at(&self, day: u64) {
        self.bar.set_position(day);
    }

    /// A line that stays, above the step.
    pub(super) fn tell(&self, text: &str) {
        self.bar.suspend(|| term::line(text));
    }

    /// Ends the step with a line that stays.
    pub(super) fn done(self, text: impl AsRef<str>) {
        self.bar.finish_and_clear();
        let mark = if term::colourful() { "\x1b[32m✔\x1b[0m" } else { "✔" };
        let took = term::dim(&span(self.begun.elapsed()));
        term::line(format!("  {mark} {:16} {}  {took}", self.name, text.as_ref()));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A span of time for people.
pub(super) fn span(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
