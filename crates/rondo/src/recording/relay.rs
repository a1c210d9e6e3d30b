//! The address that the command takes for its tracking server.
//!
//! What it logs to its run is written into the spool, then sent at once; while the server is away, the spool alone answers. What
//! the server says is what the command hears, so MLflow's errors stay MLflow's. All other calls are handed on as they are.
//!
//! A word in the path proves that a caller was started by us: other users of the machine must not log in our name.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use record::manifest::Data;
use record::spool::{Entry, FILES, Target};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::Sender;
use super::sender::locked;
use crate::transfer::{Refused, proxied};

/// The lane of what the command logs.
const LANE: &str = "relay";
/// The largest body of a call that is not a file.
const BODY: usize = 64 << 20;
/// Calls that are kept when they are about the run of the command.
const KEPT: [&str; 8] = [
    "/runs/log-batch",
    "/runs/log-metric",
    "/runs/log-parameter",
    "/runs/set-tag",
    "/runs/delete-tag",
    "/runs/log-inputs",
    "/runs/outputs",
    "/runs/update",
];

/// What the command reported about its data.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs(Arc<Mutex<Vec<(String, String, String)>>>);

struct Relay {
    sender: Arc<Sender>,
    secret: String,
    inputs: Inputs,
    /// Whether the command may still choose the experiment, and which one it asked for last.
    choice: Mutex<Choice>,
    /// Where artifacts of the run seem to go as long as the server has not said it.
    provisional: String,
}

/// `mlflow.set_experiment` asks for an experiment before `mlflow.start_run` asks for the run.
#[derive(Debug, Default)]
struct Choice {
    open: bool,
    asked: Option<String>,
}

/// Starts to listen. `open` leaves the choice of the experiment to the command. Answers with the address for the command, and with what will have been reported about data.
pub(super) async fn start(sender: Arc<Sender>, open: bool) -> anyhow::Result<(String, Inputs)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let inputs = Inputs::default();
    let secret = kernel::id::random_hex();
    let url = format!("http://127.0.0.1:{}/{secret}", listener.local_addr()?.port());
    let provisional = format!("mlflow-artifacts:/rondo-run/{}", sender.about().run_id);
    let choice = Mutex::new(Choice { open, asked: None });
    let relay = Arc::new(Relay { sender, secret, inputs: inputs.clone(), choice, provisional });
    let router = Router::new().fallback(handle).with_state(relay);
    kernel::task::spawn("relay a run", async move {
        drop(axum::serve(listener, router).await);
    });
    Ok((url, inputs))
}

async fn handle(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let Some(path) = path.strip_prefix('/').and_then(|path| path.strip_prefix(relay.secret.as_str())) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let answer = match (request.method().clone(), call(path)) {
        (Method::POST | Method::PATCH | Method::PUT, Some(name)) if KEPT.contains(&name) => {
            relay.keep(name, path, request).await
        }
        (Method::GET, Some("/runs/get")) => relay.run(path, request).await,
        (Method::GET, Some("/experiments/get-by-name" | "/experiments/get"))
        | (Method::POST, Some("/experiments/create")) => relay.experiment(path, request).await,
        (Method::PUT, _) => match relay.own_artifact(path) {
            Some(put) => relay.keep_file(put, request).await,
            None => relay.hand_on(path, request).await,
        },
        _ => relay.hand_on(path, request).await,
    };
    answer.unwrap_or_else(|error| {
        let body =
            json!({ "error_code": "INTERNAL_ERROR", "message": format!("the run cannot be recorded: {error:#}") });
        (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
    })
}

/// The name of a call of the tracking protocol.
fn call(path: &str) -> Option<&str> {
    let versions = ["/api/2.0/mlflow", "/api/3.0/mlflow", "/ajax-api/2.0/mlflow", "/ajax-api/3.0/mlflow"];
    versions.into_iter().find_map(|version| path.strip_prefix(version)).filter(|rest| rest.starts_with('/'))
}

impl Relay {
    /// A call about a run: into the spool if it is ours.
    async fn keep(&self, name: &str, path: &str, request: Request) -> anyhow::Result<Response> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, BODY).await?;
        let about = self.sender.about();
        let parsed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let given = parsed["run_id"].as_str().or_else(|| parsed["run_uuid"].as_str());
        if given != Some(about.run_id.as_str()) {
            return self.hand_on(path, Request::from_parts(parts, Body::from(bytes))).await;
        }
        if name == "/runs/log-inputs" {
            self.inputs.note(&parsed);
        }
        let position = self.sender.append(LANE, &Entry::Post { post: name.to_owned(), body: parsed })?;
        let sent = self.sender.drain(LANE).await;
        match self.sender.answer(LANE, position) {
            Some(Ok(answer)) => Ok(Json(answer).into_response()),
            Some(Err(refused)) => Ok(no(&refused)),
            None => {
                if let Err(error) = sent
                    && let Some(refused) = error.downcast_ref::<Refused>()
                {
                    return Ok(no(refused));
                }
                let update = name == "/runs/update";
                Ok(Json(if update { json!({ "run_info": self.info() }) } else { json!({}) }).into_response())
            }
        }
    }

    /// An artifact of the run: into the spool, then on its way.
    async fn keep_file(&self, put: String, request: Request) -> anyhow::Result<Response> {
        let (file, place) = self.sender.spool().file();
        let mut writer = tokio::fs::File::create(&place).await?;
        let mut pieces = request.into_body().into_data_stream();
        while let Some(piece) = pieces.next().await {
            writer.write_all(&piece?).await?;
        }
        writer.flush().await?;
        drop(writer);
        let position = self.sender.append(FILES, &Entry::Put { put, file })?;
        let sent = self.sender.drain(FILES).await;
        if let Some(Err(refused)) = self.sender.answer(FILES, position) {
            return Ok(no(&refused));
        }
        match sent.as_ref().err().and_then(|error| error.downcast_ref::<Refused>()) {
            Some(refused) => Ok(no(refused)),
            None => Ok(Json(json!({})).into_response()),
        }
    }

    /// The path below the run's artifacts of a file that is to be put there.
    fn own_artifact(&self, path: &str) -> Option<String> {
        let below = path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/")?;
        let below = percent_decoded(below)?;
        let target = self.sender.about().target;
        let places = [target.as_ref().map(|target| target.artifact_uri.as_str()), Some(self.provisional.as_str())];
        places.into_iter().flatten().find_map(|place| {
            let rest = below.strip_prefix(proxied(place)?.trim_matches('/'))?.strip_prefix('/')?;
            Some(rest.to_owned())
        })
    }

    /// The run, as the server has it; while that is away, as far as it is known here.
    async fn run(&self, path: &str, request: Request) -> anyhow::Result<Response> {
        let run_id = self.sender.about().run_id;
        let asked = request.uri().query().unwrap_or_default().split('&').any(|pair| {
            pair.split_once('=').is_some_and(|(name, value)| matches!(name, "run_id" | "run_uuid") && value == run_id)
        });
        if asked {
            self.choose().await;
        }
        let answer = self.hand_on(path, request).await?;
        if !asked || answer.status() != StatusCode::SERVICE_UNAVAILABLE {
            return Ok(answer);
        }
        let data = json!({ "metrics": [], "params": [], "tags": [] });
        Ok(Json(json!({ "run": { "info": self.info(), "data": data, "inputs": {} } })).into_response())
    }

    /// A call about an experiment, which may be the one that the command wants its run in.
    async fn experiment(&self, path: &str, request: Request) -> anyhow::Result<Response> {
        let answer = self.hand_on(path, request).await?;
        if answer.status() != StatusCode::OK || !locked(&self.choice).open {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, BODY).await?;
        let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let id = told["experiment"]["experiment_id"].as_str().or_else(|| told["experiment_id"].as_str());
        locked(&self.choice).asked = id.map(str::to_owned);
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }

    /// Puts the run where the command wants it: MLflow's client refuses a run that is in another experiment than the one that was
    /// set. A server that is away leaves the run where it is.
    async fn choose(&self) {
        let wanted = {
            let mut choice = locked(&self.choice);
            let wanted = if choice.open { choice.asked.take() } else { None };
            choice.open = false;
            wanted
        };
        let about = self.sender.about();
        let (Some(wanted), Some(target)) = (wanted, about.target) else { return };
        if wanted == target.experiment_id {
            return;
        }
        let (path, body) = (format!("/api/v1/runs/{}/experiment", about.run_id), json!({ "experiment_id": wanted }));
        if self.sender.call(Method::POST, &path, &[], Some(&body)).await.is_ok() {
            drop(self.sender.change(|about| about.target = Some(Target { experiment_id: wanted, ..target })));
        }
    }

    fn info(&self) -> Value {
        let about = self.sender.about();
        let target = about
            .target
            .unwrap_or_else(|| Target { experiment_id: "0".to_owned(), artifact_uri: self.provisional.clone() });
        json!({
            "run_id": about.run_id, "run_uuid": about.run_id, "run_name": about.name, "experiment_id": target.experiment_id,
            "user_id": about.user, "status": "RUNNING", "start_time": about.start_ms, "artifact_uri": target.artifact_uri,
            "lifecycle_stage": "active",
        })
    }

    /// Any other call. What was logged before it is sent before it, so that it reads what was written.
    async fn hand_on(&self, path: &str, request: Request) -> anyhow::Result<Response> {
        for lane in [FILES, LANE] {
            drop(self.sender.drain(lane).await);
        }
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let (parts, body) = request.into_parts();
        if let Err(away) = self.sender.is_away() {
            return Ok(unavailable(&away.to_string()));
        }
        let headers = passed_on(parts.headers);
        let body = reqwest::Body::wrap_stream(body.into_data_stream());
        let answer = self.sender.server().hand_on(parts.method, &format!("{path}{query}"), headers, body).await;
        let answer = match self.sender.heard(answer.map_err(Into::into)) {
            Ok(answer) => answer,
            Err(error) => return Ok(unavailable(&error.to_string())),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = passed_on(answer.headers().clone());
        *response.body_mut() = Body::from_stream(answer.bytes_stream());
        Ok(response)
    }
}

impl Inputs {
    fn note(&self, body: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for input in body["datasets"].as_array().into_iter().flatten() {
            let dataset = &input["dataset"];
            locked(&self.0).push((text(&dataset["name"]), text(&dataset["digest"]), text(&dataset["source"])));
        }
    }

    /// The data that was reported, files with their digests. Blocking.
    pub(super) fn take(&self, root: Option<&str>, dir: &str) -> Vec<Data> {
        let reported = std::mem::take(&mut *locked(&self.0));
        let known = |(name, digest, source): &(String, String, String)| {
            record::capture::dataset(name, digest, source, root.map(Path::new), Path::new(dir))
        };
        reported.iter().flat_map(known).collect()
    }
}

/// Headers that speak of one connection are not for the next.
fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::EXPECT] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers
}

fn no(refused: &Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(json!({ "error_code": refused.code, "message": refused.message }))).into_response()
}

/// MLflow's client tries again what is answered like this.
fn unavailable(why: &str) -> Response {
    let body = json!({ "error_code": "TEMPORARILY_UNAVAILABLE", "message": format!("the server is away: {why}") });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_protocol_are_known_under_all_prefixes() {
        assert_eq!(call("/api/2.0/mlflow/runs/log-batch"), Some("/runs/log-batch"));
        assert_eq!(call("/ajax-api/3.0/mlflow/runs/get"), Some("/runs/get"));
        assert_eq!(call("/api/2.0/mlflow-artifacts/artifacts/0/x"), None);
        assert_eq!(call("/api/v1/runs"), None);
    }

    #[test]
    fn a_path_is_decoded() {
        assert_eq!(percent_decoded("a%20b/%C3%A9").as_deref(), Some("a b/é"));
        assert_eq!((percent_decoded("a%2"), percent_decoded("%zz")), (None, None));
    }
}
