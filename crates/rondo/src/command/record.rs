//! `rondo run -- COMMAND`.

use std::process::ExitCode;

use serde_json::json;

use super::load;
use crate::cli::{Global, Start, Up};
use crate::recording::{self, Options};
use crate::term;
use crate::transfer::Server;

/// The server that runs are recorded on: as for every command, or where MLflow's own variable leads.
pub(super) fn server(global: &Global) -> anyhow::Result<Server> {
    let config = load(global, &Up::default())?;
    let named = global.server.is_some() || std::env::var_os("RONDO_SERVER").is_some();
    let mlflow = std::env::var("MLFLOW_TRACKING_URI").ok().filter(|uri| uri.starts_with("http"));
    let base = mlflow.filter(|_| !named).unwrap_or_else(|| config.server().to_owned());
    Server::tracking(&base, &config)
}

/// Runs the command and passes its exit code on.
pub(super) async fn run(server: Server, start: Start, json: bool) -> anyhow::Result<ExitCode> {
    let experiment = std::env::var("MLFLOW_EXPERIMENT_NAME").ok().filter(|name| !name.is_empty());
    let options = Options {
        experiment: start.experiment.or(experiment),
        name: start.name,
        data: start.data,
        resume: start.resume,
        allow: start.keep_env,
        argv: start.command,
        directory: recording::here()?,
        caller: start.caller,
        quiet: json || start.caller.is_some(),
        ..Options::default()
    };
    let outcome = recording::record(server, options).await?;
    if start.caller.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    if json {
        let line = json!({
            "run_id": outcome.run_id, "status": outcome.status, "exit_code": outcome.code, "sent": outcome.sent,
        });
        term::note(line);
    } else {
        term::note(format!("run {} {}", outcome.run_id, outcome.status));
    }
    Ok(ExitCode::from(outcome.code))
}
