//! `rondo deployment`.

use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Session, show};
use crate::cli::Deployment;
use crate::client::segment;
use crate::term;

const FIELDS: [&str; 7] = ["name", "pointer", "version", "state", "since_us", "predictions", "errors"];

/// How long `create` waits for the first version to load.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(session: &Session, what: Deployment) -> anyhow::Result<()> {
    match what {
        Deployment::List => {
            let answer = session.client.get("/api/v1/deployments").await?;
            if session.json {
                return term::json(&answer);
            }
            term::table(&show::headings(&FIELDS), &show::rows(&answer["deployments"], &FIELDS));
        }
        Deployment::Show { name } => {
            let answer = session.client.get(&format!("/api/v1/deployments/{}", segment(&name))).await?;
            if session.json {
                return term::json(&answer);
            }
            term::table(&show::headings(&FIELDS), &show::rows(&json!([answer]), &FIELDS));
        }
        Deployment::Create { name, pointer } => {
            let path = format!("/api/v1/deployments/{}", segment(&name));
            session.client.send(Method::PUT, &path, &json!({ "pointer": pointer })).await?;
            let answer = settled(session, &path).await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!("deployment {name} follows {pointer}: {}", tell(&answer)));
        }
        Deployment::Delete { name } => {
            let answer = session
                .client
                .send(Method::DELETE, &format!("/api/v1/deployments/{}", segment(&name)), &json!({}))
                .await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!("deployment {name} is gone; its model and its log stay"));
        }
        Deployment::Predict { name, file } => {
            let text = if file.as_os_str() == "-" {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            } else {
                std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?
            };
            let request: Value =
                serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
            let answer = session
                .client
                .send(Method::POST, &format!("/deployments/{}/predict", segment(&name)), &request)
                .await?;
            term::json(&answer)?;
        }
    }
    Ok(())
}

/// A new deployment, once it serves, or once it is clear that there is nothing to serve yet. Loading goes on if it takes longer.
async fn settled(session: &Session, path: &str) -> anyhow::Result<Value> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let idle = session.client.get("/api/v1/loop").await?["idle"] == json!(true);
        let answer = session.client.get(path).await?;
        if idle || answer["state"] != json!("empty") || tokio::time::Instant::now() > deadline {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a new deployment does.
fn tell(answer: &Value) -> String {
    let url = show::cell(&answer["predict_url"]);
    match (answer["version"].as_str(), answer["failure"].as_str()) {
        (Some(version), _) => format!("version {version} answers POST {url}"),
        (None, Some(failure)) => format!("it cannot serve what is there: {failure}"),
        (None, None) => format!("nothing is there yet; the first version to get there will answer POST {url}"),
    }
}
