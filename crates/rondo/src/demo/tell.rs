//! The words for what happened, and the last page.

use kernel::clock::{DAY_US, rfc3339};
use kernel::event::{Event, kind};
use serde::Serialize;
use serde_json::Value;

use super::story::{Drift, Month, Story};
use crate::term;

/// Something that happened, in words.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Headline {
    /// The day it is about, where the event tells one.
    pub(super) day: Option<String>,
    /// One word.
    pub(super) what: &'static str,
    /// The rest.
    pub(super) text: String,
}

/// The headlines of a history. What tells no day of its own happened on the day of what led to it.
pub(super) fn headlines(history: &[Event]) -> Vec<Headline> {
    let mut day = None;
    let with_day = |event: &Event| {
        let headline = headline(event)?;
        day = headline.day.clone().or_else(|| day.clone());
        Some(Headline { day: day.clone(), ..headline })
    };
    history.iter().filter_map(with_day).collect()
}

/// The words for an event, if it is worth any.
pub(super) fn headline(event: &Event) -> Option<Headline> {
    let payload = &event.payload;
    let text = |field: &str| payload[field].as_str().unwrap_or("none").to_owned();
    let window = || payload["window"]["until_us"].as_i64().map(|until_us| date(until_us - 1));
    let (what, text, day) = match event.kind.as_str() {
        kind::ALERT_FIRED => ("alert", alert(payload), window()),
        // That another version answers is told where it takes over.
        kind::ALERT_RESOLVED if text("reason").contains("another version") => return None,
        kind::ALERT_RESOLVED => ("resolved", format!("{}: {}", text("rule"), text("reason")), window()),
        kind::PIPELINE_STARTED if payload["trigger"] == "alert" => {
            ("retraining", text("reason"), payload["at_us"].as_i64().map(|at_us| date(at_us - 1)))
        }
        kind::PIPELINE_SUCCEEDED if payload["steps"]["train"] == "skipped" => {
            ("unchanged", "there is nothing new to learn from yet".to_owned(), None)
        }
        kind::PIPELINE_FAILED => ("failed", format!("the pipeline: {}", text("reason")), None),
        kind::VERSION_REGISTERED => ("candidate", format!("version {}", text("version")), None),
        kind::VERDICT_PASSED => ("verdict", format!("passed: {}", verdict(payload)), None),
        kind::VERDICT_FAILED => ("verdict", format!("refused: {}", verdict(payload)), None),
        kind::POINTER_MOVED => ("promotion", promotion(payload), None),
        kind::DEPLOYMENT_ROLL_FAILED => {
            ("failed", format!("version {} cannot go live: {}", text("to"), text("reason")), None)
        }
        _ => return None,
    };
    Some(Headline { day, what, text })
}

fn alert(payload: &Value) -> String {
    let field = |name: &str| payload[name].as_str().unwrap_or_default();
    let detail = evidence(&payload["evidence"]).map_or_else(String::new, |detail| format!(": {detail}"));
    format!("{} of version {}{detail}", field("rule"), field("version"))
}

/// The numbers behind an alert, whatever kind of rule it is of.
fn evidence(evidence: &Value) -> Option<String> {
    let number = |value: &Value| value.as_f64().map(|value| format!("{value:.4}"));
    let of = |name: &str| number(&evidence[name]);
    if let Some(features) = evidence["features"].as_array() {
        let names: Vec<&str> = features.iter().filter_map(|one| one["feature"].as_str()).collect();
        return Some(format!("{} of {} features: {}", names.len(), evidence["compared"], names.join(", ")));
    }
    let subject = evidence["feature"].as_str().map_or_else(String::new, |feature| format!("{feature} "));
    if let Some(effect) = of("effect") {
        return Some(format!("{subject}by an effect of {effect}"));
    }
    let before = number(&evidence["baseline"]["value"]).map_or_else(String::new, |value| format!(", at first {value}"));
    let bound = of("bound").map_or_else(String::new, |bound| format!(", bound {bound}"));
    Some(format!("{subject}{} [{}, {}]{before}{bound}", of("value")?, of("low")?, of("high")?))
}

fn verdict(payload: &Value) -> String {
    let field = |name: &str| payload[name].as_str().unwrap_or_default();
    let version = field("version");
    let number = |name: &str| payload[name].as_f64();
    match (payload["champion"].as_str(), number("difference"), number("low"), number("high")) {
        (Some(champion), Some(difference), Some(low), Some(high)) => format!(
            "version {version} against {champion}, {} {} by {:.4} [{low:+.4}, {high:+.4}] on {} flights",
            field("metric"),
            if difference >= 0.0 { "better" } else { "worse" },
            difference.abs(),
            thousands(payload["rows"].as_u64().unwrap_or_default()),
        ),
        _ => format!("version {version}, {}", field("summary")),
    }
}

fn promotion(payload: &Value) -> String {
    let field = |name: &str| payload[name].as_str();
    let to = field("to").unwrap_or("none");
    let from = field("from").map_or_else(String::new, |from| format!(" in place of {from}"));
    let evidence = field("verdict_id").map_or_else(
        || "without a verdict".to_owned(),
        |_| format!("on the evidence of its verdict, policy {}", field("policy").unwrap_or("unknown")),
    );
    format!("version {to} takes {}{from}, {evidence}", field("pointer").unwrap_or("the pointer"))
}

/// A headline as a line of the terminal.
pub(super) fn line_of(headline: &Headline) -> String {
    let colour = match headline.what {
        "alert" | "failed" => "33",
        "promotion" => "32",
        "verdict" => "36",
        _ => "2",
    };
    let what = format!("{:10}", headline.what);
    let what = if term::colourful() { format!("\x1b[{colour}m{what}\x1b[0m") } else { what };
    let day = headline.day.as_deref().unwrap_or("");
    format!("    {} {what} {}", term::dim(&format!("{day:10}")), headline.text)
}

/// The last page.
pub(super) fn print(story: &Story, url: &str) {
    term::line(format!("\n  {}  {}\n", term::bold("The year, as the API tells it"), term::dim(url)));
    let rows: Vec<Vec<String>> = story.months.iter().map(row).collect();
    term::table(&["  month", "version", "flights", "late", "auc", "brier", "strong drift"], &rows);
    term::line(format!("\n  {}\n", term::bold("What happened")));
    let mut last = None;
    for headline in &story.happened {
        let day = headline.day.clone().filter(|_| headline.day != last);
        last.clone_from(&headline.day);
        term::line(line_of(&Headline { day, ..headline.clone() }));
    }
    let rate = story
        .predictions_per_second
        .as_deref()
        .map_or_else(String::new, |rate| format!("{} predictions, {rate} per second; ", thousands(story.predictions)));
    let kills = if story.kills > 0 { format!("{} kills; ", story.kills) } else { String::new() };
    term::line(format!("\n  {rate}{kills}end state {}", story.fingerprint));
}

fn row(month: &Month) -> Vec<String> {
    let interval = |measure: Option<(f64, f64, f64)>| {
        measure.map_or_else(|| "-".to_owned(), |(value, low, high)| format!("{value:.3} [{low:.3}, {high:.3}]"))
    };
    vec![
        format!("  {}", month.name),
        month.versions.join(" > "),
        thousands(month.flights),
        format!("{:.0} %", 100.0 * month.late),
        interval(month.auc),
        interval(month.brier),
        drift(&month.drift),
    ]
}

fn drift(drift: &Drift) -> String {
    const SHOWN: usize = 4;
    if drift.windows == 0 {
        return "-".to_owned();
    }
    let mut names = drift.features.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if drift.features.len() > SHOWN {
        names += ", ...";
    }
    format!("{} of {}  {names}", drift.strong, drift.compared).trim_end().to_owned()
}

/// The day of an instant; days begin, like those of the replay, at midnight New York winter time.
pub(super) fn date(at_us: i64) -> String {
    const WINTER_US: i64 = 5 * DAY_US / 24;
    rfc3339(at_us - WINTER_US).chars().take(10).collect()
}

/// A count with commas.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str, payload: Value) -> Event {
        let (actor, subject) = ("system:conductor".to_owned(), "model/m".to_owned());
        let workspace = "default".to_owned();
        Event { seq: 1, at_us: 0, workspace, actor, kind: kind.to_owned(), subject, model: None, payload }
    }

    #[test]
    fn counts_have_commas() {
        let check = |count: u64, expect: &str| assert_eq!(thousands(count), expect);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(336_776, "336,776");
        check(1_234_567, "1,234,567");
    }

    #[test]
    fn events_are_told_in_words() {
        let check = |kind: &str, payload: Value, expect: &str| {
            assert_eq!(headline(&event(kind, payload)).map(|headline| headline.text).as_deref(), Some(expect));
        };
        let verdict = json!({
            "version": "3", "champion": "2", "metric": "brier", "difference": 0.0058, "low": 0.0035, "high": 0.0082,
            "rows": 2550,
        });
        let words = "passed: version 3 against 2, brier better by 0.0058 [+0.0035, +0.0082] on 2,550 flights";
        check(kind::VERDICT_PASSED, verdict, words);
        let moved = json!({ "pointer": "Production", "from": "2", "to": "3", "verdict_id": "x", "policy": "required" });
        let words = "version 3 takes Production in place of 2, on the evidence of its verdict, policy required";
        check(kind::POINTER_MOVED, moved, words);
        let fired = json!({
            "rule": "brier", "version": "1", "window": { "until_us": 0 },
            "evidence": { "value": 0.2, "low": 0.18, "high": 0.22, "baseline": { "value": 0.16 } },
        });
        check(kind::ALERT_FIRED, fired, "brier of version 1: 0.2000 [0.1800, 0.2200], at first 0.1600");
        assert!(headline(&event(kind::DEPLOYMENT_ROLLED, json!({}))).is_none());
    }

    #[test]
    fn what_tells_no_day_happened_on_the_day_of_its_cause() {
        let fired =
            event(kind::ALERT_FIRED, json!({ "rule": "auc", "window": { "until_us": 1_362_114_000_000_000_i64 } }));
        let registered = event(kind::VERSION_REGISTERED, json!({ "version": "2" }));
        let days: Vec<_> = headlines(&[fired, registered]).into_iter().map(|headline| headline.day).collect();
        assert_eq!(days, vec![Some("2013-02-28".to_owned()); 2], "the window ended with that day");
    }
}
