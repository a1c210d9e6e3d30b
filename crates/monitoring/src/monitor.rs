//! Monitors: what is watched, in which windows, by which rules. The definition is one JSON document.

use db::{Row, Tx};
use kernel::clock::{DAY_US, SECOND_US};
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rule::Rule;
use crate::task::Task;
use crate::{Error, alert};

/// The definition of a monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// Its name.
    pub name: String,
    /// The deployment it watches.
    pub deployment: String,
    /// Length of a window, event time.
    #[serde(default = "week")]
    pub window_us: i64,
    /// Windows start at multiples of `window_us` since the epoch, plus this.
    #[serde(default)]
    pub offset_us: i64,
    /// Windows that start before this are not looked at; without it the first is the one that closed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_us: Option<i64>,
    /// How long after its event time a prediction may still arrive when the sender declares no watermark.
    #[serde(default = "ten_minutes")]
    pub lateness_us: i64,
    /// How long after the end of a window its outcomes have come in, so that quality is final.
    #[serde(default = "day")]
    pub outcome_delay_us: i64,
    /// Fewer rows than this are not compared.
    #[serde(default = "two_hundred")]
    pub min_rows: u64,
    /// What the model predicts; the reference's word if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// What raises an alert.
    #[serde(default = "Rule::defaults")]
    pub rules: Vec<Rule>,
    /// Where alerts are posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// The key that signs these posts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
}

fn week() -> i64 {
    7 * DAY_US
}

fn day() -> i64 {
    DAY_US
}

fn ten_minutes() -> i64 {
    600 * SECOND_US
}

fn two_hundred() -> u64 {
    200
}

impl Monitor {
    /// A monitor of a deployment with everything else as it is shipped: weeks, a day for outcomes, [`Rule::defaults`].
    pub fn new(name: impl Into<String>, deployment: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            deployment: deployment.into(),
            window_us: week(),
            offset_us: 0,
            start_us: None,
            lateness_us: ten_minutes(),
            outcome_delay_us: day(),
            min_rows: two_hundred(),
            task: None,
            rules: Rule::defaults(),
            webhook: None,
            webhook_secret: None,
        }
    }

    /// The definition for others to read: the secret is never told again.
    pub fn without_secret(&self) -> Value {
        json!(Self { webhook_secret: None, ..self.clone() })
    }

    /// Start of the window that an instant lies in.
    pub fn window_of(&self, at_us: i64) -> i64 {
        (at_us - self.offset_us).div_euclid(self.window_us) * self.window_us + self.offset_us
    }

    /// Says what is wrong with the definition, if anything.
    pub fn validate(&self) -> Result<(), Error> {
        name_is_plain("name", &self.name)?;
        if self.deployment.is_empty() {
            return Err(Error::invalid("deployment", "names no deployment"));
        }
        if self.window_us < SECOND_US {
            return Err(Error::invalid("window_us", "a window is at least one second (1000000) long"));
        }
        for (field, value) in [("lateness_us", self.lateness_us), ("outcome_delay_us", self.outcome_delay_us)] {
            if value < 0 {
                return Err(Error::invalid(field, "must not be negative"));
            }
        }
        if self.min_rows < 20 {
            return Err(Error::invalid(
                "min_rows",
                "must be at least 20: on fewer rows no test can tell drift from chance",
            ));
        }
        if let Some(url) = &self.webhook
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(Error::invalid("webhook", "must be an http or https URL"));
        }
        for (index, rule) in self.rules.iter().enumerate() {
            rule.validate(&format!("rules[{index}]"))?;
            if self.rules[..index].iter().any(|other| other.name == rule.name) {
                return Err(Error::invalid(
                    format!("rules[{index}].name"),
                    format!("another rule is called `{}` already", rule.name),
                ));
            }
        }
        Ok(())
    }
}

/// A name that can stand in a URL and in a subject: letters, digits, `-`, `_`, `.`.
pub(crate) fn name_is_plain(field: &str, name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
        return Err(Error::invalid(
            field,
            format!("`{name}` is not a name: 1 to 128 letters, digits, dots, hyphens or underscores"),
        ));
    }
    Ok(())
}

/// Creates a monitor or replaces its definition. Alerts of rules that are gone or changed are resolved.
pub fn put(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &Monitor) -> Result<(), Error> {
    monitor.validate()?;
    let before = find(tx, ctx, &monitor.name)?;
    if before.as_ref() == Some(monitor) {
        return Ok(());
    }
    if let Some(before) = &before {
        for rule in before.rules.iter().filter(|rule| !monitor.rules.contains(rule)) {
            alert::retire(tx, ctx, before, &rule.name, "the rule was changed or removed")?;
        }
    }
    let definition = serde_json::to_string(monitor)
        .map_err(|source| Error::Stored { what: format!("monitor `{}`", monitor.name), source })?;
    tx.execute(
        "INSERT INTO monitors (workspace, name, deployment, definition, created_us, updated_us)
         VALUES ($1, $2, $3, $4, $5, $5)
         ON CONFLICT (workspace, name) DO UPDATE
         SET deployment = excluded.deployment, definition = excluded.definition, updated_us = excluded.updated_us",
        &[
            ctx.workspace.as_str().into(),
            monitor.name.as_str().into(),
            monitor.deployment.as_str().into(),
            definition.into(),
            ctx.now_us.into(),
        ],
    )?;
    let payload =
        json!({ "definition": monitor.without_secret(), "from": before.as_ref().map(Monitor::without_secret) });
    told(tx, ctx, kind::MONITOR_CHANGED, &monitor.name, payload)
}

fn told(tx: &mut Tx<'_>, ctx: &Ctx, kind: &'static str, name: &str, payload: Value) -> Result<(), Error> {
    db::events::emit(tx, ctx, NewEvent { kind, subject: format!("monitor/{name}"), model: None, payload })?;
    Ok(())
}

/// The monitor of a name.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Monitor, Error> {
    find(tx, ctx, name)?.ok_or_else(|| Error::UnknownMonitor { name: name.to_owned() })
}

/// The monitor of a name, if there is one.
pub fn find(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Option<Monitor>, Error> {
    let row = tx.query_opt(
        "SELECT name, definition FROM monitors WHERE workspace = $1 AND name = $2",
        &[ctx.workspace.as_str().into(), name.into()],
    )?;
    row.map(|row| read(&row)).transpose()
}

/// All monitors, by name.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Monitor>, Error> {
    let rows = tx.query(
        "SELECT name, definition FROM monitors WHERE workspace = $1 ORDER BY name",
        &[ctx.workspace.as_str().into()],
    )?;
    rows.iter().map(read).collect()
}

/// Removes a monitor with its windows and alerts; firing alerts are resolved first. The events stay.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<(), Error> {
    let monitor = get(tx, ctx, name)?;
    for rule in &monitor.rules {
        alert::retire(tx, ctx, &monitor, &rule.name, "the monitor was deleted")?;
    }
    let key = [ctx.workspace.as_str().into(), name.into()];
    tx.execute("DELETE FROM monitor_alerts WHERE workspace = $1 AND monitor = $2", &key)?;
    tx.execute("DELETE FROM monitor_windows WHERE workspace = $1 AND monitor = $2", &key)?;
    tx.execute("DELETE FROM monitors WHERE workspace = $1 AND name = $2", &key)?;
    told(tx, ctx, kind::MONITOR_DELETED, name, json!({ "definition": monitor.without_secret() }))
}

fn read(row: &Row) -> Result<Monitor, Error> {
    let text = row.text("definition")?;
    let name = row.text("name")?;
    serde_json::from_str(&text).map_err(|source| Error::Stored { what: format!("monitor `{name}`"), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_definition_gets_the_shipped_defaults() {
        let monitor: Monitor = serde_json::from_str(r#"{"name": "m", "deployment": "d"}"#).unwrap();
        assert_eq!(monitor, Monitor::new("m", "d"));
        monitor.validate().unwrap();
    }

    #[test]
    fn windows_are_anchored_at_multiples_before_and_after_the_epoch() {
        let mut monitor = Monitor::new("m", "d");
        monitor.window_us = 10_000_000;
        assert_eq!(monitor.window_of(25_000_000), 20_000_000);
        assert_eq!(monitor.window_of(-1), -10_000_000);
        monitor.offset_us = 3_000_000;
        assert_eq!(monitor.window_of(22_000_000), 13_000_000);
    }

    #[test]
    fn a_bad_definition_is_refused_with_the_field_at_fault() {
        let check = |change: fn(&mut Monitor), field: &str| {
            let mut monitor = Monitor::new("m", "d");
            change(&mut monitor);
            let error = monitor.validate().unwrap_err();
            assert_eq!(kernel::error::Classified::field(&error), Some(field), "{error}");
        };
        check(|m| m.name = "a b".to_owned(), "name");
        check(|m| m.deployment = String::new(), "deployment");
        check(|m| m.window_us = 0, "window_us");
        check(|m| m.lateness_us = -1, "lateness_us");
        check(|m| m.min_rows = 3, "min_rows");
        check(|m| m.webhook = Some("ftp://x".to_owned()), "webhook");
        check(|m| m.rules[1].name = m.rules[0].name.clone(), "rules[1].name");
        check(|m| m.rules[0].threshold = f64::NAN, "rules[0].threshold");
    }
}
