//! `rondo monitor`.

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Session, show};
use crate::cli::Monitor;
use crate::client::segment;
use crate::term;

pub(crate) async fn run(session: &Session, what: Monitor) -> anyhow::Result<()> {
    match what {
        Monitor::List => {
            let answer = session.client.get("/api/v1/monitors").await?;
            if session.json {
                return term::json(&answer);
            }
            let fields = ["name", "deployment", "last_window_us", "firing"];
            term::table(&show::headings(&fields), &show::rows(&answer["monitors"], &fields));
        }
        Monitor::Show { name } => show_one(session, &name).await?,
        Monitor::Apply { name, file } => {
            let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            let definition: Value = if file.extension().is_some_and(|ext| ext == "toml") {
                toml::from_str(&text).with_context(|| format!("{} is not valid TOML", file.display()))?
            } else {
                serde_json::from_str(&text).with_context(|| format!("{} is not valid JSON", file.display()))?
            };
            let answer =
                session.client.send(Method::PUT, &format!("/api/v1/monitors/{}", segment(&name)), &definition).await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!("monitor {name} watches {}", show::cell(&answer["deployment"])));
        }
        Monitor::Delete { name } => {
            let answer = session
                .client
                .send(Method::DELETE, &format!("/api/v1/monitors/{}", segment(&name)), &json!({}))
                .await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!("monitor {name} is gone"));
        }
        Monitor::Alerts => {
            let answer = session.client.get("/api/v1/alerts").await?;
            if session.json {
                return term::json(&answer);
            }
            let fields = ["monitor", "rule", "state", "severity", "since_us"];
            term::table(&show::headings(&fields), &show::rows(&answer["alerts"], &fields));
        }
    }
    Ok(())
}

async fn show_one(session: &Session, name: &str) -> anyhow::Result<()> {
    let monitor = session.client.get(&format!("/api/v1/monitors/{}", segment(name))).await?;
    let windows = session.client.get(&format!("/api/v1/monitors/{}/windows", segment(name))).await?;
    if session.json {
        return term::json(&json!({ "monitor": monitor, "windows": windows["windows"] }));
    }
    term::line(format!("{} watches {}", term::bold(name), show::cell(&monitor["deployment"])));
    let row = |window: &Value| {
        vec![
            show::time(&window["from_us"]),
            show::time(&window["until_us"]),
            show::cell(&window["n"]),
            show::cell(&window["outcomes"]),
            show::cell(&window["drift"]["drifted"]),
        ]
    };
    let rows: Vec<Vec<String>> = windows["windows"].as_array().into_iter().flatten().map(row).collect();
    term::table(&["from", "until", "rows", "outcomes", "drifted"], &rows);
    Ok(())
}
