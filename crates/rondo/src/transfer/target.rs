//! Where things go: a running server. A Rondo server keeps ids and times; an MLflow server gives its own, and remembers ours in a tag.

use foreign::mlflow::{Experiment, LoggedModel, Run};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Server, is_missing};
use crate::client::segment;

/// The tags by which a copy on a server that gives its own ids is found again.
pub(crate) const SOURCE_RUN: &str = "rondo.source_run_id";
pub(crate) const SOURCE_MODEL: &str = "rondo.source_model_id";

/// A target.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) server: Server,
    /// Whether it keeps ids.
    pub(crate) keeps: bool,
}

/// A thing of the target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) location: String,
    pub(crate) deleted: bool,
    pub(crate) fresh: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunAnswer {
    run: Run,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ExperimentAnswer {
    experiment: Experiment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelAnswer {
    model: LoggedModel,
}

impl Target {
    /// A server, asked what it is.
    pub(crate) async fn at(server: Server) -> anyhow::Result<Self> {
        Ok(Self { keeps: server.is_rondo().await?, server })
    }

    /// The experiment of that name.
    pub(crate) async fn experiment(&self, name: &str) -> anyhow::Result<Option<Experiment>> {
        let found = self.server.get::<ExperimentAnswer>("/experiments/get-by-name", &[("experiment_name", name)]).await;
        there(found.map(|answer| answer.experiment))
    }

    /// The experiment of that name, made if there is none.
    pub(crate) async fn put_experiment(&self, experiment: &Experiment) -> anyhow::Result<Made> {
        if self.keeps {
            let body = json!({
                "name": experiment.name, "experiment_id": experiment.experiment_id, "created_ms": experiment.creation_time,
            });
            let answer = self.server.send(Method::POST, "/api/v1/import/experiments", &body).await?;
            return Ok(made(&answer, "experiment_id", "artifact_location"));
        }
        if let Some(found) = self.experiment(&experiment.name).await? {
            let deleted = found.lifecycle_stage == "deleted";
            return Ok(Made { id: found.experiment_id, location: found.artifact_location, deleted, fresh: false });
        }
        let answer = self.server.post("/experiments/create", &json!({ "name": experiment.name })).await?;
        Ok(Made { fresh: true, ..made(&answer, "experiment_id", "artifact_location") })
    }

    /// A run by its own id.
    pub(crate) async fn run(&self, id: &str) -> anyhow::Result<Option<Run>> {
        there(self.server.get::<RunAnswer>("/runs/get", &[("run_id", id)]).await.map(|answer| answer.run))
    }

    /// Starts a run, or finds it where ids are kept.
    pub(crate) async fn put_run(&self, run: &Run, experiment_id: &str) -> anyhow::Result<Made> {
        let info = &run.info;
        if self.keeps {
            let body = json!({
                "run_id": info.run_id, "experiment_id": experiment_id, "run_name": info.run_name, "user_id": info.user_id,
                "start_ms": info.start_time,
            });
            let answer = self.server.send(Method::POST, "/api/v1/import/runs", &body).await?;
            return Ok(made(&answer, "run_id", "artifact_uri"));
        }
        let body = json!({
            "experiment_id": experiment_id, "run_name": info.run_name, "user_id": info.user_id, "start_time": info.start_time,
            "tags": [{ "key": SOURCE_RUN, "value": info.run_id }],
        });
        let answer = self.server.post("/runs/create", &body).await?;
        Ok(Made { fresh: true, ..made(&answer["run"]["info"], "run_id", "artifact_uri") })
    }

    /// A logged model by its own id.
    pub(crate) async fn logged_model(&self, id: &str) -> anyhow::Result<Option<LoggedModel>> {
        let found = self.server.get::<ModelAnswer>(&format!("/logged-models/{}", segment(id)), &[]).await;
        there(found.map(|answer| answer.model))
    }

    /// Makes a logged model, or finds it where ids are kept.
    pub(crate) async fn put_logged_model(
        &self,
        model: &LoggedModel,
        experiment_id: &str,
        source_run_id: Option<&str>,
    ) -> anyhow::Result<Made> {
        let info = &model.info;
        let mut body = json!({ "experiment_id": experiment_id, "name": info.name });
        if let Some(kind) = &info.model_type {
            body["model_type"] = kind.as_str().into();
        }
        if let Some(run_id) = source_run_id {
            body["source_run_id"] = run_id.into();
        }
        if self.keeps {
            body["model_id"] = info.model_id.as_str().into();
            body["created_ms"] = info.creation_timestamp_ms.into();
            let answer = self.server.send(Method::POST, "/api/v1/import/logged-models", &body).await?;
            return Ok(made(&answer, "model_id", "artifact_location"));
        }
        body["tags"] = json!([{ "key": SOURCE_MODEL, "value": info.model_id }]);
        let answer = self.server.post("/logged-models", &body).await?;
        Ok(Made { fresh: true, ..made(&answer["model"]["info"], "model_id", "artifact_uri") })
    }
}

fn made(answer: &Value, id: &str, location: &str) -> Made {
    let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    Made {
        id: text(id),
        location: text(location),
        deleted: answer["lifecycle_stage"] == "deleted",
        fresh: answer["made"].as_bool().unwrap_or(false),
    }
}

/// What is there, or nothing.
fn there<T>(result: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
