//! Alerts: what a rule has said over the windows, as a state with memory.
//!
//! An alert starts when enough of the last windows were beyond the bound (2 of 3 as shipped) and ends when enough in a row were well
//! within it (3 as shipped); a window that says nothing (too few rows, outcomes still to come) changes nothing. Rules that compare
//! with the making of a version start anew when another version answers: what it was compared with is gone.

use db::{Row, Tx};
use kernel::clock::rfc3339;
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::monitor::Monitor;
use crate::report::WindowReport;
use crate::rule::{Baseline, Judgement, Level, Rule, judge};
use crate::{Error, window};

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is wrong.
    Ok,
    /// A window was beyond the bound; not enough of them yet.
    Pending,
    /// The alert is on.
    Firing,
    /// The alert is on; the last window was well.
    Recovering,
}

impl State {
    /// Its name in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Recovering => "recovering",
        }
    }

    /// True while the alert is on.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Firing | Self::Recovering)
    }

    fn parse(name: &str) -> Self {
        [Self::Pending, Self::Firing, Self::Recovering]
            .into_iter()
            .find(|state| state.as_str() == name)
            .unwrap_or(Self::Ok)
    }
}

/// A window as the alert remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its start.
    pub from_us: i64,
    /// How it stood to the rule.
    pub level: Level,
}

/// An alert as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The monitor.
    pub monitor: String,
    /// The rule.
    pub rule: String,
    /// Where it stands.
    pub state: State,
    /// The version it is about, for rules that compare with the making of a version.
    pub version: Option<String>,
    /// Event time since which it stands there (the end of the window that brought it there).
    pub since_us: i64,
    /// The last windows judged, oldest first.
    pub history: Vec<Past>,
    /// The numbers of the last window judged.
    pub evidence: Value,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The rule.
    pub rule: String,
    /// From here.
    pub from: State,
    /// To here.
    pub to: State,
    /// Number of the event, if the alert started or ended.
    pub event: Option<i64>,
}

/// Takes a report into account that [`window::record`] has just recorded, in the same transaction. Emits `alert.fired` and
/// `alert.resolved`.
pub fn step(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &Monitor, report: &WindowReport) -> Result<Vec<Transition>, Error> {
    let mut transitions = Vec::new();
    for rule in &monitor.rules {
        let baseline = baseline(tx, ctx, monitor, rule, report)?;
        if let Some(judgement) = judge(rule, report, monitor.min_rows, baseline.as_ref()) {
            transitions.extend(advance(tx, ctx, monitor, rule, report, &judgement)?);
        }
    }
    Ok(transitions)
}

/// The quality of the version in its first window with enough outcomes, if the rule asks for it.
fn baseline(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    monitor: &Monitor,
    rule: &Rule,
    report: &WindowReport,
) -> Result<Option<crate::quality::Measure>, Error> {
    let (Some(Baseline::FirstWindow), Some(subject)) = (rule.relative_to, &report.reference) else { return Ok(None) };
    for first in window::first_mature(tx, ctx, &monitor.name, &subject.version, report.from_us)? {
        let measures = first.version(&subject.version).map(|rows| rows.quality.as_slice()).unwrap_or_default();
        let found = measures.iter().find(|measure| measure.metric.as_str() == rule.metric);
        if let Some(measure) = found.filter(|measure| measure.n >= monitor.min_rows && measure.complete().is_some()) {
            return Ok(Some(*measure));
        }
    }
    Ok(None)
}

fn advance(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    monitor: &Monitor,
    rule: &Rule,
    report: &WindowReport,
    judgement: &Judgement,
) -> Result<Vec<Transition>, Error> {
    let version =
        report.reference.as_ref().map(|subject| subject.version.clone()).filter(|_| rule.belongs_to_version());
    let mut alert = find(tx, ctx, &monitor.name, &rule.name)?.unwrap_or_else(|| Alert {
        monitor: monitor.name.clone(),
        rule: rule.name.clone(),
        state: State::Ok,
        version: version.clone(),
        since_us: report.from_us,
        history: Vec::new(),
        evidence: Value::Null,
    });
    let mut transitions = Vec::new();
    if alert.version != version {
        let from = alert.state;
        if from.is_active() {
            let event = resolve(tx, ctx, monitor, &alert, Some(report), "another version answers now")?;
            transitions.push(Transition { rule: rule.name.clone(), from, to: State::Ok, event: Some(event) });
        }
        alert = Alert { state: State::Ok, version, since_us: report.until_us, history: Vec::new(), ..alert };
    }
    remember(&mut alert, rule, report, judgement);
    let from = alert.state;
    let to = next(rule, from, &alert.history);
    if to != from {
        alert.state = to;
        alert.since_us = report.until_us;
        let event = match (from.is_active(), to.is_active()) {
            (false, true) => Some(fire(tx, ctx, monitor, rule, &alert, report)?),
            (true, false) => {
                Some(resolve(tx, ctx, monitor, &alert, Some(report), "the last windows are well within the bound")?)
            }
            _ => None,
        };
        transitions.push(Transition { rule: rule.name.clone(), from, to, event });
    }
    save(tx, ctx, &alert)?;
    Ok(transitions)
}

fn remember(alert: &mut Alert, rule: &Rule, report: &WindowReport, judgement: &Judgement) {
    alert.history.push(Past { from_us: report.from_us, level: judgement.level });
    let keep = rule.enter.of.max(rule.leave.windows);
    let surplus = alert.history.len().saturating_sub(keep);
    alert.history.drain(..surplus);
    alert.evidence = judgement.evidence.clone();
}

/// The state after the last window of the history.
fn next(rule: &Rule, state: State, history: &[Past]) -> State {
    let recent = |windows: usize| history.iter().rev().take(windows);
    if state.is_active() {
        let well = recent(rule.leave.windows).filter(|past| past.level == Level::Well).count();
        return match recent(1).next() {
            _ if well == rule.leave.windows => State::Ok,
            Some(past) if past.level == Level::Well => State::Recovering,
            _ => State::Firing,
        };
    }
    match recent(rule.enter.of).filter(|past| past.level == Level::Beyond).count() {
        beyond if beyond >= rule.enter.windows => State::Firing,
        0 => State::Ok,
        _ => State::Pending,
    }
}

fn fire(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    monitor: &Monitor,
    rule: &Rule,
    alert: &Alert,
    report: &WindowReport,
) -> Result<i64, Error> {
    let mut payload = payload(monitor, alert, Some(report));
    payload["severity"] = json!(rule.severity);
    payload["on"] = json!(rule.on);
    payload["metric"] = json!(rule.metric);
    emit(tx, ctx, monitor, Some(report), kind::ALERT_FIRED, payload)
}

fn resolve(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    monitor: &Monitor,
    alert: &Alert,
    report: Option<&WindowReport>,
    reason: &str,
) -> Result<i64, Error> {
    let mut payload = payload(monitor, alert, report);
    payload["reason"] = json!(reason);
    emit(tx, ctx, monitor, report, kind::ALERT_RESOLVED, payload)
}

fn payload(monitor: &Monitor, alert: &Alert, report: Option<&WindowReport>) -> Value {
    let window = report.map(|report| {
        json!({
            "from": rfc3339(report.from_us), "until": rfc3339(report.until_us), "kind": report.kind.as_str(),
            "from_us": report.from_us, "until_us": report.until_us, "rows": report.n, "outcomes": report.outcomes,
        })
    });
    json!({
        "deployment": monitor.deployment,
        "rule": alert.rule,
        "version": alert.version.as_deref().or_else(|| report?.dominant_version()),
        "window": window,
        "windows": alert.history,
        "evidence": alert.evidence,
    })
}

fn emit(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    monitor: &Monitor,
    report: Option<&WindowReport>,
    kind: &'static str,
    payload: Value,
) -> Result<i64, Error> {
    let model = report.and_then(|report| Some(report.reference.as_ref()?.model.clone()));
    let subject = format!("monitor/{}", monitor.name);
    Ok(db::events::emit(tx, ctx, NewEvent { kind, subject, model, payload })?)
}

/// Forgets an alert whose rule is gone; resolves it first if it is on.
pub(crate) fn retire(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &Monitor, rule: &str, reason: &str) -> Result<(), Error> {
    if let Some(alert) = find(tx, ctx, &monitor.name, rule)? {
        if alert.state.is_active() {
            let last = window::last(tx, ctx, &monitor.name, crate::report::Kind::Drift)?;
            resolve(tx, ctx, monitor, &alert, last.as_ref(), reason)?;
        }
        tx.execute(
            "DELETE FROM monitor_alerts WHERE workspace = $1 AND monitor = $2 AND rule = $3",
            &[ctx.workspace.as_str().into(), monitor.name.as_str().into(), rule.into()],
        )?;
    }
    Ok(())
}

/// The alerts that are on, by monitor and rule.
pub fn active(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Alert>, Error> {
    let rows = tx.query(
        "SELECT monitor, rule, state, version, since_us, history, evidence FROM monitor_alerts
         WHERE workspace = $1 AND state IN ('firing', 'recovering') ORDER BY monitor, rule",
        &[ctx.workspace.as_str().into()],
    )?;
    rows.iter().map(read).collect()
}

/// All alerts of a monitor that have been judged, by rule.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &str) -> Result<Vec<Alert>, Error> {
    let rows = tx.query(
        "SELECT monitor, rule, state, version, since_us, history, evidence FROM monitor_alerts
         WHERE workspace = $1 AND monitor = $2 ORDER BY rule",
        &[ctx.workspace.as_str().into(), monitor.into()],
    )?;
    rows.iter().map(read).collect()
}

fn find(tx: &mut Tx<'_>, ctx: &Ctx, monitor: &str, rule: &str) -> Result<Option<Alert>, Error> {
    let row = tx.query_opt(
        "SELECT monitor, rule, state, version, since_us, history, evidence FROM monitor_alerts
         WHERE workspace = $1 AND monitor = $2 AND rule = $3",
        &[ctx.workspace.as_str().into(), monitor.into(), rule.into()],
    )?;
    row.map(|row| read(&row)).transpose()
}

fn save(tx: &mut Tx<'_>, ctx: &Ctx, alert: &Alert) -> Result<(), Error> {
    let history = serde_json::to_string(&alert.history)
        .map_err(|source| Error::Stored { what: format!("an alert of monitor `{}`", alert.monitor), source })?;
    tx.execute(
        "INSERT INTO monitor_alerts (workspace, monitor, rule, state, version, since_us, history, evidence, updated_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (workspace, monitor, rule) DO UPDATE
         SET state = excluded.state, version = excluded.version, since_us = excluded.since_us, history = excluded.history,
             evidence = excluded.evidence, updated_us = excluded.updated_us",
        &[
            ctx.workspace.as_str().into(),
            alert.monitor.as_str().into(),
            alert.rule.as_str().into(),
            alert.state.as_str().into(),
            alert.version.clone().into(),
            alert.since_us.into(),
            history.into(),
            alert.evidence.to_string().into(),
            ctx.now_us.into(),
        ],
    )?;
    Ok(())
}

fn read(row: &Row) -> Result<Alert, Error> {
    let monitor = row.text("monitor")?;
    let stored = |source| Error::Stored { what: format!("an alert of monitor `{monitor}`"), source };
    let history = serde_json::from_str(&row.text("history")?).map_err(stored)?;
    let evidence = serde_json::from_str(&row.text("evidence")?).map_err(stored)?;
    Ok(Alert {
        rule: row.text("rule")?,
        state: State::parse(&row.text("state")?),
        version: row.opt_text("version")?,
        since_us: row.i64("since_us")?,
        monitor,
        history,
        evidence,
    })
}
