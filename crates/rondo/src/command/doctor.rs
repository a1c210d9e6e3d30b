//! `rondo doctor`: what is there, what is missing and what to do.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::client::Client;
use crate::config::Config;
use crate::term;

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    detail: String,
    advice: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    Missing,
    Bad,
}

pub(crate) async fn run(config: &Config, json: bool) -> anyhow::Result<()> {
    let mut findings = vec![data_dir(config), database(config)];
    findings.push(server(config).await);
    findings.push(program(
        "python",
        &["python3", "--version"],
        "pipelines that train in Python need it (serving does not): install Python 3.10 or newer",
    ));
    findings.push(program("git", &["git", "--version"], "runs record their commit with it: install git"));
    findings.push(program("uv", &["uv", "--version"], "optional; it makes Python environments faster: pip install uv"));
    if json {
        return term::json(&findings);
    }
    for finding in &findings {
        let mark = match finding.state {
            State::Good => "ok     ",
            State::Missing => "missing",
            State::Bad => "bad    ",
        };
        term::line(format!("{mark}  {:<12} {}", finding.what, finding.detail));
        if let Some(advice) = finding.advice {
            term::line(term::dim(&format!("{:>22} {advice}", "->")));
        }
    }
    if findings.iter().any(|finding| finding.state == State::Bad) {
        return Err(term::hinted("something needs care", "do what the arrows above say"));
    }
    Ok(())
}

fn data_dir(config: &Config) -> Finding {
    let dir = config.data_dir();
    let shown = dir.display().to_string();
    let parent = if dir.exists() { dir.clone() } else { dir.parent().unwrap_or(Path::new(".")).to_owned() };
    let parent = if parent.as_os_str().is_empty() { Path::new(".").to_owned() } else { parent };
    match tempfile_in(&parent) {
        Ok(()) if dir.exists() => good("data folder", format!("{shown} is writable")),
        Ok(()) => good("data folder", format!("{shown} will be made by `rondo up`")),
        Err(error) => Finding {
            what: "data folder",
            state: State::Bad,
            detail: format!("{shown} cannot be written: {error}"),
            advice: Some("choose another with --data-dir or RONDO_DATA_DIR, or free some disk"),
        },
    }
}

fn tempfile_in(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(format!(".rondo-probe-{}", std::process::id()));
    std::fs::write(&probe, b"probe")?;
    std::fs::remove_file(probe)
}

fn database(config: &Config) -> Finding {
    let url = config.database();
    if url.starts_with("sqlite:") || url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let shown = url.split_once('@').map_or(url.clone(), |(_, host)| format!("postgres at {host}"));
        return good("database", shown);
    }
    Finding {
        what: "database",
        state: State::Bad,
        detail: format!("`{url}` is not a database URL"),
        advice: Some("write sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"),
    }
}

async fn server(config: &Config) -> Finding {
    let ready = match Client::new(config) {
        Ok(client) => client.text("/readyz").await,
        Err(error) => Err(error),
    };
    match ready {
        Ok(_) => good("server", format!("ready at {}", config.server())),
        Err(_) => Finding {
            what: "server",
            state: State::Missing,
            detail: format!("nothing is ready at {}", config.server()),
            advice: Some("start it with `rondo up`, or look at the whole loop with `rondo demo`"),
        },
    }
}

fn program(what: &'static str, call: &[&str], advice: &'static str) -> Finding {
    match Command::new(call[0]).args(&call[1..]).output() {
        Ok(output) if output.status.success() => good(what, String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        _ => Finding { what, state: State::Missing, detail: "not found".to_owned(), advice: Some(advice) },
    }
}

fn good(what: &'static str, detail: String) -> Finding {
    Finding { what, state: State::Good, detail, advice: None }
}
