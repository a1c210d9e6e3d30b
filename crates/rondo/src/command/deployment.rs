//! `rondo deployment`.

use std::io::Read as _;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Session, show};
use crate::cli::Deployment;
use crate::term;

const FIELDS: [&str; 7] = ["name", "pointer", "version", "state", "since_us", "predictions", "errors"];

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
            let answer = session.client.get(&format!("/api/v1/deployments/{name}")).await?;
            if session.json {
                return term::json(&answer);
            }
            term::table(&show::headings(&FIELDS), &show::rows(&json!([answer]), &FIELDS));
        }
        Deployment::Create { name, pointer } => {
            let path = format!("/api/v1/deployments/{name}");
            let answer = session.client.send(Method::PUT, &path, &json!({ "pointer": pointer })).await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!("deployment {name} follows {pointer}: POST {}", show::cell(&answer["predict_url"])));
        }
        Deployment::Delete { name } => {
            let answer =
                session.client.send(Method::DELETE, &format!("/api/v1/deployments/{name}"), &json!({})).await?;
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
            let answer = session.client.send(Method::POST, &format!("/deployments/{name}/predict"), &request).await?;
            term::json(&answer)?;
        }
    }
    Ok(())
}
