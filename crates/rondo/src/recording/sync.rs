//! `rondo sync`: what earlier runs could not send.

use std::sync::Arc;
use std::time::Duration;

use record::spool::{self, Spool};
use serde_json::json;

use super::{Sender, end};
use crate::config::Config;
use crate::term;
use crate::transfer::Server;

/// Sends everything that waits on this disk and that no other process holds. A run whose recorder died is marked as killed.
/// `server` overrides where the runs belong.
pub(crate) async fn sync(server: Option<&str>, config: &Config, json: bool) -> anyhow::Result<()> {
    let root = spool::root();
    let mut told = Vec::new();
    for run_id in spool::runs(&root) {
        let state = match one(&root, &run_id, server, config).await {
            Ok(state) => state.to_owned(),
            Err(error) => format!("waits: {error:#}"),
        };
        told.push((run_id, state));
    }
    if json {
        let runs: Vec<_> = told.iter().map(|(run_id, state)| json!({ "run_id": run_id, "state": state })).collect();
        return term::json(&json!({ "runs": runs }));
    }
    for (run_id, state) in &told {
        term::line(format!("{run_id} {state}"));
    }
    if told.is_empty() {
        term::line("nothing waits to be sent");
    }
    if told.iter().any(|(_, state)| state.starts_with("waits")) {
        anyhow::bail!("not everything could be sent");
    }
    Ok(())
}

async fn one(
    root: &std::path::Path,
    run_id: &str,
    server: Option<&str>,
    config: &Config,
) -> anyhow::Result<&'static str> {
    let (spool, about) = match Spool::open(root, run_id) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok("was sent by another process"),
        Err(record::Error::Busy { .. }) => return Ok("is being recorded"),
        Err(error) => return Err(error.into()),
    };
    let server = Server::tracking(server.unwrap_or(&about.server), config)?.in_workspace(about.workspace.clone());
    let sender = Arc::new(Sender::new(server, spool, about.clone()));
    if !about.ended {
        let newest = std::fs::read_dir(sender.spool().dir())?
            .flatten()
            .filter_map(|entry| entry.metadata().ok()?.modified().ok());
        let end = newest.max().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let end_ms = end.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(about.start_ms);
        sender.drain_all().await?;
        end::say_last(&sender, "KILLED", about.attempt, end_ms)?;
    }
    sender.drain_all().await?;
    if end::settle(sender, Duration::ZERO, true).await {
        Ok("is sent")
    } else {
        anyhow::bail!("not everything was sent")
    }
}
