//! MLflow's file store: a folder of experiments, each a folder of runs, each metric, param and tag a file. Deleted experiments lie
//! in `.trash`.

use std::path::{Path, PathBuf};

use super::yaml::Yaml;
use super::{
    Alias, Dataset, DatasetInput, Experiment, File, Layout, LoggedModel, ModelData, ModelInfo, ModelInput, ModelMetric,
    ModelOutput, ModelVersion, Pair, Point, RegisteredModel, Run, RunData, RunInfo, RunInputs, RunOutputs, Store,
    local_folder, number, safe_path, walk,
};
use crate::error::at;
use crate::{Error, Result};

const META: &str = "meta.yaml";
/// Folders of a store that are no experiments.
const MODELS: &str = "models";
const TRASH: &str = ".trash";

/// The numbers of statuses in `meta.yaml`.
const RUN_STATUSES: [&str; 5] = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];
const MODEL_STATUSES: [&str; 3] = ["LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"];

/// A file store.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
}

/// Whether a folder is one: some folder in it is an experiment or a registered model.
pub(crate) fn is_store(root: &Path) -> bool {
    let folders = folders(root).unwrap_or_default();
    folders.iter().any(|folder| folder.join(META).is_file()) || root.join(MODELS).is_dir()
}

impl Files {
    pub(crate) fn open(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn experiment_folder(&self, id: &str) -> PathBuf {
        let active = self.root.join(id);
        if active.is_dir() { active } else { self.root.join(TRASH).join(id) }
    }
}

impl Store for Files {
    fn experiments(&mut self) -> Result<Vec<Experiment>> {
        let mut found = Vec::new();
        for (root, stage) in [(self.root.clone(), "active"), (self.root.join(TRASH), "deleted")] {
            for folder in folders(&root)? {
                // Runs that were deleted for good lie in the bin as well; they have no name.
                let Some(meta) = Some(folder.join(META)).filter(|meta| meta.is_file()) else { continue };
                let meta = Yaml::read(&meta)?;
                if meta.text("name").is_none() || meta.text("run_id").is_some() {
                    continue;
                }
                found.push(Experiment {
                    experiment_id: file_name(&folder),
                    name: meta.owned("name"),
                    artifact_location: meta.owned("artifact_location"),
                    lifecycle_stage: stage.to_owned(),
                    creation_time: meta.integer("creation_time").unwrap_or(0),
                    tags: pairs(&folder.join("tags"))?,
                });
            }
        }
        found.sort_by(|a, b| (a.creation_time, &a.experiment_id).cmp(&(b.creation_time, &b.experiment_id)));
        Ok(found)
    }

    fn run_ids(&mut self, experiment_id: &str) -> Result<Vec<String>> {
        let folders = folders(&self.experiment_folder(experiment_id))?.into_iter();
        let names = folders.filter(|folder| folder.join(META).is_file()).map(|folder| file_name(&folder));
        Ok(names.filter(|name| ![MODELS, "datasets", "traces", "tags"].contains(&name.as_str())).collect())
    }

    fn run(&mut self, experiment_id: &str, run_id: &str) -> Result<Run> {
        let experiment = self.experiment_folder(experiment_id);
        let folder = experiment.join(safe(run_id));
        let mut run = Run { info: run_info(&folder, experiment_id)?, ..Run::default() };
        run.data =
            RunData { metrics: Vec::new(), params: pairs(&folder.join("params"))?, tags: pairs(&folder.join("tags"))? };
        for file in files(&folder.join("metrics"))? {
            let points = points(&folder.join("metrics").join(&file), &file)?.into_iter().map(|(point, _)| point);
            run.data.metrics.extend(points.reduce(later));
        }
        run.inputs = inputs(&folder, &experiment)?;
        run.outputs = outputs(&folder)?;
        Ok(run)
    }

    fn history(&mut self, run: &Run, key: &str) -> Result<Vec<Point>> {
        let folder = self.experiment_folder(&run.info.experiment_id).join(safe(&run.info.run_id));
        Ok(points(&folder.join("metrics").join(safe(key)), key)?.into_iter().map(|(point, _)| point).collect())
    }

    fn logged_models(&mut self, experiment_id: &str) -> Result<Vec<LoggedModel>> {
        let mut found = Vec::new();
        for folder in folders(&self.experiment_folder(experiment_id).join(MODELS))? {
            let Some(path) = Some(folder.join(META)).filter(|meta| meta.is_file()) else { continue };
            let meta = Yaml::read(&path)?;
            if meta.text("lifecycle_stage") != Some("deleted") {
                found.push(logged_model(&folder, &meta, experiment_id)?);
            }
        }
        Ok(found)
    }

    fn registered_models(&mut self) -> Result<Vec<RegisteredModel>> {
        let mut found = Vec::new();
        for folder in folders(&self.root.join(MODELS))? {
            let meta = Yaml::read(&folder.join(META))?;
            let aliases = pairs(&folder.join("aliases"))?.into_iter();
            found.push(RegisteredModel {
                name: meta.owned("name"),
                creation_timestamp: meta.integer("creation_timestamp").unwrap_or(0),
                last_updated_timestamp: meta.integer("last_updated_timestamp").unwrap_or(0),
                description: meta.text("description").map(str::to_owned),
                tags: pairs(&folder.join("tags"))?,
                aliases: aliases.map(|pair| Alias { alias: pair.key, version: pair.value.trim().to_owned() }).collect(),
            });
        }
        Ok(found)
    }

    fn versions(&mut self, name: &str) -> Result<Vec<ModelVersion>> {
        let mut found = Vec::new();
        for folder in folders(&self.root.join(MODELS).join(safe(name)))? {
            if !file_name(&folder).starts_with("version-") {
                continue;
            }
            let meta = Yaml::read(&folder.join(META))?;
            if meta.text("current_stage") != Some("Deleted_Internal") {
                found.push(version(&folder, &meta)?);
            }
        }
        found.sort_by_key(|version| version.version.parse::<i64>().unwrap_or(i64::MAX));
        Ok(found)
    }

    fn artifacts(&mut self, location: &str) -> Result<Option<Vec<File>>> {
        // EXPERIMENT/RUN/artifacts, or EXPERIMENT/models/MODEL/artifacts.
        let layout = Layout { parts: if location.contains("/models/m-") { 4 } else { 3 }, levels: 1 };
        let homes = [Some(self.root.clone()), Some(self.root.join(TRASH)), self.root.parent().map(Path::to_owned)];
        let folder = homes.into_iter().flatten().find_map(|home| local_folder(location, &home, layout));
        folder.map(|folder| walk(&folder)).transpose()
    }
}

fn run_info(folder: &Path, experiment_id: &str) -> Result<RunInfo> {
    let path = folder.join(META);
    let meta = Yaml::read(&path)?;
    let status = meta.text("status").unwrap_or("1");
    let named = status.parse::<usize>().ok().and_then(|number| RUN_STATUSES.get(number.checked_sub(1)?)).copied();
    let status = named.or_else(|| RUN_STATUSES.into_iter().find(|name| *name == status));
    Ok(RunInfo {
        run_id: meta.text("run_id").or_else(|| meta.text("run_uuid")).map_or_else(|| file_name(folder), str::to_owned),
        experiment_id: experiment_id.to_owned(),
        run_name: meta.text("run_name").or_else(|| meta.text("name")).unwrap_or_default().to_owned(),
        user_id: meta.owned("user_id"),
        status: status.ok_or_else(|| Error::damaged(&path, "its status is unknown"))?.to_owned(),
        start_time: meta.integer("start_time").unwrap_or(0),
        end_time: meta.integer("end_time"),
        artifact_uri: meta.owned("artifact_uri"),
        lifecycle_stage: meta.text("lifecycle_stage").unwrap_or("active").to_owned(),
    })
}

fn inputs(run: &Path, experiment: &Path) -> Result<RunInputs> {
    let mut inputs = RunInputs::default();
    for folder in folders(&run.join("inputs"))? {
        let edge = Yaml::read(&folder.join(META))?;
        if edge.text("source_type") != Some("DATASET") {
            inputs.model_inputs.push(ModelInput { model_id: edge.owned("source_id") });
            continue;
        }
        let dataset = Yaml::read(&experiment.join("datasets").join(safe(&edge.owned("source_id"))).join(META))?;
        inputs.dataset_inputs.push(DatasetInput {
            tags: edge.mapping("tags").map(|(key, value)| pair(key, value)).collect(),
            dataset: Dataset {
                name: dataset.owned("name"),
                digest: dataset.owned("digest"),
                source_type: dataset.owned("source_type"),
                source: dataset.owned("source"),
                schema: dataset.text("schema").map(str::to_owned),
                profile: dataset.text("profile").map(str::to_owned),
            },
        });
    }
    Ok(inputs)
}

fn outputs(run: &Path) -> Result<RunOutputs> {
    let mut outputs = RunOutputs::default();
    for folder in folders(&run.join("outputs"))? {
        let edge = Yaml::read(&folder.join(META))?;
        let step = edge.integer("step").unwrap_or(0);
        outputs.model_outputs.push(ModelOutput { model_id: edge.owned("destination_id"), step });
    }
    Ok(outputs)
}

fn logged_model(folder: &Path, meta: &Yaml, experiment_id: &str) -> Result<LoggedModel> {
    let status = meta.integer("status").and_then(|number| MODEL_STATUSES.get(usize::try_from(number - 1).ok()?));
    let model_id = meta.owned("model_id");
    let mut metrics = Vec::new();
    for file in files(&folder.join("metrics"))? {
        for (point, rest) in points(&folder.join("metrics").join(&file), &file)? {
            let Some(run_id) = rest.first().cloned() else { continue };
            metrics.push(ModelMetric {
                key: point.key,
                value: point.value,
                timestamp: point.timestamp,
                step: point.step,
                model_id: model_id.clone(),
                run_id,
                dataset_name: rest.get(1).cloned(),
                dataset_digest: rest.get(2).cloned(),
            });
        }
    }
    Ok(LoggedModel {
        info: ModelInfo {
            model_id,
            experiment_id: experiment_id.to_owned(),
            name: meta.owned("name"),
            creation_timestamp_ms: meta.integer("creation_timestamp").unwrap_or(0),
            artifact_uri: meta.owned("artifact_location"),
            status: (*status.unwrap_or(&MODEL_STATUSES[0])).to_owned(),
            model_type: meta.text("model_type").map(str::to_owned),
            source_run_id: meta.text("source_run_id").map(str::to_owned),
            tags: pairs(&folder.join("tags"))?,
        },
        data: ModelData { params: pairs(&folder.join("params"))?, metrics },
    })
}

fn version(folder: &Path, meta: &Yaml) -> Result<ModelVersion> {
    let filled = |key: &str| meta.text(key).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(ModelVersion {
        name: meta.owned("name"),
        version: meta.owned("version"),
        creation_timestamp: meta.integer("creation_timestamp").unwrap_or(0),
        last_updated_timestamp: meta.integer("last_updated_timestamp").unwrap_or(0),
        current_stage: meta.text("current_stage").unwrap_or("None").to_owned(),
        description: filled("description"),
        source: meta.owned("source"),
        run_id: filled("run_id"),
        run_link: filled("run_link"),
        model_id: filled("model_id"),
        tags: pairs(&folder.join("tags"))?,
    })
}

/// The points of a file: `TIMESTAMP VALUE STEP`, and for a logged model the run and perhaps the dataset.
fn points(path: &Path, key: &str) -> Result<Vec<(Point, Vec<String>)>> {
    let text = std::fs::read_to_string(path).map_err(at(path))?;
    let wrong = |line: &str| Error::damaged(path, format!("`{line}` is no point of a metric"));
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| point(line, key).ok_or_else(|| wrong(line)))
        .collect()
}

fn point(line: &str, key: &str) -> Option<(Point, Vec<String>)> {
    let mut words = line.split_whitespace();
    let (timestamp, value) = (words.next()?.parse().ok()?, number::parse(words.next()?)?);
    let step = words.next().map_or(Some(0), |step| step.parse().ok())?;
    Some((Point { key: key.to_owned(), value, timestamp, step }, words.map(str::to_owned).collect()))
}

/// The one that is the latest: by step, then timestamp, then value.
pub(crate) fn later(a: Point, b: Point) -> Point {
    let rank = |point: &Point| (point.step, point.timestamp, if point.value.is_nan() { 0.0 } else { point.value });
    if rank(&b) > rank(&a) { b } else { a }
}

/// Each file below a folder as a key with its text.
fn pairs(folder: &Path) -> Result<Vec<Pair>> {
    let read = |key: String| {
        let path = folder.join(&key);
        let bytes = std::fs::read(&path).map_err(at(&path))?;
        Ok(pair(&key, &String::from_utf8_lossy(&bytes)))
    };
    files(folder)?.into_iter().map(read).collect()
}

fn pair(key: &str, value: &str) -> Pair {
    Pair { key: key.to_owned(), value: value.to_owned() }
}

/// The paths of the files below a folder; none if it is not there.
fn files(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    Ok(walk(folder)?.into_iter().map(|file| file.path).collect())
}

/// The folders in a folder by name, without the hidden ones; none if it is not there.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        if entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A name that stays below the folder it is joined to.
fn safe(name: &str) -> &str {
    safe_path(name).unwrap_or("-")
}
