//! A server that speaks the MLflow protocol, ours or another.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::segment;
use crate::config::Config;
use crate::term::hinted;

/// The prefix of the protocol.
pub(crate) const MLFLOW: &str = "/api/2.0/mlflow";
/// How often a request is sent to a server that is away or has too much to do, and the first pause between two.
const ATTEMPTS: u32 = 7;
const PAUSE: Duration = Duration::from_millis(250);
/// How long a server may take to accept a connection, and to say the next word, before it counts as away.
const CONNECT: Duration = Duration::from_secs(3);
const READ: Duration = Duration::from_mins(1);

/// What a server refuses.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// How the caller names itself.
#[derive(Clone, Debug)]
enum Credentials {
    None,
    Basic(String, String),
    Bearer(String),
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    base: String,
    user: String,
    credentials: Credentials,
    workspace: Option<String>,
    http: reqwest::Client,
}

impl Server {
    /// The Rondo server of the configuration.
    pub(crate) fn rondo(config: &Config) -> anyhow::Result<Self> {
        let credentials = config.token().map_or(Credentials::None, |token| Credentials::Bearer(token.to_owned()));
        let workspace = config.workspace().map(str::to_owned);
        Ok(Self { workspace, ..Self::new(config.server(), &config.user(), credentials)? })
    }

    /// Any other; MLflow's own variables say who asks.
    pub(crate) fn foreign(base: &str, user: &str) -> anyhow::Result<Self> {
        let credentials = match (variable("MLFLOW_TRACKING_TOKEN"), variable("MLFLOW_TRACKING_USERNAME")) {
            (Some(token), _) => Credentials::Bearer(token),
            (None, Some(name)) => Credentials::Basic(name, variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default()),
            (None, None) => Credentials::None,
        };
        Ok(Self { workspace: variable("MLFLOW_WORKSPACE"), ..Self::new(base, user, credentials)? })
    }

    /// A Rondo server that runs log to: MLflow's variables say who asks, as for the programs that log; else the configuration.
    pub(crate) fn tracking(base: &str, config: &Config) -> anyhow::Result<Self> {
        let user = &config.user();
        let named = variable("MLFLOW_TRACKING_TOKEN").or_else(|| variable("MLFLOW_TRACKING_USERNAME"));
        let server = if named.is_some() {
            Self::foreign(base, user)?
        } else {
            let credentials = config.token().map_or(Credentials::None, |token| Credentials::Bearer(token.to_owned()));
            let workspace = config.workspace().map(str::to_owned).or_else(|| variable("MLFLOW_WORKSPACE"));
            Self { workspace, ..Self::new(base, user, credentials)? }
        };
        // A server that does not answer is away, and whoever waits for it goes on without.
        let http = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(READ).build()?;
        Ok(Self { http, ..server })
    }

    /// The address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The workspace that is asked for.
    pub(crate) fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// The same server, another workspace.
    pub(crate) fn in_workspace(self, workspace: Option<String>) -> Self {
        Self { workspace, ..self }
    }

    /// Sends once, whatever comes of it. An error that is no [`Refused`] says that the server is away.
    pub(crate) async fn once<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&B>,
    ) -> anyhow::Result<Value> {
        let mut request = self.request(method, path).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(request).await?.json().await.context("the server's answer is not JSON")
    }

    /// Hands on what another client asked, as it is, and answers as the server does.
    pub(crate) async fn hand_on(
        &self,
        method: Method,
        path_and_query: &str,
        headers: reqwest::header::HeaderMap,
        body: reqwest::Body,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let request = if headers.contains_key(reqwest::header::AUTHORIZATION) {
            self.http.request(method, format!("{}{path_and_query}", self.base))
        } else {
            self.request(method, path_and_query)
        };
        request.headers(headers).body(body).send().await
    }

    fn new(base: &str, user: &str, credentials: Credentials) -> anyhow::Result<Self> {
        let base = base.trim_end_matches('/').to_owned();
        if !reqwest::Url::parse(&base).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Err(hinted(
                format!("`{base}` is not the address of a server"),
                "write http://HOST:PORT, e.g. http://127.0.0.1:5000",
            ));
        }
        Ok(Self { base, user: user.to_owned(), credentials, workspace: None, http: reqwest::Client::new() })
    }

    /// Whether it is a Rondo server, which keeps ids.
    pub(crate) async fn is_rondo(&self) -> anyhow::Result<bool> {
        match self.value(Method::GET, "/api/v1/loop", &[], None::<&()>).await {
            Ok(answer) => Ok(answer["idle"].is_boolean()),
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(_) => Ok(false),
                None => Err(error),
            },
        }
    }

    /// Reads.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        let value = self.value(Method::GET, &format!("{MLFLOW}{path}"), query, None::<&()>).await?;
        serde_json::from_value(value).with_context(|| format!("the answer of {path} is not what is expected"))
    }

    /// Sends.
    pub(crate) async fn post<B: Serialize + ?Sized>(&self, path: &str, body: &B) -> anyhow::Result<Value> {
        self.value(Method::POST, &format!("{MLFLOW}{path}"), &[], Some(body)).await
    }

    /// Sends to any path by any method.
    pub(crate) async fn send<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> anyhow::Result<Value> {
        self.value(method, path, &[], Some(body)).await
    }

    async fn value<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&B>,
    ) -> anyhow::Result<Value> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            match self.once(method.clone(), path, query, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) if attempt < ATTEMPTS && passing(&error) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Value::Null)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base)).header("x-rondo-user", &self.user);
        let request = match &self.workspace {
            Some(workspace) => request.header("x-mlflow-workspace", workspace),
            None => request,
        };
        match &self.credentials {
            Credentials::None => request,
            Credentials::Basic(name, password) => request.basic_auth(name, Some(password)),
            Credentials::Bearer(token) => request.bearer_auth(token),
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let response = request.send().await.map_err(|error| {
            let away = error.is_connect();
            let text = format!("no server answers at {} ({})", self.base, error.without_url());
            let error = hinted(text, "start it, or name another; what was copied stays, and the same command goes on");
            if away { error.context(Away) } else { error }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body: Value = response.json().await.unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let message = text(&body["message"]).or_else(|| text(&body["error"]["message"]));
        let message = message.unwrap_or_else(|| format!("{} answered {status}", self.base));
        let code = text(&body["error_code"]).or_else(|| text(&body["error"]["kind"])).unwrap_or_default();
        Err(Refused { status: status.as_u16(), code, message }.into())
    }

    /// A file as a stream, with its size if that is known.
    pub(crate) async fn download(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<(Option<u64>, reqwest::Body)> {
        let response = self.answer(self.request(Method::GET, path).query(query)).await?;
        let size = response.content_length();
        Ok((size, reqwest::Body::wrap_stream(response.bytes_stream().map(|chunk| chunk))))
    }

    /// Reads a file of an artifact location of this server.
    pub(crate) async fn artifact(&self, location: &str, path: &str) -> anyhow::Result<Vec<u8>> {
        let response = self.answer(self.request(Method::GET, &place(location, path)?)).await?;
        Ok(response.bytes().await?.to_vec())
    }

    /// Puts a file where an artifact location of this server says.
    pub(crate) async fn upload(
        &self,
        location: &str,
        path: &str,
        size: Option<u64>,
        body: reqwest::Body,
    ) -> anyhow::Result<()> {
        let mut request = self.request(Method::PUT, &place(location, path)?).body(body);
        if let Some(size) = size {
            request = request.header("content-length", size);
        }
        self.answer(request).await.map(drop)
    }
}

/// The route of a file below an artifact location that a server itself keeps.
fn place(location: &str, path: &str) -> anyhow::Result<String> {
    let below = proxied(location).with_context(|| format!("{location} is no place that this server keeps"))?;
    let names = below.split('/').chain(path.split('/')).filter(|name| !name.is_empty()).map(segment);
    Ok(format!("/api/2.0/mlflow-artifacts/artifacts/{}", names.collect::<Vec<_>>().join("/")))
}

/// A server that does not answer now; the request may be sent again.
#[derive(Debug, thiserror::Error)]
#[error("the server is away")]
struct Away;

/// The path below the proxy of an artifact location that the server itself keeps.
pub(crate) fn proxied(location: &str) -> Option<&str> {
    let rest = location.strip_prefix("mlflow-artifacts:")?;
    match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map(|(_, path)| path),
        None => Some(rest.trim_start_matches('/')),
    }
}

fn passing(error: &anyhow::Error) -> bool {
    let busy = [StatusCode::TOO_MANY_REQUESTS.as_u16(), StatusCode::SERVICE_UNAVAILABLE.as_u16()];
    error.downcast_ref::<Away>().is_some()
        || error.downcast_ref::<Refused>().is_some_and(|refused| busy.contains(&refused.status))
}

/// Whether an error says that something is not there.
pub(crate) fn is_missing(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refused>()
        .is_some_and(|refused| refused.status == 404 || refused.code == "RESOURCE_DOES_NOT_EXIST")
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_keeps_what_its_locations_say() {
        let check = |location: &str, expect: Option<&str>| assert_eq!(proxied(location), expect, "{location}");
        check("mlflow-artifacts:/1/r/artifacts", Some("1/r/artifacts"));
        check("mlflow-artifacts://host:5000/1/r/artifacts", Some("1/r/artifacts"));
        check("s3://bucket/1/r/artifacts", None);
        check("/mlruns/1/r/artifacts", None);
    }
}
