//! `rondo model`.

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Session, show};
use crate::cli::Model;
use crate::client::segment;
use crate::term;

pub(crate) async fn run(session: &Session, what: Model) -> anyhow::Result<()> {
    match what {
        Model::List => list(session).await,
        Model::Show { name } => show_one(session, &name).await,
        Model::History { name } => history(session, &name).await,
        Model::Policy { name, mode, approve, metric, margin, min_rows } => {
            let change = json!({
                "mode": mode, "approve": approve, "metric": metric, "margin": margin, "min_rows": min_rows,
            });
            policy(session, &name, change).await
        }
        Model::Evaluate { name, version } => {
            let path = format!("/api/v1/models/{}/versions/{}/evaluate", segment(&name), segment(&version));
            let answer = session.client.send(Method::POST, &path, &json!({})).await?;
            let text = match show::cell(&answer["pointers"]) {
                none if none.is_empty() => format!("version {version} of {name} holds every pointer that is in use"),
                pointers => format!("version {version} of {name} is being evaluated for {pointers}"),
            };
            tell(session, &answer, text)
        }
        Model::Promote { name, version, to, reason } => {
            let path = format!("/api/v1/models/{}/versions/{}/promote", segment(&name), segment(&version));
            let answer = session.client.send(Method::POST, &path, &json!({ "pointer": to, "reason": reason })).await?;
            tell(session, &answer, format!("{to} of {name} is now version {version}"))
        }
        Model::Approve { name, verdict, note } => decide(session, &name, &verdict, true, &note).await,
        Model::Reject { name, verdict, note } => decide(session, &name, &verdict, false, &note).await,
        Model::Reference { name, version, file } => {
            let media = if file.extension().is_some_and(|ext| ext == "parquet") {
                "application/vnd.apache.parquet"
            } else {
                "text/csv"
            };
            let bytes = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            let path = format!("/api/v1/models/{}/versions/{}/reference", segment(&name), segment(&version));
            let answer = session.client.upload(&path, media, bytes).await?;
            tell(session, &answer, format!("version {version} of {name} has a new reference"))
        }
    }
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/api/v1/models").await?;
    if session.json {
        return term::json(&answer);
    }
    let fields = ["name", "production_version", "latest_version", "aliases"];
    term::table(&["name", "production", "latest", "aliases"], &show::rows(&answer["models"], &fields));
    Ok(())
}

async fn show_one(session: &Session, name: &str) -> anyhow::Result<()> {
    let answer = session.client.get(&format!("/api/v1/models/{}", segment(name))).await?;
    if session.json {
        return term::json(&answer);
    }
    term::line(format!("{}  policy: {}", term::bold(name), show::cell(&answer["policy"])));
    let fields = ["version", "stage", "aliases", "run_id", "created_us"];
    term::table(&show::headings(&fields), &show::rows(&answer["versions"], &fields));
    if answer["verdicts"].as_array().is_some_and(|verdicts| !verdicts.is_empty()) {
        term::line("");
        let fields =
            ["id", "version", "champion", "state", "metric", "difference", "low", "high", "rows", "created_us"];
        term::table(&show::headings(&fields), &show::rows(&answer["verdicts"], &fields));
    }
    Ok(())
}

async fn history(session: &Session, name: &str) -> anyhow::Result<()> {
    let answer = session.client.get(&format!("/api/v1/models/{}/history", segment(name))).await?;
    if session.json {
        return term::json(&answer);
    }
    for event in answer["events"].as_array().into_iter().flatten() {
        let when = term::dim(&show::time(&event["at_us"]));
        term::line(format!(
            "{when}  {:<20} {:<18} {}",
            show::cell(&event["kind"]),
            show::cell(&event["actor"]),
            tale(event)
        ));
    }
    Ok(())
}

/// What an event says, in a few words; the whole evidence is in `--json`.
fn tale(event: &Value) -> String {
    let payload = &event["payload"];
    let field = |name: &str| show::cell(&payload[name]);
    match event["kind"].as_str().unwrap_or_default() {
        "pointer.moved" => {
            let unproven = if payload["unproven"] == json!(true) { ", unproven" } else { "" };
            format!("{}: {} -> {} ({}{unproven})", field("pointer"), field("from"), field("to"), field("reason"))
        }
        "deployment.rolled" => format!(
            "{}: {} -> {} in {} ms",
            show::cell(&event["subject"]),
            field("from"),
            field("to"),
            field("load_ms")
        ),
        "verdict.passed" | "verdict.failed" => {
            format!("version {} against {}: {}", field("version"), field("champion"), field("summary"))
        }
        "alert.fired" | "alert.resolved" => format!("{} {}", field("deployment"), field("rule")),
        _ => payload
            .as_object()
            .map(|map| {
                let short = map.iter().filter(|(_, value)| !value.is_object() && !value.is_null());
                short.map(|(key, value)| format!("{key}={}", show::cell(value))).collect::<Vec<_>>().join(" ")
            })
            .unwrap_or_default(),
    }
}

async fn policy(session: &Session, name: &str, change: Value) -> anyhow::Result<()> {
    let path = format!("/api/v1/models/{}/policy", segment(name));
    let set: Map<String, Value> = change
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let answer = if set.is_empty() {
        session.client.get(&path).await?
    } else {
        session.client.send(Method::PATCH, &path, &set).await?
    };
    if session.json {
        return term::json(&answer);
    }
    for (key, value) in answer.as_object().into_iter().flatten() {
        term::line(format!("{key:<14} {}", show::cell(value)));
    }
    Ok(())
}

async fn decide(session: &Session, name: &str, verdict: &str, approved: bool, note: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/models/{}/verdicts/{}/approve", segment(name), segment(verdict));
    let answer = session.client.send(Method::POST, &path, &json!({ "approved": approved, "note": note })).await?;
    tell(session, &answer, format!("verdict {verdict} is {}", if approved { "approved" } else { "rejected" }))
}

fn tell(session: &Session, answer: &Value, text: String) -> anyhow::Result<()> {
    if session.json {
        return term::json(answer);
    }
    term::line(text);
    Ok(())
}
