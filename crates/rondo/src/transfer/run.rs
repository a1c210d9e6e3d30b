//! Runs: what they logged first, their end last, so that a run that has ended in the target is there in full.

use std::collections::HashMap;

use foreign::mlflow::{Pair, Point, Run};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::Copy;
use super::experiment::Open;
use super::source::Owner;

/// What one batch may hold, and how many may be on their way at once.
const POINTS: usize = 1_000;
const PAIRS: usize = 100;
const AT_ONCE: usize = 4;

impl Copy<'_> {
    /// Fills a run; nothing is left to do for one that is there already.
    pub(super) async fn fill_run(
        &mut self,
        run: Run,
        experiment_id: &str,
        known: &HashMap<String, String>,
    ) -> anyhow::Result<Option<Open>> {
        let (id, location) = match self.copy_of(&run, known).await? {
            Some(there) if same(&run, &there) => {
                self.place_run(&run, &there.info.run_id, &there.info.artifact_uri);
                self.report.runs.present += 1;
                return Ok(None);
            }
            Some(there) => {
                if there.info.lifecycle_stage == "deleted" {
                    self.target.server.post("/runs/restore", &json!({ "run_id": there.info.run_id })).await?;
                }
                (there.info.run_id, there.info.artifact_uri)
            }
            None => {
                let made = self.target.put_run(&run, experiment_id).await?;
                (made.id, made.location)
            }
        };
        self.place_run(&run, &id, &location);
        self.pairs(&id, "params", &run.data.params).await?;
        self.pairs(&id, "tags", &run.data.tags).await?;
        self.points(&id, &run).await?;
        if !self.options.without_artifacts {
            let (from, to) = (Owner::Run(&run.info.run_id), Owner::Run(&id));
            self.files(from, &run.info.artifact_uri, to, &location).await?;
        }
        self.report.runs.copied += 1;
        Ok(Some(Open { run, id }))
    }

    async fn pairs(&self, id: &str, field: &str, pairs: &[Pair]) -> anyhow::Result<()> {
        for part in pairs.chunks(PAIRS) {
            self.target.server.post("/runs/log-batch", &json!({ "run_id": id, field: part })).await?;
        }
        Ok(())
    }

    /// Sends all points of all metrics. Their order does not matter: a point that is there twice counts once.
    async fn points(&mut self, id: &str, run: &Run) -> anyhow::Result<()> {
        let server = self.target.server.clone();
        let send = |points: Vec<Point>| {
            let server = server.clone();
            let body = json!({ "run_id": id, "metrics": points });
            async move { server.post("/runs/log-batch", &body).await.map(|_| points.len()) }
        };
        let mut under_way = FuturesUnordered::new();
        let mut batch = Vec::with_capacity(POINTS);
        for metric in &run.data.metrics {
            let mut at = None;
            loop {
                let (points, next) = self.source.history(run, &metric.key, at).await?;
                for point in points {
                    if point.value.is_nan() {
                        let run_id = run.info.run_id.clone();
                        self.nans.insert((run_id, point.key.clone(), point.timestamp, point.step));
                    }
                    batch.push(point);
                    if batch.len() == POINTS {
                        under_way.push(send(std::mem::take(&mut batch)));
                    }
                    while under_way.len() >= AT_ONCE {
                        self.report.sent_points(under_way.next().await.transpose()?.unwrap_or(0));
                    }
                }
                at = next;
                if at.is_none() {
                    break;
                }
            }
        }
        if !batch.is_empty() {
            under_way.push(send(batch));
        }
        while let Some(sent) = under_way.next().await {
            self.report.sent_points(sent?);
        }
        Ok(())
    }

    /// What a run read and wrote, how it ended, and whether it is deleted.
    pub(super) async fn end_run(&mut self, open: &Open) -> anyhow::Result<()> {
        let Open { run, id } = open;
        let server = &self.target.server;
        let model = |old: &str| self.places.models.get(old).map_or_else(|| old.to_owned(), |place| place.id.clone());
        let inputs: Vec<Value> =
            run.inputs.model_inputs.iter().map(|input| json!({ "model_id": model(&input.model_id) })).collect();
        if !run.inputs.dataset_inputs.is_empty() || !inputs.is_empty() {
            let body = json!({ "run_id": id, "datasets": run.inputs.dataset_inputs, "models": inputs });
            server.post("/runs/log-inputs", &body).await?;
        }
        let outputs = run.outputs.model_outputs.iter();
        let outputs: Vec<Value> =
            outputs.map(|output| json!({ "model_id": model(&output.model_id), "step": output.step })).collect();
        if !outputs.is_empty() {
            server.post("/runs/outputs", &json!({ "run_id": id, "models": outputs })).await?;
        }
        let mut change = json!({ "run_id": id, "status": run.info.status });
        if let Some(end) = run.info.end_time {
            change["end_time"] = end.into();
        }
        server.post("/runs/update", &change).await?;
        if run.info.lifecycle_stage == "deleted" {
            server.post("/runs/delete", &json!({ "run_id": id })).await?;
        }
        Ok(())
    }
}

/// Whether a run is there in full: it has ended as it did, with everything that it says of itself. A run that goes on never is.
pub(super) fn same(run: &Run, there: &Run) -> bool {
    let ended = !matches!(run.info.status.as_str(), "RUNNING" | "SCHEDULED");
    let pairs = |wanted: &[Pair], have: &[Pair]| {
        let have: HashMap<&str, &str> = have.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
        wanted.iter().all(|pair| have.get(pair.key.as_str()) == Some(&pair.value.as_str()))
    };
    let points: HashMap<&str, &Point> = there.data.metrics.iter().map(|point| (point.key.as_str(), point)).collect();
    let datasets = |run: &Run| {
        let mut names: Vec<(String, String)> = Vec::new();
        names
            .extend(run.inputs.dataset_inputs.iter().map(|one| (one.dataset.name.clone(), one.dataset.digest.clone())));
        names.sort();
        names
    };
    ended
        && run.info.status == there.info.status
        && run.info.end_time == there.info.end_time
        && run.info.lifecycle_stage == there.info.lifecycle_stage
        && pairs(&run.data.params, &there.data.params)
        && pairs(&run.data.tags, &there.data.tags)
        && run.data.metrics.iter().all(|point| points.get(point.key.as_str()).is_some_and(|have| equal(point, have)))
        && datasets(run) == datasets(there)
        && run.outputs.model_outputs.len() == there.outputs.model_outputs.len()
}

/// An infinity is kept as the greatest double.
fn equal(a: &Point, b: &Point) -> bool {
    let value = |point: &Point| point.value.clamp(f64::MIN, f64::MAX);
    (a.step, a.timestamp) == (b.step, b.timestamp) && (value(a) == value(b) || (a.value.is_nan() && b.value.is_nan()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(status: &str, value: f64) -> Run {
        let mut run = Run::default();
        run.info.status = status.to_owned();
        run.data.metrics = vec![Point { key: "mae".to_owned(), value, timestamp: 1, step: 2 }];
        run.data.tags = vec![Pair { key: "a".to_owned(), value: "b".to_owned() }];
        run
    }

    #[test]
    fn a_run_is_there_when_it_ended_with_all_it_says() {
        let there = run("FINISHED", 1.5);
        assert!(same(&run("FINISHED", 1.5), &there));
        assert!(!same(&run("RUNNING", 1.5), &run("RUNNING", 1.5)), "it goes on");
        assert!(!same(&run("FAILED", 1.5), &there));
        assert!(!same(&run("FINISHED", 1.25), &there));
        assert!(same(&run("FINISHED", f64::NAN), &run("FINISHED", f64::NAN)));
        assert!(same(&run("FINISHED", f64::INFINITY), &run("FINISHED", f64::MAX)));
        let mut more = there.clone();
        more.data.tags.push(Pair { key: "x".to_owned(), value: "y".to_owned() });
        assert!(same(&there, &more) && !same(&more, &there));
    }
}
