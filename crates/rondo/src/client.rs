//! The command line as a client of `/api/v1`.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::term::hinted;

/// How long an exchange may take before the server counts as away.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection to a server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    base: String,
    user: String,
    token: Option<String>,
    workspace: Option<String>,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let base = config.server().to_owned();
        if !reqwest::Url::parse(&base).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(hinted(
                format!("`{base}` is not the address of a server"),
                "write http://HOST:PORT, e.g. http://127.0.0.1:5000",
            ));
        }
        let (token, workspace) = (config.token().map(str::to_owned), config.workspace().map(str::to_owned));
        Ok(Self { base, user: config.user(), token, workspace, http: reqwest::Client::new() })
    }

    /// The address of the server.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// What it proves itself with.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The workspace it works in, if it is not the token's own.
    pub(crate) fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// Fetches JSON.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// Sends JSON and reads JSON.
    pub(crate) async fn send<B: Serialize>(&self, method: Method, path: &str, body: &B) -> anyhow::Result<Value> {
        self.call(method, path, Some(body)).await
    }

    /// Sends JSON and reads status and JSON, whatever they are; an error is a server that is away.
    pub(crate) async fn exchange<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> reqwest::Result<(reqwest::StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.proven(request).send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    /// Sends bytes of a media type and reads JSON.
    pub(crate) async fn upload(&self, path: &str, media_type: &str, bytes: Vec<u8>) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", media_type).body(bytes);
        self.answer(request).await?.json().await.context("the server's answer is not JSON")
    }

    /// Fetches text.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let request = self.http.get(format!("{}{path}", self.base));
        Ok(self.answer(request).await?.text().await?)
    }

    /// Asks for an answer that is read piece by piece.
    pub(crate) async fn stream(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        self.answer(self.http.get(format!("{}{path}", self.base))).await
    }

    async fn call<B: Serialize>(&self, method: Method, path: &str, body: Option<&B>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await?.json().await.context("the server's answer is not JSON")
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let response = self.proven(request).send().await.map_err(|error| {
            hinted(
                format!("no server answers at {} ({})", self.base, error.without_url()),
                "start one with `rondo up`, or name another with --server URL",
            )
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body: Value = response.json().await.unwrap_or_default();
        let message =
            body["error"]["message"].as_str().map_or_else(|| format!("the server answered {status}"), str::to_owned);
        match body["error"]["hint"].as_str() {
            Some(hint) => Err(hinted(message, hint)),
            None => Err(anyhow::anyhow!(message)),
        }
    }

    fn proven(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request.header("x-rondo-user", &self.user),
        };
        match &self.workspace {
            Some(workspace) => request.header("x-mlflow-workspace", workspace),
            None => request,
        }
    }
}

/// A name as one segment of a path: a slash or a question mark in it must not lead elsewhere.
pub(crate) fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _infallible = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment() {
        let check = |name: &str, expect: &str| assert_eq!(segment(name), expect);
        check("visit-reranker_1.2~@x", "visit-reranker_1.2~@x");
        check("../models", "..%2Fmodels");
        check("a?b#c", "a%3Fb%23c");
        check("50% é", "50%25%20%C3%A9");
    }
}
