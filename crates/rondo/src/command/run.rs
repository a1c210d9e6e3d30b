//! `rondo run list` and `rondo run show`.

use super::{Session, show};
use crate::cli::Look;
use crate::client::segment;
use crate::term;

pub(crate) async fn run(session: &Session, what: Look) -> anyhow::Result<()> {
    match what {
        Look::List { experiment, limit } => {
            let of = experiment.map(|name| format!("&experiment={}", segment(&name))).unwrap_or_default();
            let answer = session.client.get(&format!("/api/v1/runs?limit={limit}{of}")).await?;
            if session.json {
                return term::json(&answer);
            }
            let fields = ["run_id", "name", "status", "metrics"];
            term::table(&fields, &show::rows(&answer["runs"], &fields));
        }
        Look::Show { run } => {
            let answer = session.client.get(&format!("/api/v1/runs/{}", segment(&run))).await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!(
                "{} {} {}",
                term::bold(&show::cell(&answer["name"])),
                run,
                show::cell(&answer["status"])
            ));
            for part in ["params", "metrics", "tags"] {
                for (key, value) in answer[part].as_object().into_iter().flatten() {
                    term::line(format!("{} {key:<32} {}", term::dim(&format!("{part:<8}")), show::cell(value)));
                }
            }
        }
    }
    Ok(())
}
