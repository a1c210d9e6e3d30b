//! What a copy has done so far: the bar while it works, the sums at its end.

use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::term;

/// Things of one kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Count {
    /// Copied now; in a dry run, what would be.
    pub(crate) copied: u64,
    /// In the target already, as they are.
    pub(crate) present: u64,
}

/// The sums of a copy.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) dry_run: bool,
    pub(crate) experiments: Count,
    pub(crate) runs: Count,
    /// Points of metrics sent.
    pub(crate) points: u64,
    /// Files sent.
    pub(crate) files: u64,
    /// Bytes of files sent.
    pub(crate) bytes: u64,
    pub(crate) logged_models: Count,
    pub(crate) registered_models: Count,
    pub(crate) versions: Count,
    /// What could not be copied, and why.
    pub(crate) warnings: Vec<String>,
    pub(crate) seconds: f64,
    #[serde(skip)]
    begun: Instant,
    #[serde(skip)]
    bar: ProgressBar,
}

impl Report {
    pub(crate) fn new(dry_run: bool) -> Self {
        let template = "  {spinner:.cyan} {prefix:24!} [{bar:20.cyan/blue}] {pos}/{len} runs  {wide_msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            dry_run,
            experiments: Count::default(),
            runs: Count::default(),
            points: 0,
            files: 0,
            bytes: 0,
            logged_models: Count::default(),
            registered_models: Count::default(),
            versions: Count::default(),
            warnings: Vec::new(),
            seconds: 0.0,
            begun: Instant::now(),
            bar,
        }
    }

    /// What is worked on now.
    pub(crate) fn at(&self, name: &str) {
        self.bar.set_prefix(name.to_owned());
    }

    /// So many runs more are known of.
    pub(crate) fn expect_runs(&self, more: usize) {
        self.bar.inc_length(more as u64);
    }

    /// A run is done.
    pub(crate) fn run_done(&self) {
        self.bar.inc(1);
        self.show();
    }

    /// Points were sent.
    pub(crate) fn sent_points(&mut self, more: usize) {
        self.points += more as u64;
        self.show();
    }

    /// A file was sent.
    pub(crate) fn sent_file(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
        self.show();
    }

    /// Something could not be copied.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.bar.suspend(|| term::note(format!("warning: {text}")));
        self.warnings.push(text);
    }

    pub(crate) fn end(&mut self) {
        self.seconds = self.begun.elapsed().as_secs_f64();
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        let (points, files) = (HumanCount(self.points), HumanCount(self.files));
        self.bar.set_message(format!("{points} points, {files} files ({})", HumanBytes(self.bytes)));
    }

    /// Says what was done.
    pub(crate) fn tell(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return term::json(self);
        }
        let verb = if self.dry_run { "would be copied" } else { "copied" };
        let rows = [
            ("experiments", self.experiments),
            ("runs", self.runs),
            ("logged models", self.logged_models),
            ("registered models", self.registered_models),
            ("versions", self.versions),
        ]
        .map(|(name, count)| vec![name.to_owned(), count.copied.to_string(), count.present.to_string()]);
        term::table(&["", verb, "there already"], &rows);
        if !self.dry_run {
            let (points, files) = (HumanCount(self.points), HumanCount(self.files));
            let bytes = HumanBytes(self.bytes);
            term::line(format!("{points} points and {files} files ({bytes}) in {:.1} s", self.seconds));
        }
        if !self.warnings.is_empty() {
            term::line(format!("{} warnings", self.warnings.len()));
        }
        Ok(())
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
