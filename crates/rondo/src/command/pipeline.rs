//! `rondo pipeline`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Session, show};
use crate::cli::Pipeline;
use crate::client::segment;
use crate::term::{self, hinted};

pub(crate) async fn run(session: &Session, what: Pipeline) -> anyhow::Result<()> {
    match what {
        Pipeline::List => {
            let answer = session.client.get("/api/v1/pipelines").await?;
            if session.json {
                return term::json(&answer);
            }
            let fields = ["name", "steps", "triggers", "last_state", "updated_us"];
            term::table(&show::headings(&fields), &show::rows(&answer["pipelines"], &fields));
        }
        Pipeline::Show { name } => {
            let answer = session.client.get(&format!("/api/v1/pipelines/{}/runs", segment(&name))).await?;
            if session.json {
                return term::json(&answer);
            }
            let fields = ["id", "state", "trigger", "reason", "started_us", "ended_us"];
            term::table(&show::headings(&fields), &show::rows(&answer["runs"], &fields));
        }
        Pipeline::Apply { path } => apply(session, &path).await?,
        Pipeline::Start { name, params, wait } => start(session, &name, &params, wait).await?,
        Pipeline::Cancel { run } => {
            let answer = session
                .client
                .send(Method::POST, &format!("/api/v1/pipeline-runs/{}/cancel", segment(&run)), &json!({}))
                .await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!("run {run} is being stopped"));
        }
        Pipeline::Log { run, step } => {
            let text = session
                .client
                .text(&format!("/api/v1/pipeline-runs/{}/steps/{}/log", segment(&run), segment(&step)))
                .await?;
            term::line(text.trim_end());
        }
    }
    Ok(())
}

async fn apply(session: &Session, path: &Path) -> anyhow::Result<()> {
    let file = if path.is_dir() { path.join("pipeline.toml") } else { path.to_owned() };
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let parsed: toml::Table = text.parse().with_context(|| format!("{} is not valid TOML", file.display()))?;
    let name =
        parsed.get("pipeline").and_then(|section| section.get("name")).and_then(toml::Value::as_str).ok_or_else(
            || hinted(format!("{} does not say its name", file.display()), "add `name = \"...\"` to [pipeline]"),
        )?;
    let dir = file.parent().unwrap_or(Path::new(".")).canonicalize()?;
    let body = json!({ "definition": text, "dir": dir });
    let answer = session.client.send(Method::PUT, &format!("/api/v1/pipelines/{}", segment(name)), &body).await?;
    if session.json {
        return term::json(&answer);
    }
    term::line(format!("pipeline {name} is known; start it with `rondo pipeline start {name}`"));
    Ok(())
}

async fn start(session: &Session, name: &str, params: &[String], wait: bool) -> anyhow::Result<()> {
    let mut given = Map::new();
    for param in params {
        let (key, value) = param
            .split_once('=')
            .ok_or_else(|| hinted(format!("`{param}` is not a parameter"), "write --param NAME=VALUE"))?;
        given.insert(key.to_owned(), Value::String(value.to_owned()));
    }
    let path = format!("/api/v1/pipelines/{}/runs", segment(name));
    let mut answer = session.client.send(Method::POST, &path, &json!({ "params": given })).await?;
    let id = show::cell(&answer["run_id"]);
    if wait {
        answer = wait_for(session, &id).await?;
    }
    if session.json {
        return term::json(&answer);
    }
    if wait {
        term::line(format!("run {id} has {}", show::cell(&answer["state"])));
    } else {
        term::line(format!("run {id} has started; watch it with `rondo pipeline show {name}`"));
    }
    match answer["state"].as_str() {
        Some("failed" | "cancelled") => {
            Err(hinted(format!("run {id} did not succeed"), format!("read `rondo pipeline log {id} STEP`")))
        }
        _ => Ok(()),
    }
}

async fn wait_for(session: &Session, id: &str) -> anyhow::Result<Value> {
    loop {
        let run = session.client.get(&format!("/api/v1/pipeline-runs/{}", segment(id))).await?;
        if matches!(run["state"].as_str(), Some("succeeded" | "failed" | "cancelled")) {
            return Ok(run);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
