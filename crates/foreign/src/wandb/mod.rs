//! Folders of offline runs of Weights & Biases: `offline-run-*/run-ID.wandb`, a log of protobuf records, and `files/` beside it.

mod log;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::run::Logged;
use crate::mlflow::{Content, Experiment, File, Point, Run, RunData, RunInfo, Store};
use crate::{Error, Result, naming};

/// The scheme of the artifact locations that stand for the files of a run.
const SCHEME: &str = "wandb:";

/// A folder of offline runs.
#[derive(Debug)]
pub struct Folder {
    /// By id, with the experiment of each.
    runs: BTreeMap<String, Found>,
    /// The run that was read last.
    open: Option<(String, Logged)>,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Found {
    experiment: String,
    log: PathBuf,
}

impl Folder {
    /// Finds the runs below a folder. Each goes under the name of its project, unless another name is given.
    pub fn open(root: &Path, experiment: Option<&str>) -> Result<Self> {
        let mut folder = Self { runs: BTreeMap::new(), open: None, warnings: Vec::new() };
        for file in crate::mlflow::walk(root)? {
            let Content::Disk(path) = file.content else { continue };
            // `latest-run` is a link to one of the others.
            if path.extension().is_none_or(|kind| kind != "wandb")
                || file.path.split('/').any(|name| name == "latest-run")
            {
                continue;
            }
            let logged = run::read(&path)?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let project = Some(logged.project.as_str()).filter(|project| !project.is_empty()).unwrap_or("wandb");
            let experiment = experiment.unwrap_or(project).to_owned();
            let id = naming::run_id(&["wandb", &experiment, &logged.entity, project, &logged.id, &name]);
            folder.runs.insert(id, Found { experiment, log: path });
        }
        if folder.runs.is_empty() {
            return Err(Error::NotOne { path: root.to_owned(), what: "folder with offline runs (run-*.wandb)" });
        }
        Ok(folder)
    }

    fn logged(&mut self, run_id: &str) -> Result<&Logged> {
        let read = match self.open.take() {
            Some((id, logged)) if id == run_id => logged,
            _ => {
                let logged = self.runs.get(run_id).map(|found| run::read(&found.log)).transpose()?.unwrap_or_default();
                for warning in &logged.warnings {
                    if !self.warnings.contains(warning) {
                        self.warnings.push(warning.clone());
                    }
                }
                logged
            }
        };
        Ok(&self.open.insert((run_id.to_owned(), read)).1)
    }
}

impl Store for Folder {
    fn experiments(&mut self) -> Result<Vec<Experiment>> {
        let mut names: Vec<&str> = self.runs.values().map(|found| found.experiment.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let named = |name: &str| Experiment {
            experiment_id: name.to_owned(),
            name: name.to_owned(),
            lifecycle_stage: "active".to_owned(),
            ..Experiment::default()
        };
        Ok(names.into_iter().map(named).collect())
    }

    fn run_ids(&mut self, experiment_id: &str) -> Result<Vec<String>> {
        let own = self.runs.iter().filter(|(_, found)| found.experiment == experiment_id);
        Ok(own.map(|(id, _)| id.clone()).collect())
    }

    fn run(&mut self, _experiment_id: &str, run_id: &str) -> Result<Run> {
        let logged = self.logged(run_id)?;
        let tag = |key: &str, value: &str| (!value.is_empty()).then(|| naming::pair(key, value));
        let name = if logged.name.is_empty() { &logged.id } else { &logged.name };
        let tags = [
            ("rondo.imported_from", "wandb"),
            ("mlflow.runName", name),
            ("mlflow.note.content", &logged.notes),
            ("wandb.run_id", &logged.id),
            ("wandb.group", &logged.group),
            ("wandb.job_type", &logged.job_type),
            ("wandb.tags", &logged.tags.join(", ")),
            ("wandb.host", &logged.host),
        ];
        Ok(Run {
            info: RunInfo {
                run_id: run_id.to_owned(),
                run_name: name.clone(),
                user_id: logged.entity.clone(),
                status: logged.status().to_owned(),
                start_time: logged.start_ms,
                end_time: Some(logged.end_ms()),
                artifact_uri: format!("{SCHEME}{run_id}"),
                lifecycle_stage: "active".to_owned(),
                ..RunInfo::default()
            },
            data: RunData {
                metrics: naming::latest(&logged.points),
                params: logged.params(),
                tags: tags.into_iter().filter_map(|(key, value)| tag(key, value)).collect(),
            },
            ..Run::default()
        })
    }

    fn history(&mut self, run: &Run, key: &str) -> Result<Vec<Point>> {
        let logged = self.logged(&run.info.run_id)?;
        Ok(logged.points.iter().filter(|point| point.key == key).cloned().collect())
    }

    fn artifacts(&mut self, location: &str) -> Result<Option<Vec<File>>> {
        let run_id = location.strip_prefix(SCHEME).unwrap_or_default().to_owned();
        let folder = self.runs.get(&run_id).and_then(|found| found.log.parent()).map(|folder| folder.join("files"));
        let mut files = folder.map(|folder| crate::mlflow::walk(&folder)).transpose()?.unwrap_or_default();
        let logged = self.logged(&run_id)?;
        let memory = |path: &str, bytes: Vec<u8>| File {
            path: path.to_owned(),
            size: bytes.len() as u64,
            content: Content::Memory(bytes),
        };
        if !logged.output.is_empty() && !files.iter().any(|file| file.path == "output.log") {
            files.push(memory("output.log", logged.output.clone().into_bytes()));
        }
        if !logged.summary.is_empty() && !files.iter().any(|file| file.path == "wandb-summary.json") {
            let summary = serde_json::Value::Object(logged.summary.clone());
            files.push(memory("wandb-summary.json", summary.to_string().into_bytes()));
        }
        Ok(Some(files))
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}
