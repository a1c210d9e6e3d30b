//! `rondo reproduce RUN`.

use std::process::ExitCode;

use record::restore::Kind;

use crate::cli::Reproduce;
use crate::reproduction::{Options, reproduce};
use crate::term;
use crate::transfer::Server;

/// Repeats a run, says how close it came, and tells it by the exit code too.
pub(super) async fn run(server: Server, what: Reproduce, json: bool) -> anyhow::Result<ExitCode> {
    let options = Options {
        run_id: what.run,
        tolerances: what.tol.into_iter().collect(),
        environment: if what.env == "relock" { Kind::Relock } else { Kind::Exact },
        keep: what.keep,
    };
    let report = reproduce(server, &options).await?;
    if json {
        term::json(&report)?;
    } else {
        report.tell();
    }
    Ok(ExitCode::from(report.exit_code()))
}
