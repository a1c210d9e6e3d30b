//! Events: what happened, written in the transaction of the change. They are both the outbox that the conductor reads and the
//! append-only audit trail that people read.

use serde::{Deserialize, Serialize};

use crate::ctx::DEFAULT_WORKSPACE;

/// A new event, before the database gives it a number.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// One of the names in [`kind`].
    pub kind: &'static str,
    /// The thing it happened to: `model/NAME`, `deployment/NAME`, `monitor/NAME`, `pipeline/NAME`, `sweep/NAME`.
    pub subject: String,
    /// The registered model whose story it belongs to, if any.
    pub model: Option<String>,
    /// The evidence, as JSON.
    pub payload: serde_json::Value,
}

/// An event as stored. `seq` grows by one with each committed event, in commit order.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Event {
    /// Position in the trail.
    pub seq: i64,
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// The workspace in which it happened. Not told: whoever reads events reads those of one workspace.
    #[serde(default = "default_workspace", skip_serializing)]
    pub workspace: String,
    /// Who did it, as written by [`crate::ctx::Principal`].
    pub actor: String,
    /// What happened.
    pub kind: String,
    /// The thing it happened to.
    pub subject: String,
    /// The registered model whose story it belongs to.
    pub model: Option<String>,
    /// The evidence.
    pub payload: serde_json::Value,
}

/// What an event without a workspace belongs to.
fn default_workspace() -> String {
    DEFAULT_WORKSPACE.to_owned()
}

/// The names of all events. Payload fields are listed beside each.
pub mod kind {
    /// `{version, run_id, source}`
    pub const VERSION_REGISTERED: &str = "version.registered";
    /// `{pointer, from, to, verdict_id, policy, reason}`; `pointer` is a stage name or `@alias`, `from`/`to` are versions or null.
    pub const POINTER_MOVED: &str = "pointer.moved";
    /// `{topic, data}`: what a webhook of the registry waits for, in MLflow's shape; only written while one does.
    pub const REGISTRY_ANNOUNCED: &str = "registry.announced";
    /// `{policy}`
    pub const POLICY_CHANGED: &str = "policy.changed";
    /// `{verdict_id, version, champion, pointer, summary}`
    pub const VERDICT_PASSED: &str = "verdict.passed";
    /// `{verdict_id, version, champion, pointer, summary}`
    pub const VERDICT_FAILED: &str = "verdict.failed";
    /// `{version, pointer, verdict_id}`: a passing verdict waits for a person.
    pub const APPROVAL_REQUESTED: &str = "approval.requested";
    /// `{version, pointer, verdict_id, approved, note}`
    pub const APPROVAL_GIVEN: &str = "approval.given";
    /// `{version, rows, source}`
    pub const REFERENCE_COMPUTED: &str = "reference.computed";
    /// `{version, reason}`
    pub const REFERENCE_FAILED: &str = "reference.failed";
    /// `{pointer, config}`
    pub const DEPLOYMENT_CREATED: &str = "deployment.created";
    /// `{}`
    pub const DEPLOYMENT_DELETED: &str = "deployment.deleted";
    /// `{from, to, pointer, load_ms, changes}`; `changes` says in words what callers must know of new inputs.
    pub const DEPLOYMENT_ROLLED: &str = "deployment.rolled";
    /// `{to, pointer, reason}`
    pub const DEPLOYMENT_ROLL_FAILED: &str = "deployment.roll_failed";
    /// `{definition, from}`; without the secret of the webhook.
    pub const MONITOR_CHANGED: &str = "monitor.changed";
    /// `{definition}`
    pub const MONITOR_DELETED: &str = "monitor.deleted";
    /// `{deployment, rule, window, evidence}`
    pub const ALERT_FIRED: &str = "alert.fired";
    /// `{deployment, rule, window, evidence}`
    pub const ALERT_RESOLVED: &str = "alert.resolved";
    /// `{role}`
    pub const USER_CREATED: &str = "user.created";
    /// `{from, role, password}`; `password` says whether there is a new one.
    pub const USER_CHANGED: &str = "user.changed";
    /// `{}`
    pub const USER_DELETED: &str = "user.deleted";
    /// `{id, user, role, scopes, expires_us}`
    pub const TOKEN_CREATED: &str = "token.created";
    /// `{id}`
    pub const TOKEN_REVOKED: &str = "token.revoked";
    /// `{}`
    pub const WORKSPACE_CREATED: &str = "workspace.created";
    /// `{}`
    pub const WORKSPACE_CHANGED: &str = "workspace.changed";
    /// `{}`
    pub const WORKSPACE_DELETED: &str = "workspace.deleted";
    /// `{by}`: `password`, `token`, or the provider that vouched.
    pub const SESSION_STARTED: &str = "session.started";
    /// `{issuer, subject}`: the user came from a provider.
    pub const USER_VOUCHED: &str = "user.vouched";
    /// `{from, role}`: what a user is to a workspace other than its own; no role is that it is no more.
    pub const MEMBER_CHANGED: &str = "member.changed";
    /// `{digest, dir, from}`; `digest` and `from` are of the text of the definition.
    pub const PIPELINE_CHANGED: &str = "pipeline.changed";
    /// `{}`
    pub const PIPELINE_DELETED: &str = "pipeline.deleted";
    /// `{run_id, trigger, reason}`
    pub const PIPELINE_STARTED: &str = "pipeline.started";
    /// `{run_id, steps}`
    pub const PIPELINE_SUCCEEDED: &str = "pipeline.succeeded";
    /// `{run_id, step, reason}`
    pub const PIPELINE_FAILED: &str = "pipeline.failed";
    /// `{definition, run_id}`
    pub const SWEEP_CREATED: &str = "sweep.created";
    /// `{from, to}`: states.
    pub const SWEEP_CHANGED: &str = "sweep.changed";
}
