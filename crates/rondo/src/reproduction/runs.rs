//! What the server knows about a run, as far as a repetition needs it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use record::compare::History;
use record::manifest::Manifest;
use serde_json::{Value, json};

use super::missing;
use crate::recording::{artifact_path, tags};
use crate::transfer::{Server, is_missing};

/// Points that are asked for at once.
const PAGE: &str = "25000";

/// A run on the server.
#[derive(Clone, Debug)]
pub(super) struct Original {
    pub(super) run_id: String,
    pub(super) name: String,
    pub(super) status: String,
    /// The name of its experiment.
    pub(super) experiment: String,
    pub(super) artifact_uri: String,
    tags: BTreeMap<String, String>,
    metrics: Vec<String>,
    params: BTreeMap<String, String>,
    datasets: BTreeMap<String, String>,
}

impl Original {
    /// Asks the server.
    pub(super) async fn read(server: &Server, run_id: &str) -> anyhow::Result<Self> {
        let run: Value = server.get("/runs/get", &[("run_id", run_id)]).await?;
        let (info, data) = (&run["run"]["info"], &run["run"]["data"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let experiment: Value =
            server.get("/experiments/get", &[("experiment_id", info["experiment_id"].as_str().unwrap_or("0"))]).await?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let metrics = list(&data["metrics"]);
        let metrics = metrics.iter().map(|metric| text(&metric["key"]));
        let params = list(&data["params"]);
        let datasets = list(&run["run"]["inputs"]["dataset_inputs"]);
        Ok(Self {
            run_id: run_id.to_owned(),
            name: text(&info["run_name"]),
            status: text(&info["status"]),
            experiment: text(&experiment["experiment"]["name"]),
            artifact_uri: text(&info["artifact_uri"]),
            tags: tags(&run),
            // What the machine did is not what the run found out.
            metrics: metrics.filter(|name| !name.starts_with("system/")).collect(),
            params: params.iter().map(|param| (text(&param["key"]), text(&param["value"]))).collect(),
            datasets: datasets
                .iter()
                .map(|input| (text(&input["dataset"]["name"]), text(&input["dataset"]["digest"])))
                .collect(),
        })
    }

    /// The manifest of the last attempt.
    pub(super) async fn manifest(&self, server: &Server) -> anyhow::Result<Manifest> {
        if self.status == "RUNNING" {
            return Err(missing("the run has not ended yet".to_owned()));
        }
        let attempt = self.tags.get("rondo.attempt").and_then(|text| text.parse().ok()).unwrap_or(1);
        let path = artifact_path(attempt, "manifest.json");
        let Some(bytes) = self.artifact(server, &path).await? else {
            return Err(missing(format!("the run has no {path}: it was not recorded by `rondo run`")));
        };
        if self.tags.get("rondo.manifest").is_some_and(|digest| *digest != kernel::digest::of(&bytes)) {
            return Err(missing(format!("{path} is not the manifest that was recorded: its digest is another")));
        }
        Ok(Manifest::from_json(&bytes)?)
    }

    /// A file of the run; none if there is none.
    pub(super) async fn artifact(&self, server: &Server, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match server.artifact(&self.artifact_uri, path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The history of each metric, by step and then by time.
    pub(super) async fn histories(&self, server: &Server) -> anyhow::Result<BTreeMap<String, History>> {
        let mut found = BTreeMap::new();
        for metric in &self.metrics {
            found.insert(metric.clone(), self.history(server, metric).await?);
        }
        Ok(found)
    }

    async fn history(&self, server: &Server, metric: &str) -> anyhow::Result<History> {
        let mut points: Vec<(i64, i64, f64)> = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![("run_id", self.run_id.as_str()), ("metric_key", metric), ("max_results", PAGE)];
            if !token.is_empty() {
                query.push(("page_token", &token));
            }
            let page: Value = server.get("/metrics/get-history", &query).await?;
            for point in page["metrics"].as_array().into_iter().flatten() {
                let number = |field: &str| point[field].as_i64().unwrap_or(0);
                points.push((number("step"), number("timestamp"), value(&point["value"])?));
            }
            match page["next_page_token"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut token),
                _ => break,
            }
        }
        points.sort_by_key(|(step, time, _)| (*step, *time));
        Ok(points.into_iter().map(|(step, _, value)| (step, value)).collect())
    }

    /// Sets tags.
    pub(super) async fn tag(&self, server: &Server, tags: &[(&str, String)]) -> anyhow::Result<()> {
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        server.post("/runs/log-batch", &json!({ "run_id": self.run_id, "tags": tags })).await.map(drop)
    }
}

/// A number of the protocol, which writes those that JSON has not as text.
fn value(value: &Value) -> anyhow::Result<f64> {
    let number = value.as_f64().or_else(|| match value.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        other => other.parse().ok(),
    });
    number.with_context(|| format!("the server gives {value} as the value of a metric"))
}

/// In what else the runs differ: parameters, reported datasets, machines. What cannot be asked is not said.
pub(super) async fn differences(server: &Server, original: &Original, again: &Original) -> Vec<String> {
    let mut notes = Vec::new();
    let mut compare = |what: &str, one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
        for (name, value) in one {
            match other.get(name) {
                Some(now) if now == value => {}
                Some(now) => notes.push(format!("the {what} `{name}` was {value} and is {now}")),
                None => notes.push(format!("the {what} `{name}` is missing")),
            }
        }
    };
    compare("dataset", &original.datasets, &again.datasets);
    compare("parameter", &original.params, &again.params);
    let (Ok(one), Ok(other)) = (original.manifest(server).await, again.manifest(server).await) else { return notes };
    let (one, other) = (one.hardware, other.hardware);
    let gpus = |hardware: &record::manifest::Hardware| {
        hardware.gpus.iter().map(|gpu| gpu.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let pairs = [
        ("processor", one.cpu.clone(), other.cpu.clone()),
        ("number of cores", one.cores.to_string(), other.cores.to_string()),
        ("graphics processor", gpus(&one), gpus(&other)),
    ];
    let differ = pairs.into_iter().filter(|(_, one, other)| one != other);
    notes.extend(differ.map(|(what, one, other)| format!("the {what} was `{one}` and is `{other}`")));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_be_what_json_has_not() {
        assert_eq!(value(&json!(0.1)).unwrap(), 0.1);
        assert!(value(&json!("NaN")).unwrap().is_nan());
        assert_eq!(value(&json!("-Infinity")).unwrap(), f64::NEG_INFINITY);
        assert!(value(&json!(null)).is_err());
    }
}
