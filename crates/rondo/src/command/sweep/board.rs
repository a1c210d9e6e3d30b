//! What a worker shows: on a terminal a line for each trial under way and one for the whole, otherwise a line for each thing that happens,
//! for programs as JSON.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::attempt::Task;
use crate::command::show::cell;
use crate::term;

/// Where a worker shows what it does.
pub(super) struct Board {
    json: bool,
    bars: Option<(MultiProgress, Vec<ProgressBar>, ProgressBar)>,
}

impl Board {
    pub(super) fn new(json: bool, slots: usize) -> Self {
        let bars = (!json && term::colourful()).then(|| {
            let bars = MultiProgress::new();
            let line = || {
                let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}");
                let bar =
                    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.enable_steady_tick(Duration::from_millis(250));
                bars.add(bar)
            };
            let slots = (0..slots).map(|_| line()).collect();
            (bars.clone(), slots, line())
        });
        Self { json, bars }
    }

    /// A trial begins in a slot.
    pub(super) fn begins(&self, slot: usize, task: &Task) {
        let values: Vec<String> = task.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let values = values.join(" ");
        if self.json {
            self.event(
                &json!({ "event": "began", "trial": task.number, "attempt": task.attempt, "params": task.params }),
            );
        } else if let Some(bar) = self.bar(slot) {
            bar.reset_elapsed();
            bar.set_message(format!("trial {:<4} {values}", task.number));
        } else {
            term::line(format!("trial {:<4} {values}", task.number));
        }
    }

    /// A slot waits for work.
    pub(super) fn waits(&self, slot: usize) {
        if let Some(bar) = self.bar(slot) {
            bar.reset_elapsed();
            bar.set_message("waits for a trial");
        }
    }

    /// A trial has ended.
    pub(super) fn ended(&self, task: &Task, trial: &Value) {
        let state = trial["state"].as_str().unwrap_or_default();
        if self.json {
            return self.event(&json!({
                "event": state, "trial": task.number, "attempt": task.attempt, "step": trial["step"],
                "value": trial["value"], "error": trial["error"],
            }));
        }
        let value = match &trial["error"] {
            Value::String(error) => error.clone(),
            _ => cell(&trial["value"]),
        };
        self.line(&format!("trial {:<4} {state:<9} {value}", task.number));
    }

    /// A trial has left this worker unfinished.
    pub(super) fn left(&self, task: &Task, why: &'static str) {
        if self.json {
            return self.event(&json!({ "event": why, "trial": task.number, "attempt": task.attempt }));
        }
        self.line(&format!("trial {:<4} {why}", task.number));
    }

    /// The whole as it is now.
    pub(super) fn whole(&self, sweep: &Value) {
        if let Some((_, _, total)) = &self.bars {
            total.set_message(summary(sweep));
        }
    }

    /// The worker leaves.
    pub(super) fn closes(&self, sweep: &Value) {
        if let Some((bars, ..)) = &self.bars {
            drop(bars.clear());
        }
        if self.json {
            return self.event(&json!({ "event": "over", "sweep": sweep }));
        }
        term::line(summary(sweep));
    }

    fn bar(&self, slot: usize) -> Option<&ProgressBar> {
        self.bars.as_ref().and_then(|(_, slots, _)| slots.get(slot))
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some((bars, ..)) => drop(bars.println(text)),
            None => term::line(text),
        }
    }

    #[expect(clippy::unused_self, reason = "beside the other ways to show something")]
    fn event(&self, event: &Value) {
        term::line(event);
    }
}

/// A sweep in one line.
pub(super) fn summary(sweep: &Value) -> String {
    let counts = sweep["counts"].as_object().into_iter().flatten();
    let counts: Vec<String> = counts
        .filter(|(_, count)| count.as_i64().is_some_and(|count| count > 0))
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let best = &sweep["best"];
    let best = match best["value"].as_f64() {
        Some(_) => format!("; best {} in trial {}: {}", cell(&best["value"]), best["number"], cell(&best["params"])),
        None => String::new(),
    };
    let (made, all) = (&sweep["made"], &sweep["trials"]);
    let state = sweep["state"].as_str().unwrap_or_default();
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    format!("sweep {} is {state}: {made} of {all} trials{counts}{best}", cell(&sweep["name"]))
}
