//! A server on a free port with models of `crates/serving/tests/models`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use conductor::{House, Parts};
use inference::{Model, Package};
use kernel::clock::Clock;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serving::{Fleet, Loaded};
use tempfile::TempDir;

/// A server that stops with this handle.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) house: House,
    pub(crate) http: reqwest::Client,
    task: tokio::task::JoinHandle<()>,
    _directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What scikit-learn answered.
#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) rows: Vec<Value>,
    pub(crate) predictions: Vec<Value>,
    #[serde(default)]
    pub(crate) probabilities: Vec<Vec<f64>>,
}

impl Server {
    /// A server without deployments.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(serving::Options::default()).await
    }

    pub(crate) async fn start_with(options: serving::Options) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name);
        let blob = blob::Blob::open(&at("blob").to_string_lossy())?;
        let clock = Clock::system();
        let log = telemetry::Log::open(&at("log"), blob.clone(), clock.clone(), telemetry::Options::default())?;
        let url = format!("sqlite:{}", at("rondo.db").display());
        let migrations = [serving::deployment::MIGRATIONS, monitoring::MIGRATIONS];
        let db = db::Db::open(&url, &migrations).await?;
        let fleet = Fleet::new(log.clone(), clock.clone(), options);
        let house = House::new(Parts { db, blob, log, fleet, clock, logs_dir: at("logs") });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = api::service(house.clone());
        let task = kernel::task::spawn("test server", async move {
            let _ended_with_the_test = axum::serve(listener, router).await;
        });
        Ok(Self { url, house, http: reqwest::Client::new(), task, _directory: directory })
    }

    /// A server with one deployment `d` that serves a model.
    pub(crate) async fn of(model: &str) -> anyhow::Result<Self> {
        let server = Self::start().await?;
        server.roll("d", model, "1").await?;
        Ok(server)
    }

    pub(crate) async fn roll(&self, deployment: &str, name: &str, version: &str) -> anyhow::Result<()> {
        let loaded = Loaded { model_name: "toy".to_owned(), version: version.to_owned(), model: model(name)? };
        self.house.fleet.roll(deployment, loaded).await?;
        Ok(())
    }

    /// Posts JSON text and reads JSON.
    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> anyhow::Result<(StatusCode, Value)> {
        self.post_as(path, "application/json", body).await
    }

    pub(crate) async fn post_as(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.http.post(format!("{}{path}", self.url)).header("content-type", content_type).body(body);
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((status, json))
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok((response.status(), response.text().await?))
    }

    pub(crate) async fn get_json(&self, path: &str) -> anyhow::Result<(StatusCode, Value)> {
        let (status, text) = self.get(path).await?;
        Ok((status, serde_json::from_str(&text)?))
    }
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../serving/tests/models")
}

pub(crate) fn model(name: &str) -> anyhow::Result<Arc<Model>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(models().join(name))? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if file != "expected.json" {
            files.push((file, std::fs::read(entry.path())?));
        }
    }
    inference::load(&Package::new(files)).map(Arc::new).with_context(|| format!("loading {name}"))
}

pub(crate) fn expected(name: &str) -> anyhow::Result<Expected> {
    Ok(serde_json::from_slice(&std::fs::read(models().join(name).join("expected.json"))?)?)
}

/// Equal to 1e-9 relative.
pub(crate) fn close(have: &Value, want: &Value) -> bool {
    match (have.as_f64(), want.as_f64()) {
        (Some(have), Some(want)) => (have - want).abs() <= 1e-9 * want.abs().max(1e-300),
        _ => have == want,
    }
}
