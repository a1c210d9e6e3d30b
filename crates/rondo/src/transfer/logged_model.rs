//! Logged models: their files and points first, whether they are ready last.

use std::collections::HashMap;

use foreign::mlflow::{LoggedModel, ModelMetric};
use reqwest::Method;
use serde_json::json;

use super::server::MLFLOW;
use super::source::{Owner, Source};
use super::target::SOURCE_MODEL;
use super::{Copy, Place};
use crate::client::segment;

/// Points in one batch.
const POINTS: usize = 1_000;

impl Copy<'_> {
    /// Copies the logged models of an experiment whose runs are there.
    pub(super) async fn logged_models(&mut self, id: &str, target_id: &str) -> anyhow::Result<()> {
        let models = self.source.logged_models(id).await?;
        if models.is_empty() {
            return Ok(());
        }
        let mut known = HashMap::new();
        if !self.target.keeps {
            for there in Source::Server(self.target.server.clone()).logged_models(target_id).await? {
                if let Some(tag) = there.info.tags.iter().find(|tag| tag.key == SOURCE_MODEL) {
                    known.insert(tag.value.clone(), there.info.model_id.clone());
                }
            }
        }
        for model in models {
            self.logged_model(&model, target_id, &known).await?;
        }
        Ok(())
    }

    async fn logged_model(
        &mut self,
        model: &LoggedModel,
        experiment_id: &str,
        known: &HashMap<String, String>,
    ) -> anyhow::Result<()> {
        let info = &model.info;
        let there = match (self.target.keeps, known.get(&info.model_id)) {
            (true, _) => self.target.logged_model(&info.model_id).await?,
            (false, Some(id)) => self.target.logged_model(id).await?,
            (false, None) => None,
        };
        let (id, location, ended) = if let Some(there) = there {
            let ended = there.info.status == info.status && info.status != "LOGGED_MODEL_PENDING";
            (
                there.info.model_id,
                there.info.artifact_uri,
                ended && there.data.metrics.len() >= model.data.metrics.len(),
            )
        } else {
            let run = info.source_run_id.as_ref();
            let run = run.map(|run| self.places.runs.get(run).map_or(run, |place| &place.id).clone());
            let made = self.target.put_logged_model(model, experiment_id, run.as_deref()).await?;
            (made.id, made.location, false)
        };
        let place = Place { id: id.clone(), location: location.clone(), old_location: info.artifact_uri.clone() };
        self.places.models.insert(info.model_id.clone(), place);
        if ended {
            self.report.logged_models.present += 1;
            return Ok(());
        }
        let path = format!("/logged-models/{}", segment(&id));
        if !model.data.params.is_empty() {
            self.target
                .server
                .post(&format!("{path}/params"), &json!({ "model_id": id, "params": model.data.params }))
                .await?;
        }
        if !info.tags.is_empty() {
            let path = format!("{MLFLOW}{path}/tags");
            self.target.server.send(Method::PATCH, &path, &json!({ "model_id": id, "tags": info.tags })).await?;
        }
        self.model_points(&id, &model.data.metrics).await?;
        if !self.options.without_artifacts {
            let (from, to) = (Owner::Model(&info.model_id), Owner::Model(&id));
            self.files(from, &info.artifact_uri, to, &location).await?;
        }
        if info.status != "LOGGED_MODEL_PENDING" {
            let body = json!({ "model_id": id, "status": info.status });
            self.target.server.send(Method::PATCH, &format!("{MLFLOW}{path}"), &body).await?;
        }
        self.report.logged_models.copied += 1;
        Ok(())
    }

    /// Points about a model are points of the runs that logged them.
    async fn model_points(&mut self, id: &str, metrics: &[ModelMetric]) -> anyhow::Result<()> {
        let mut by_run: HashMap<&str, Vec<ModelMetric>> = HashMap::new();
        for metric in metrics {
            let mut moved = ModelMetric { model_id: id.to_owned(), ..metric.clone() };
            let (run_id, key) = (metric.run_id.clone(), metric.key.clone());
            if self.nans.contains(&(run_id, key, metric.timestamp, metric.step)) {
                moved.value = f64::NAN;
            }
            by_run.entry(&metric.run_id).or_default().push(moved);
        }
        for (run, points) in by_run {
            let Some(place) = self.places.runs.get(run) else { continue };
            for part in points.chunks(POINTS) {
                let part: Vec<_> =
                    part.iter().map(|point| ModelMetric { run_id: place.id.clone(), ..point.clone() }).collect();
                self.target.server.post("/runs/log-batch", &json!({ "run_id": place.id, "metrics": part })).await?;
            }
        }
        Ok(())
    }
}
