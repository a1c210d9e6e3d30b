//! Registered models: versions in the order of their numbers, then stages, then aliases, through the gate like any other move.

use foreign::mlflow::{ModelVersion, RegisteredModel};
use reqwest::Method;
use serde_json::{Value, json};

use super::server::{Refused, is_missing};
use super::{Copy, Place};

impl Copy<'_> {
    /// Copies the registry.
    pub(super) async fn registered_models(&mut self) -> anyhow::Result<()> {
        for model in self.source.registered_models().await? {
            self.report.at(&model.name);
            let versions = self.source.versions(&model.name).await?;
            let there = self.model(&model.name).await?;
            if self.options.dry_run {
                self.count_model(&model, &versions, there.as_ref()).await?;
            } else {
                self.registered_model(&model, &versions, there.as_ref()).await?;
            }
        }
        Ok(())
    }

    async fn model(&self, name: &str) -> anyhow::Result<Option<Value>> {
        match self.target.server.get::<Value>("/registered-models/get", &[("name", name)]).await {
            Ok(answer) => Ok(Some(answer["registered_model"].clone())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn version(&self, name: &str, version: &str) -> anyhow::Result<Option<Value>> {
        let query = [("name", name), ("version", version)];
        match self.target.server.get::<Value>("/model-versions/get", &query).await {
            Ok(answer) => Ok(Some(answer["model_version"].clone())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn count_model(
        &mut self,
        model: &RegisteredModel,
        versions: &[ModelVersion],
        there: Option<&Value>,
    ) -> anyhow::Result<()> {
        let count = &mut self.report.registered_models;
        *if there.is_some() { &mut count.present } else { &mut count.copied } += 1;
        for version in versions {
            let present = there.is_some() && self.version(&model.name, &version.version).await?.is_some();
            let count = &mut self.report.versions;
            *if present { &mut count.present } else { &mut count.copied } += 1;
        }
        Ok(())
    }

    async fn registered_model(
        &mut self,
        model: &RegisteredModel,
        versions: &[ModelVersion],
        there: Option<&Value>,
    ) -> anyhow::Result<()> {
        let server = &self.target.server;
        if there.is_none() {
            let body = json!({ "name": model.name, "tags": model.tags, "description": model.description });
            server.post("/registered-models/create", &body).await?;
        }
        let count = &mut self.report.registered_models;
        *if there.is_some() { &mut count.present } else { &mut count.copied } += 1;
        let mut own = true;
        for version in versions {
            own &= self.put_version(version).await?;
        }
        let server = &self.target.server;
        for alias in &model.aliases {
            let have = there.and_then(|there| there["aliases"].as_array()).into_iter().flatten();
            if have.into_iter().any(|one| one["alias"] == *alias.alias && one["version"] == *alias.version) {
                continue;
            }
            let body = json!({ "name": model.name, "alias": alias.alias, "version": alias.version });
            let moved = server.post("/registered-models/alias", &body).await.map(drop);
            refusal(moved, &mut self.report, || format!("alias {} of model `{}`", alias.alias, model.name))?;
        }
        if self.target.keeps && own {
            let body = json!({
                "name": model.name, "created_ms": model.creation_timestamp, "updated_ms": model.last_updated_timestamp,
            });
            server.send(Method::POST, "/api/v1/import/models", &body).await?;
        }
        Ok(())
    }

    /// Registers a version; false if the number is another's.
    async fn put_version(&mut self, version: &ModelVersion) -> anyhow::Result<bool> {
        let what = || format!("version {} of model `{}`", version.version, version.name);
        if let Some(there) = self.version(&version.name, &version.version).await? {
            let same = self.moved(version)["run_id"] == there["run_id"];
            if !same {
                self.report.warn(format!("{} is another one in the target: it is left out", what()));
            }
            self.report.versions.present += u64::from(same);
            return Ok(same);
        }
        if !self.clear_number(version).await? {
            self.report.warn(format!("{} was deleted in the target: it is left out", what()));
            return Ok(false);
        }
        let created = self.target.server.post("/model-versions/create", &self.moved(version)).await;
        let Some(created) = refusal(created, &mut self.report, what)? else { return Ok(false) };
        let number = created["model_version"]["version"].as_str().unwrap_or_default().to_owned();
        if number != version.version {
            self.report.warn(format!("{} became version {number}: somebody else registered one meanwhile", what()));
        }
        if !matches!(version.current_stage.as_str(), "None" | "") {
            let body = json!({
                "name": version.name, "version": number, "stage": version.current_stage, "archive_existing_versions": false,
            });
            let moved = self.target.server.post("/model-versions/transition-stage", &body).await.map(drop);
            refusal(moved, &mut self.report, || format!("the stage of {}", what()))?;
        }
        if self.target.keeps {
            self.target.server.send(Method::POST, "/api/v1/import/versions", &times(version)).await?;
        }
        self.report.versions.copied += 1;
        Ok(number == version.version)
    }

    /// Makes sure that the next version gets this number; false if it cannot have it any more.
    async fn clear_number(&self, version: &ModelVersion) -> anyhow::Result<bool> {
        if self.target.keeps {
            let answer = self.target.server.send(Method::POST, "/api/v1/import/versions", &times(version)).await?;
            return Ok(answer["state"] != "gone");
        }
        // Numbers that are missing in the source are used up by versions that are deleted at once.
        let wanted: i64 = version.version.parse()?;
        for _ in 1..wanted {
            let body = json!({ "name": version.name, "source": "s3://rondo/number-that-was-deleted" });
            let latest = self.latest(&version.name).await?;
            if latest + 1 >= wanted {
                break;
            }
            let created = self.target.server.post("/model-versions/create", &body).await?;
            let number = created["model_version"]["version"].as_str().unwrap_or_default().to_owned();
            let body = json!({ "name": version.name, "version": number });
            if number.parse::<i64>().is_ok_and(|number| number >= wanted) {
                self.target.server.send(Method::DELETE, "/api/2.0/mlflow/model-versions/delete", &body).await?;
                return Ok(false);
            }
            self.target.server.send(Method::DELETE, "/api/2.0/mlflow/model-versions/delete", &body).await?;
            if number.parse::<i64>().is_ok_and(|number| number + 1 >= wanted) {
                break;
            }
        }
        Ok(true)
    }

    /// The highest number that is not deleted.
    async fn latest(&self, name: &str) -> anyhow::Result<i64> {
        let quote = if name.contains('\'') { '"' } else { '\'' };
        let filter = format!("name = {quote}{name}{quote}");
        let query = [("filter", filter.as_str()), ("max_results", "1000")];
        let answer = self.target.server.get::<Value>("/model-versions/search", &query).await?;
        let numbers = answer["model_versions"].as_array().into_iter().flatten();
        Ok(numbers.filter_map(|one| one["version"].as_str()?.parse().ok()).max().unwrap_or(0))
    }

    /// A version whose source and ids are those of the target.
    fn moved(&self, version: &ModelVersion) -> Value {
        let run = version.run_id.as_ref().map(|run| self.places.runs.get(run).map_or(run, |place| &place.id));
        // Behind runs:/ the server finds the model itself, and MLflow's refuses to be told.
        let model = version.model_id.as_ref().filter(|_| !version.source.starts_with("runs:"));
        let model = model.map(|model| self.places.models.get(model).map_or(model, |place| &place.id));
        let mut body = json!({
            "name": version.name, "source": self.moved_source(version), "tags": version.tags,
        });
        for (field, value) in [
            ("run_id", run),
            ("model_id", model),
            ("run_link", version.run_link.as_ref()),
            ("description", version.description.as_ref()),
        ] {
            if let Some(value) = value {
                body[field] = value.as_str().into();
            }
        }
        body
    }

    fn moved_source(&self, version: &ModelVersion) -> String {
        let source = &version.source;
        let by_id = |rest: &str, places: &std::collections::HashMap<String, Place>| {
            let (id, path) = rest.split_once('/').map_or((rest, ""), |(id, path)| (id, path));
            let slash = if path.is_empty() { "" } else { "/" };
            places.get(id).map(|place| format!("{}{slash}{path}", place.id))
        };
        if let Some(moved) = source.strip_prefix("models:/").and_then(|rest| by_id(rest, &self.places.models)) {
            return format!("models:/{moved}");
        }
        if let Some(moved) = source.strip_prefix("runs:/").and_then(|rest| by_id(rest, &self.places.runs)) {
            return format!("runs:/{moved}");
        }
        let run = version.run_id.as_ref().and_then(|id| self.places.runs.get(id));
        let model = version.model_id.as_ref().and_then(|id| self.places.models.get(id));
        let below = |place: &Place| below(source, place);
        let all = self.places.models.values().chain(self.places.runs.values());
        model
            .and_then(below)
            .or_else(|| run.and_then(below))
            .or_else(|| all.into_iter().find_map(below))
            .unwrap_or_else(|| source.clone())
    }
}

/// A location below the old place of a thing, below its new one.
fn below(source: &str, place: &Place) -> Option<String> {
    let plain = |text: &str| {
        let text = text.strip_prefix("file://").unwrap_or(text);
        text.trim_end_matches('/').to_owned()
    };
    let old = plain(&place.old_location);
    let source = plain(source);
    let rest =
        source.strip_prefix(&old).filter(|rest| !old.is_empty() && (rest.is_empty() || rest.starts_with('/')))?;
    Some(format!("{}{rest}", place.location.trim_end_matches('/')))
}

fn times(version: &ModelVersion) -> Value {
    json!({
        "name": version.name, "version": version.version, "created_ms": version.creation_timestamp,
        "updated_ms": version.last_updated_timestamp,
    })
}

/// What a server refuses on its merits is told and passed over; everything else stops the copy.
fn refusal<T>(
    result: anyhow::Result<T>,
    report: &mut super::Report,
    what: impl Fn() -> String,
) -> anyhow::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) if refused.status < 500 => {
                report.warn(format!("{} is refused: {}", what(), refused.message));
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_moves_with_its_run() {
        let place = Place {
            id: "r".to_owned(),
            location: "mlflow-artifacts:/9/r/artifacts".to_owned(),
            old_location: "file:///old/1/r/artifacts".to_owned(),
        };
        let check = |source: &str, expect: Option<&str>| {
            assert_eq!(below(source, &place).as_deref(), expect, "{source}");
        };
        check("file:///old/1/r/artifacts/model", Some("mlflow-artifacts:/9/r/artifacts/model"));
        check("/old/1/r/artifacts", Some("mlflow-artifacts:/9/r/artifacts"));
        check("/old/1/r/artifacts2", None);
        check("s3://bucket/model", None);
    }
}
