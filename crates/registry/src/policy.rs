//! The policy of a model: what a promotion needs.

use db::Tx;
use kernel::clock::DAY_US;
use kernel::ctx::Ctx;
use kernel::digest;
use kernel::event::{NewEvent, kind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::pointer::Pointer;
use crate::stage::Stage;
use crate::{Error, Result, name};

/// How binding the gate is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A promotion without a fresh passing verdict is refused.
    Required,
    /// It is done, and recorded as unproven.
    #[default]
    Advisory,
    /// Nothing is asked.
    Off,
}

/// Who has the last word after a passing verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approve {
    /// A person approves.
    #[default]
    Human,
    /// The verdict is enough.
    Auto,
}

/// What a promotion needs. A field that is left out has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How binding the gate is.
    pub mode: Mode,
    /// Who approves.
    pub approve: Approve,
    /// Whether who registered a version may not approve it; told only if it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub four_eyes: bool,
    /// The pointers that the gate guards.
    pub guarded: Vec<Pointer>,
    /// How long a verdict counts, in microseconds.
    pub max_age_us: i64,
    /// What is compared: `auto`, `brier`, `log_loss`, `auc`, `mae` or `rmse`.
    pub metric: String,
    /// By how much the candidate may be worse, in units of the metric (non-inferiority).
    pub margin: f64,
    /// How many labelled rows a comparison needs.
    pub min_rows: i64,
    /// Columns whose values are compared one by one too.
    pub slices: Vec<String>,
    /// How far back the rows may reach, in microseconds.
    pub holdout_us: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            approve: Approve::default(),
            four_eyes: false,
            guarded: vec![Pointer::Stage(Stage::Production), Pointer::Alias("champion".to_owned())],
            max_age_us: 7 * DAY_US,
            metric: "auto".to_owned(),
            margin: 0.0,
            min_rows: 200,
            slices: Vec::new(),
            holdout_us: 14 * DAY_US,
        }
    }
}

const METRICS: [&str; 6] = ["auto", "brier", "log_loss", "auc", "mae", "rmse"];

impl Policy {
    /// True if the gate guards this pointer.
    pub fn guards(&self, pointer: &Pointer) -> bool {
        self.guarded.contains(pointer)
    }

    /// The digest of what a verdict is judged by, and of nothing else: who approves may change without a new measurement.
    pub fn thresholds_digest(&self) -> String {
        let mut digest = digest::Builder::default();
        digest.piece(self.metric.as_bytes()).piece(&self.margin.to_le_bytes());
        digest.piece(&self.min_rows.to_le_bytes()).piece(&self.holdout_us.to_le_bytes());
        for slice in &self.slices {
            digest.piece(slice.as_bytes());
        }
        digest.finish()
    }

    fn check(&self) -> Result<()> {
        if !METRICS.contains(&self.metric.as_str()) {
            let message = format!("\"{}\" is not a metric: expected one of {}", self.metric, METRICS.join(", "));
            return Err(Error::invalid("metric", message));
        }
        if !self.margin.is_finite() || self.margin < 0.0 {
            return Err(Error::invalid("margin", "the margin must be a number of at least 0"));
        }
        for (field, value) in
            [("max_age_us", self.max_age_us), ("min_rows", self.min_rows), ("holdout_us", self.holdout_us)]
        {
            if value <= 0 {
                return Err(Error::invalid(field, format!("{field} must be positive, got {value}")));
            }
        }
        if self.mode != Mode::Off && self.guarded.is_empty() {
            return Err(Error::invalid("guarded", "a policy that is not off must guard at least one pointer"));
        }
        Ok(())
    }
}

/// The policy of a model; the default if none was set. The model need not exist.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, model: &str) -> Result<Policy> {
    Ok(find(tx, ctx, model)?.unwrap_or_default())
}

/// Sets the policy of a model, which need not exist yet.
pub fn set(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, policy: &Policy) -> Result<()> {
    name::model("name", model)?;
    policy.check()?;
    let before = find(tx, ctx, model)?;
    if before.as_ref() == Some(policy) {
        return Ok(());
    }
    store(tx, ctx, model, policy)?;
    db::events::emit(
        tx,
        ctx,
        NewEvent {
            kind: kind::POLICY_CHANGED,
            subject: format!("model/{model}"),
            model: Some(model.to_owned()),
            payload: json!({ "policy": policy, "from": before.unwrap_or_default() }),
        },
    )?;
    Ok(())
}

/// A renamed model takes its policy along, unless the new name has one already; the old name keeps it too.
pub(crate) fn carry(tx: &mut Tx<'_>, ctx: &Ctx, from: &str, to: &str) -> Result<()> {
    match (find(tx, ctx, from)?, find(tx, ctx, to)?) {
        (Some(policy), None) => store(tx, ctx, to, &policy),
        _ => Ok(()),
    }
}

fn find(tx: &mut Tx<'_>, ctx: &Ctx, model: &str) -> Result<Option<Policy>> {
    let row = tx.query_opt(
        "SELECT policy FROM model_policies WHERE workspace = $1 AND model = $2",
        &[ctx.workspace.as_str().into(), model.into()],
    )?;
    let Some(row) = row else { return Ok(None) };
    let policy = serde_json::from_str(row.str("policy")?).map_err(|error| db::Error::corrupt("policy", error))?;
    Ok(Some(policy))
}

fn store(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, policy: &Policy) -> Result<()> {
    tx.execute(
        "INSERT INTO model_policies (workspace, model, policy, updated_us) VALUES ($1, $2, $3, $4)
         ON CONFLICT (workspace, model) DO UPDATE SET policy = excluded.policy, updated_us = excluded.updated_us",
        &[ctx.workspace.as_str().into(), model.into(), json!(policy).to_string().into(), ctx.now_us.into()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_from_what_is_given() {
        let policy: Policy = serde_json::from_str(r#"{"mode": "required", "guarded": ["@live"]}"#).unwrap();
        assert_eq!(
            policy,
            Policy { mode: Mode::Required, guarded: vec!["@live".parse().unwrap()], ..Policy::default() }
        );
        for bad in [r#"{"mode": "strict"}"#, r#"{"guarded": ["live"]}"#, r#"{"minrows": 3}"#] {
            assert!(serde_json::from_str::<Policy>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_digest_of_thresholds_is_theirs_alone() {
        let policy = Policy::default();
        let same = Policy { mode: Mode::Off, approve: Approve::Auto, max_age_us: 1, ..policy.clone() };
        assert_eq!(policy.thresholds_digest(), same.thresholds_digest());
        let other = Policy { margin: 0.1, ..policy.clone() };
        assert_ne!(policy.thresholds_digest(), other.thresholds_digest());
        let other = Policy { slices: vec!["carrier".to_owned()], ..policy.clone() };
        assert_ne!(policy.thresholds_digest(), other.thresholds_digest());
    }

    #[test]
    fn nonsense_is_refused() {
        let check = |policy: Policy, field: &str| match policy.check() {
            Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        };
        check(Policy { metric: "f1".to_owned(), ..Policy::default() }, "metric");
        check(Policy { margin: f64::NAN, ..Policy::default() }, "margin");
        check(Policy { margin: -0.1, ..Policy::default() }, "margin");
        check(Policy { min_rows: 0, ..Policy::default() }, "min_rows");
        check(Policy { max_age_us: -1, ..Policy::default() }, "max_age_us");
        check(Policy { guarded: Vec::new(), ..Policy::default() }, "guarded");
    }
}
