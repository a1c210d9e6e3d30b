//! TensorBoard's event files: a folder of runs, each a folder with `*tfevents*` files in it.

mod event;
mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::event::Events;
use crate::mlflow::{Content, Experiment, File, Point, Run, RunData, RunInfo, Store};
use crate::{Error, Result, naming};

/// The scheme of the artifact locations that stand for what event files hold.
const SCHEME: &str = "tensorboard:";

/// A folder of event files.
#[derive(Debug)]
pub struct Folder {
    experiment: String,
    runs: BTreeMap<String, Found>,
    /// The run that was read last.
    open: Option<(String, Events)>,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Found {
    name: String,
    files: Vec<PathBuf>,
}

impl Folder {
    /// Finds the runs below a folder; `experiment` is the name under which they go.
    pub fn open(root: &Path, experiment: &str) -> Result<Self> {
        let mut by_folder: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for file in crate::mlflow::walk(root)? {
            let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
            if let (true, Content::Disk(path)) = (name.contains("tfevents"), file.content) {
                by_folder.entry(folder.to_owned()).or_default().push(path);
            }
        }
        if by_folder.is_empty() {
            return Err(Error::NotOne { path: root.to_owned(), what: "folder with event files (*tfevents*)" });
        }
        let whole = root.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned());
        let runs = by_folder.into_iter().map(|(folder, files)| {
            let name = if folder.is_empty() { whole.clone() } else { folder };
            // The name of an event file says when and where it was begun, which tells runs of one name apart.
            let first = files.first().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
            (naming::run_id(&["tensorboard", experiment, &name, &first.unwrap_or_default()]), Found { name, files })
        });
        Ok(Self { experiment: experiment.to_owned(), runs: runs.collect(), open: None, warnings: Vec::new() })
    }

    fn events(&mut self, run_id: &str) -> Result<&Events> {
        let read = match self.open.take() {
            Some((id, events)) if id == run_id => events,
            _ => {
                let mut events = Events::default();
                for path in self.runs.get(run_id).map(|found| found.files.as_slice()).unwrap_or_default() {
                    event::read(path, &mut events)?;
                }
                for warning in &events.warnings {
                    if !self.warnings.contains(warning) {
                        self.warnings.push(warning.clone());
                    }
                }
                events
            }
        };
        Ok(&self.open.insert((run_id.to_owned(), read)).1)
    }
}

impl Store for Folder {
    fn experiments(&mut self) -> Result<Vec<Experiment>> {
        let lifecycle_stage = "active".to_owned();
        Ok(vec![Experiment { name: self.experiment.clone(), lifecycle_stage, ..Experiment::default() }])
    }

    fn run_ids(&mut self, _experiment_id: &str) -> Result<Vec<String>> {
        Ok(self.runs.keys().cloned().collect())
    }

    fn run(&mut self, _experiment_id: &str, run_id: &str) -> Result<Run> {
        let run_name = self.runs.get(run_id).map(|found| found.name.clone()).unwrap_or_default();
        let events = self.events(run_id)?;
        Ok(Run {
            info: RunInfo {
                run_id: run_id.to_owned(),
                status: if events.failed { "FAILED" } else { "FINISHED" }.to_owned(),
                start_time: events.first_ms.unwrap_or(0),
                end_time: events.last_ms,
                artifact_uri: format!("{SCHEME}{run_id}"),
                lifecycle_stage: "active".to_owned(),
                run_name: run_name.clone(),
                ..RunInfo::default()
            },
            data: RunData {
                metrics: naming::latest(&events.points),
                params: events.params.clone(),
                tags: vec![
                    naming::pair("rondo.imported_from", "tensorboard"),
                    naming::pair("mlflow.runName", run_name),
                ],
            },
            ..Run::default()
        })
    }

    fn history(&mut self, run: &Run, key: &str) -> Result<Vec<Point>> {
        let events = self.events(&run.info.run_id)?;
        Ok(events.points.iter().filter(|point| point.key == key).cloned().collect())
    }

    fn artifacts(&mut self, location: &str) -> Result<Option<Vec<File>>> {
        let events = self.events(location.strip_prefix(SCHEME).unwrap_or_default())?;
        Ok(Some(events.files()))
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}
