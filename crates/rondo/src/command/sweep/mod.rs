//! `rondo sweep`.

mod attempt;
mod board;
mod link;
mod template;
mod work;
mod yaml;

use std::path::Path;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Session, show};
use crate::cli::Sweep;
use crate::client::segment;
use crate::term;

pub(crate) async fn run(session: &Session, what: Sweep) -> anyhow::Result<()> {
    match what {
        Sweep::Create { file } => create(session, &file).await,
        Sweep::List => list(session).await,
        Sweep::Show { name, limit } => one(session, &name, limit).await,
        Sweep::Pause { name } => change(session, &name, "pause", &json!({})).await,
        Sweep::Resume { name, trials } => change(session, &name, "resume", &json!({ "trials": trials })).await,
        Sweep::Stop { name } => change(session, &name, "stop", &json!({})).await,
        Sweep::Cancel { name } => change(session, &name, "cancel", &json!({})).await,
        Sweep::Delete { name } => {
            let answer = session.client.send(Method::DELETE, &path(&name), &json!({})).await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!("sweep {name} is forgotten; its runs stay"));
            Ok(())
        }
        Sweep::Work(what) => work::run(session, &what).await,
    }
}

async fn create(session: &Session, file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let definition: Value = if is_yaml {
        yaml::read(&text).with_context(|| format!("{} is not valid YAML", file.display()))?
    } else {
        toml::from_str(&text).with_context(|| format!("{} is not valid TOML", file.display()))?
    };
    let answer = session.client.send(Method::POST, "/api/v1/sweeps", &definition).await?;
    if session.json {
        return term::json(&answer);
    }
    let name = show::cell(&answer["name"]);
    term::line(board::summary(&answer));
    term::line(format!("work on it with `rondo sweep work {name} -- COMMAND`"));
    Ok(())
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/api/v1/sweeps").await?;
    if session.json {
        return term::json(&answer);
    }
    let row = |sweep: &Value| {
        let definition = &sweep["definition"];
        vec![
            show::cell(&sweep["name"]),
            show::cell(&sweep["state"]),
            show::cell(&definition["method"]),
            format!("{}/{}", sweep["ended"], sweep["trials"]),
            show::cell(&definition["metric"]),
            show::cell(&sweep["best"]["value"]),
            show::time(&sweep["created_us"]),
        ]
    };
    let rows: Vec<Vec<String>> = answer["sweeps"].as_array().into_iter().flatten().map(row).collect();
    term::table(&["name", "state", "method", "trials", "metric", "best", "created"], &rows);
    Ok(())
}

async fn one(session: &Session, name: &str, limit: u32) -> anyhow::Result<()> {
    let mut sweep = session.client.get(&path(name)).await?;
    let trials = session.client.get(&format!("{}/trials?limit={limit}", path(name))).await?;
    if session.json {
        sweep["trial_list"] = trials["trials"].clone();
        return term::json(&sweep);
    }
    term::line(board::summary(&sweep));
    let rows: Vec<Vec<String>> = trials["trials"].as_array().into_iter().flatten().map(work::trial_cells).collect();
    term::table(&["trial", "state", "value", "step", "params", "attempt", "worker", "ended"], &rows);
    Ok(())
}

async fn change(session: &Session, name: &str, what: &str, body: &Value) -> anyhow::Result<()> {
    let answer = session.client.send(Method::POST, &format!("{}/{what}", path(name)), body).await?;
    if session.json {
        return term::json(&answer);
    }
    term::line(board::summary(&answer));
    Ok(())
}

fn path(name: &str) -> String {
    format!("/api/v1/sweeps/{}", segment(name))
}
