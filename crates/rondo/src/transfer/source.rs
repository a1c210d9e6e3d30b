//! Where things come from: a running server, or what a tool left on disk.

use std::collections::HashSet;

use foreign::mlflow::{Content, Experiment, File, LoggedModel, ModelVersion, Point, RegisteredModel, Run, Store};
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Refused, Server};
use crate::client::segment;

/// Runs, and points, that are fetched at once.
const RUNS: usize = 200;
const POINTS: usize = 25_000;

/// A source.
pub(crate) enum Source {
    /// A running server.
    Server(Server),
    /// What is on disk.
    Disk(Box<dyn Store>),
}

/// Whose artifacts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    Run(&'a str),
    Model(&'a str),
}

/// A file of a source, with what is needed to fetch it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) size: Option<u64>,
    content: Option<Content>,
}

/// Where a listing goes on.
#[derive(Clone, Debug)]
pub(crate) struct Cursor(String);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Experiments {
    experiments: Vec<Experiment>,
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Runs {
    runs: Vec<Run>,
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct History {
    metrics: Vec<Point>,
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Models {
    models: Vec<LoggedModel>,
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Registered {
    registered_models: Vec<RegisteredModel>,
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Versions {
    model_versions: Vec<ModelVersion>,
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Files {
    files: Vec<Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    path: String,
    is_dir: bool,
    file_size: Option<u64>,
}

fn more(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

impl Source {
    /// What a reader passed over.
    pub(crate) fn warnings(&mut self) -> Vec<String> {
        match self {
            Self::Server(_) => Vec::new(),
            Self::Disk(store) => store.warnings(),
        }
    }

    /// All experiments, deleted ones included.
    pub(crate) async fn experiments(&mut self) -> anyhow::Result<Vec<Experiment>> {
        let server = match self {
            Self::Disk(store) => return Ok(tokio::task::block_in_place(|| store.experiments())?),
            Self::Server(server) => server,
        };
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let mut body = json!({ "view_type": "ALL", "max_results": 1_000 });
            set(&mut body, "page_token", token);
            let page: Experiments = serde_json::from_value(server.post("/experiments/search", &body).await?)?;
            found.extend(page.experiments);
            token = more(page.next_page_token);
            if token.is_none() {
                found.sort_by_key(|experiment: &Experiment| experiment.creation_time);
                return Ok(found);
            }
        }
    }

    /// Some runs of an experiment, deleted ones included, and where to go on.
    pub(crate) async fn runs(&mut self, id: &str, at: Option<Cursor>) -> anyhow::Result<(Vec<Run>, Option<Cursor>)> {
        match self {
            Self::Disk(store) => tokio::task::block_in_place(|| {
                let from: usize = at.and_then(|cursor| cursor.0.parse().ok()).unwrap_or(0);
                let ids = store.run_ids(id)?;
                let part = ids.get(from..).unwrap_or_default();
                let runs = part.iter().take(RUNS).map(|run| store.run(id, run)).collect::<Result<_, _>>()?;
                Ok((runs, (part.len() > RUNS).then(|| Cursor((from + RUNS).to_string()))))
            }),
            Self::Server(server) => {
                let mut body = json!({
                    "experiment_ids": [id], "run_view_type": "ALL", "max_results": RUNS,
                    "order_by": ["attributes.start_time ASC"],
                });
                set(&mut body, "page_token", at.map(|cursor| cursor.0));
                let page: Runs = serde_json::from_value(server.post("/runs/search", &body).await?)?;
                Ok((page.runs, more(page.next_page_token).map(Cursor)))
            }
        }
    }

    /// Some points of a metric of a run, and where to go on.
    pub(crate) async fn history(
        &mut self,
        run: &Run,
        key: &str,
        at: Option<Cursor>,
    ) -> anyhow::Result<(Vec<Point>, Option<Cursor>)> {
        let server = match self {
            Self::Disk(store) => return Ok((tokio::task::block_in_place(|| store.history(run, key))?, None)),
            Self::Server(server) => server,
        };
        let limit = POINTS.to_string();
        let mut query = vec![("run_id", run.info.run_id.as_str()), ("metric_key", key), ("max_results", &limit)];
        if let Some(cursor) = &at {
            query.push(("page_token", &cursor.0));
        }
        let page: anyhow::Result<History> = server.get("/metrics/get-history", &query).await;
        let page = match page {
            // A server over a file store does not cut histories into pages.
            Err(error)
                if at.is_none()
                    && error.downcast_ref::<Refused>().is_some_and(|no| no.message.contains("pagination")) =>
            {
                query.truncate(2);
                server.get("/metrics/get-history", &query).await?
            }
            page => page?,
        };
        Ok((page.metrics, more(page.next_page_token).map(Cursor)))
    }

    /// The logged models of an experiment that are not deleted.
    pub(crate) async fn logged_models(&mut self, id: &str) -> anyhow::Result<Vec<LoggedModel>> {
        let server = match self {
            Self::Disk(store) => return Ok(tokio::task::block_in_place(|| store.logged_models(id))?),
            Self::Server(server) => server,
        };
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let mut body = json!({ "experiment_ids": [id], "max_results": 50 });
            set(&mut body, "page_token", token);
            let page = match server.post("/logged-models/search", &body).await {
                // A server before MLflow 3 knows none.
                Err(error) if error.downcast_ref::<Refused>().is_some_and(|no| no.status == 404) => return Ok(found),
                page => serde_json::from_value::<Models>(page?)?,
            };
            found.extend(page.models);
            token = more(page.next_page_token);
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// The registered models, prompts included.
    pub(crate) async fn registered_models(&mut self) -> anyhow::Result<Vec<RegisteredModel>> {
        let server = match self {
            Self::Disk(store) => return Ok(tokio::task::block_in_place(|| store.registered_models())?),
            Self::Server(server) => server,
        };
        let mut found: Vec<RegisteredModel> = Vec::new();
        for filter in ["", "tags.`mlflow.prompt.is_prompt` = 'true'"] {
            let mut token: Option<String> = None;
            loop {
                let mut query = vec![("max_results", "100"), ("filter", filter)];
                if let Some(token) = &token {
                    query.push(("page_token", token));
                }
                let page: Registered = server.get("/registered-models/search", &query).await?;
                found.extend(page.registered_models);
                token = more(page.next_page_token);
                if token.is_none() {
                    break;
                }
            }
        }
        let mut known = HashSet::new();
        found.retain(|model| known.insert(model.name.clone()));
        Ok(found)
    }

    /// The versions of a registered model, by number.
    pub(crate) async fn versions(&mut self, name: &str) -> anyhow::Result<Vec<ModelVersion>> {
        let server = match self {
            Self::Disk(store) => return Ok(tokio::task::block_in_place(|| store.versions(name))?),
            Self::Server(server) => server,
        };
        let quote = if name.contains('\'') { '"' } else { '\'' };
        let filter = format!("name = {quote}{name}{quote}");
        let (mut found, mut token): (Vec<ModelVersion>, Option<String>) = (Vec::new(), None);
        loop {
            let mut query = vec![("filter", filter.as_str()), ("max_results", "1000")];
            if let Some(token) = &token {
                query.push(("page_token", token));
            }
            let page: Versions = server.get("/model-versions/search", &query).await?;
            found.extend(page.model_versions);
            token = more(page.next_page_token);
            if token.is_none() {
                found.sort_by_key(|version| version.version.parse::<i64>().unwrap_or(i64::MAX));
                return Ok(found);
            }
        }
    }

    /// The files of a run or a logged model; nothing if they are where this cannot see them.
    pub(crate) async fn files(&mut self, owner: Owner<'_>, location: &str) -> anyhow::Result<Option<Vec<Found>>> {
        match self {
            Self::Disk(store) => {
                let files = tokio::task::block_in_place(|| store.artifacts(location))?;
                let found = |File { path, size, content }| Found { path, size: Some(size), content: Some(content) };
                Ok(files.map(|files| files.into_iter().map(found).collect()))
            }
            Self::Server(server) => match listed(server, owner).await {
                Ok(found) => Ok(Some(found)),
                Err(error) if error.downcast_ref::<Refused>().is_some() => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// The bytes of a file, and how many they are.
    pub(crate) async fn bytes(&self, owner: Owner<'_>, file: &Found) -> anyhow::Result<(Option<u64>, reqwest::Body)> {
        match (self, &file.content) {
            (_, Some(Content::Memory(bytes))) => Ok((Some(bytes.len() as u64), bytes.clone().into())),
            (_, Some(Content::Disk(path))) => {
                let open = tokio::fs::File::open(path).await?;
                Ok((Some(open.metadata().await?.len()), open.into()))
            }
            (Self::Server(server), None) => match owner {
                Owner::Run(id) => server.download("/get-artifact", &[("run_id", id), ("path", &file.path)]).await,
                Owner::Model(id) => {
                    let path = format!("/ajax-api/2.0/mlflow/logged-models/{}/artifacts/files", segment(id));
                    server.download(&path, &[("artifact_file_path", &file.path)]).await
                }
            },
            (Self::Disk(_), None) => Ok((Some(0), Vec::new().into())),
        }
    }
}

/// All files below the root of an owner.
pub(crate) async fn listed(server: &Server, owner: Owner<'_>) -> anyhow::Result<Vec<Found>> {
    let (mut found, mut open) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = open.pop() {
        let page: Files = match owner {
            Owner::Run(id) => server.get("/artifacts/list", &[("run_id", id), ("path", &folder)]).await?,
            Owner::Model(id) => {
                let path = format!("/logged-models/{}/artifacts/directories", segment(id));
                server.get(&path, &[("artifact_directory_path", &folder)]).await?
            }
        };
        for entry in page.files {
            if entry.is_dir {
                open.push(entry.path);
            } else {
                found.push(Found { path: entry.path, size: Some(entry.file_size.unwrap_or(0)), content: None });
            }
        }
    }
    Ok(found)
}

fn set(body: &mut Value, field: &str, value: Option<String>) {
    if let Some(value) = value {
        body[field] = value.into();
    }
}
