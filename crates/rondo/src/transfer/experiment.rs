//! Experiments: their runs first, then the models that the runs logged, then what ends a run.

use std::collections::HashMap;

use foreign::mlflow::{Experiment, Run};
use serde_json::json;

use super::source::{Cursor, Source};
use super::target::{Made, SOURCE_RUN};
use super::{Copy, Place};

/// A run that is filled and waits for its end.
pub(super) struct Open {
    pub(super) run: Run,
    pub(super) id: String,
}

impl Copy<'_> {
    /// Copies an experiment with everything in it.
    pub(super) async fn experiment(&mut self, experiment: &Experiment) -> anyhow::Result<()> {
        self.report.at(&experiment.name);
        let deleted = experiment.lifecycle_stage == "deleted";
        if self.options.dry_run {
            return self.count(experiment).await;
        }
        let made = self.target.put_experiment(experiment).await?;
        if made.deleted {
            if !deleted {
                let name = &experiment.name;
                self.report.warn(format!("experiment `{name}` is deleted in the target: its runs are left out"));
            }
            self.report.experiments.present += 1;
            return Ok(());
        }
        let count = if made.fresh { &mut self.report.experiments.copied } else { &mut self.report.experiments.present };
        *count += 1;
        for tag in &experiment.tags {
            let body = json!({ "experiment_id": made.id, "key": tag.key, "value": tag.value });
            self.target.server.post("/experiments/set-experiment-tag", &body).await?;
        }
        self.contents(experiment, &made).await?;
        if deleted {
            self.target.server.post("/experiments/delete", &json!({ "experiment_id": made.id })).await?;
        }
        Ok(())
    }

    async fn contents(&mut self, experiment: &Experiment, made: &Made) -> anyhow::Result<()> {
        let known = self.known_runs(&made.id).await?;
        let mut open = Vec::new();
        let mut at = None;
        loop {
            let (runs, next) = self.source.runs(&experiment.experiment_id, at).await?;
            self.report.expect_runs(runs.len());
            for run in runs {
                open.extend(self.fill_run(run, &made.id, &known).await?);
                self.report.run_done();
            }
            at = next;
            if at.is_none() {
                break;
            }
        }
        self.logged_models(&experiment.experiment_id, &made.id).await?;
        for one in &open {
            self.end_run(one).await?;
        }
        Ok(())
    }

    /// On a server that gives its own ids: which of its runs are copies, by the id they had.
    async fn known_runs(&self, experiment_id: &str) -> anyhow::Result<HashMap<String, String>> {
        let mut known = HashMap::new();
        if self.target.keeps {
            return Ok(known);
        }
        let mut there = Source::Server(self.target.server.clone());
        let mut at: Option<Cursor> = None;
        loop {
            let (runs, next) = there.runs(experiment_id, at).await?;
            for run in runs {
                if let Some(tag) = run.data.tags.iter().find(|tag| tag.key == SOURCE_RUN) {
                    known.insert(tag.value.clone(), run.info.run_id.clone());
                }
            }
            at = next;
            if at.is_none() {
                return Ok(known);
            }
        }
    }

    /// What a dry run says of an experiment.
    async fn count(&mut self, experiment: &Experiment) -> anyhow::Result<()> {
        let there = self.target.experiment(&experiment.name).await?;
        let known = match &there {
            Some(there) => self.known_runs(&there.experiment_id).await?,
            None => HashMap::new(),
        };
        let count = &mut self.report.experiments;
        *if there.is_some() { &mut count.present } else { &mut count.copied } += 1;
        let mut at = None;
        loop {
            let (runs, next) = self.source.runs(&experiment.experiment_id, at).await?;
            self.report.expect_runs(runs.len());
            for run in runs {
                let present = self.copy_of(&run, &known).await?.is_some_and(|there| super::run::same(&run, &there));
                let count = &mut self.report.runs;
                *if present { &mut count.present } else { &mut count.copied } += 1;
                self.report.run_done();
            }
            at = next;
            if at.is_none() {
                break;
            }
        }
        for model in self.source.logged_models(&experiment.experiment_id).await? {
            let present = self.target.keeps && self.target.logged_model(&model.info.model_id).await?.is_some();
            let count = &mut self.report.logged_models;
            *if present { &mut count.present } else { &mut count.copied } += 1;
        }
        Ok(())
    }

    /// The run of the target that is a copy of this one.
    pub(super) async fn copy_of(&self, run: &Run, known: &HashMap<String, String>) -> anyhow::Result<Option<Run>> {
        if self.target.keeps {
            return self.target.run(&run.info.run_id).await;
        }
        match known.get(&run.info.run_id) {
            Some(id) => self.target.run(id).await,
            None => Ok(None),
        }
    }

    pub(super) fn place_run(&mut self, run: &Run, id: &str, location: &str) {
        let place =
            Place { id: id.to_owned(), location: location.to_owned(), old_location: run.info.artifact_uri.clone() };
        self.places.runs.insert(run.info.run_id.clone(), place);
    }
}
