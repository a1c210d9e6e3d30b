//! Calls that outlive the server: everything the demo sends may be sent twice, so a call whose answer was lost is made again as
//! soon as the server is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::server::Server;

/// A call is given up after this long.
const PATIENCE: Duration = Duration::from_mins(5);

/// The client.
#[derive(Clone, Debug)]
pub(super) struct Api {
    server: Arc<Server>,
    http: reqwest::Client,
}

impl Api {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(2)).build().unwrap_or_default();
        Self { server, http }
    }

    /// The server it talks to.
    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Fetches JSON.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        json(&self.call(Method::GET, path, None).await?)
    }

    /// Fetches text.
    pub(super) async fn text(&self, path: &str) -> anyhow::Result<String> {
        self.call(Method::GET, path, None).await
    }

    /// Sends JSON with PUT.
    pub(super) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        json(&self.call(Method::PUT, path, Some(body.to_string())).await?)
    }

    /// Sends JSON text with POST.
    pub(super) async fn post(&self, path: &str, body: String) -> anyhow::Result<Value> {
        json(&self.call(Method::POST, path, Some(body)).await?)
    }

    /// Calls until there is an answer.
    async fn call(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.server.url());
        let begun = Instant::now();
        loop {
            let mut request = self.http.request(method.clone(), &url).header("x-rondo-user", "demo");
            if let Some(body) = &body {
                request = request.header("content-type", "application/json").body(body.clone());
            }
            match answer(request).await {
                Ok((status, text)) if status.is_success() => return Ok(text),
                Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _)) => {}
                Ok((status, text)) => bail!("{method} {path}: {}", complaint(status, &text)),
                // The connection broke: the server died, or dies at this moment.
                Err(error) if begun.elapsed() > PATIENCE => return Err(error).context("the server does not answer"),
                Err(_) => self.server.revive().await?,
            }
            if begun.elapsed() > PATIENCE {
                bail!("{method} {path}: the server is not available");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, String)> {
    let response = request.send().await?;
    let status = response.status();
    Ok((status, response.text().await?))
}

fn json(text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).context("the server's answer is not JSON")
}

fn complaint(status: StatusCode, text: &str) -> String {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    body["error"]["message"].as_str().map_or_else(|| format!("{status} {text}"), str::to_owned)
}
