//! A server on a free port with everything of its own, and a client that speaks JSON.

use std::path::PathBuf;
use std::sync::Arc;

use conductor::{House, Parts};
use kernel::clock::Clock;
use kernel::task::Stopper;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

/// A running server. It goes with this handle.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) house: House,
    client: reqwest::Client,
    _stop: Arc<tokio::task::JoinHandle<()>>,
    _loop: Option<Stopper>,
    directory: TempDir,
}

/// What an answer says: its body, or the header in which gRPC says why it refuses.
pub(crate) async fn told(response: reqwest::Response) -> String {
    let header = response.headers().get("grpc-message").and_then(|value| value.to_str().ok());
    match header.map(|text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()) {
        Some(text) => text,
        None => response.text().await.unwrap(),
    }
}

/// What a test wants of its server.
#[derive(Default)]
struct Wanted {
    turns: bool,
    calls_home: bool,
    artifacts: Option<blob::Blob>,
    edge: api::Edge,
}

impl Server {
    /// Starts one that does only what it is asked.
    pub(crate) async fn start() -> Self {
        Self::build(Wanted::default()).await
    }

    /// Starts one that does only what it is asked, with its artifacts elsewhere.
    pub(crate) async fn with_artifacts(blob: blob::Blob) -> Self {
        Self::build(Wanted { artifacts: Some(blob), ..Wanted::default() }).await
    }

    /// Starts one whose loop turns: reactions, jobs, monitors and pipelines.
    pub(crate) async fn turning() -> Self {
        Self::build(Wanted { turns: true, ..Wanted::default() }).await
    }

    /// Starts one whose loop turns and which may call this machine.
    pub(crate) async fn calling_home() -> Self {
        Self::build(Wanted { turns: true, calls_home: true, ..Wanted::default() }).await
    }

    /// Starts one that asks who calls.
    pub(crate) async fn asking() -> Self {
        let edge = api::Edge { authenticates: true, ..api::Edge::default() };
        Self::build(Wanted { edge, ..Wanted::default() }).await
    }

    async fn build(wanted: Wanted) -> Self {
        let Wanted { turns, calls_home, artifacts, edge } = wanted;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let clock = Clock::system();
        let own = blob::Blob::open(&path("objects").to_string_lossy()).unwrap();
        let blob = artifacts.unwrap_or_else(|| own.clone());
        let url = format!("sqlite:{}", path("rondo.db").display());
        let db = db::Db::open(&url, &conductor::TABLES).await.unwrap();
        let options = telemetry::Options::default();
        let log = telemetry::Log::open(&path("log"), own, clock.clone(), options).unwrap();
        let fleet = serving::Fleet::new(log.clone(), clock.clone(), serving::Options::default());
        let house = House::new(Parts { db, blob, log, fleet, clock, logs_dir: path("pipelines") });
        if calls_home {
            house.allow_private_targets();
        }
        let (stopper, shutdown) = kernel::task::shutdown();
        if turns {
            conductor::worker::start(&house, &shutdown);
            let options = pipelines::Options { logs_dir: path("pipelines"), ..pipelines::Options::default() };
            let executor = pipelines::Executor::new(house.db.clone(), options, house.clock.clone());
            kernel::task::spawn("test-executor", async move { executor.run(shutdown).await });
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = house.clone();
        let serve = kernel::task::spawn("test-server", async move {
            axum::serve(listener, api::service_with(served, edge)).await.unwrap();
        });
        let turning = turns.then_some(stopper);
        Self { url, house, client: reqwest::Client::new(), _stop: Arc::new(serve), _loop: turning, directory }
    }

    /// A folder that goes with the server.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.directory.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A request to this server.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Status and JSON of the answer; a body that is not JSON is its text.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST` of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(self.request(Method::POST, path).json(body)).await
    }
}
