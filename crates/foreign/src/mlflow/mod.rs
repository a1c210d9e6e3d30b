//! MLflow's stores on disk, and the shapes that everything else is read into. The shapes are those of MLflow's REST protocol, so
//! that a running server and a folder are the same to whoever copies them.

mod database;
mod files;
mod number;
mod shape;
mod yaml;

use std::path::{Path, PathBuf};

pub(crate) use self::files::later;
pub use self::shape::{
    Alias, Dataset, DatasetInput, Experiment, LoggedModel, ModelData, ModelInfo, ModelInput, ModelMetric, ModelOutput,
    ModelVersion, Pair, Point, RegisteredModel, Run, RunData, RunInfo, RunInputs, RunOutputs,
};
use crate::{Error, Result};

/// What a store holds, read piece by piece.
pub trait Store: Send {
    /// All experiments, deleted ones included.
    fn experiments(&mut self) -> Result<Vec<Experiment>>;
    /// The ids of the runs of an experiment, deleted ones included.
    fn run_ids(&mut self, experiment_id: &str) -> Result<Vec<String>>;
    /// A run with the latest point of each metric.
    fn run(&mut self, experiment_id: &str, run_id: &str) -> Result<Run>;
    /// All points of a metric of a run.
    fn history(&mut self, run: &Run, key: &str) -> Result<Vec<Point>>;
    /// The logged models of an experiment that are not deleted.
    fn logged_models(&mut self, _experiment_id: &str) -> Result<Vec<LoggedModel>> {
        Ok(Vec::new())
    }
    /// The registered models.
    fn registered_models(&mut self) -> Result<Vec<RegisteredModel>> {
        Ok(Vec::new())
    }
    /// The versions of a registered model, by number.
    fn versions(&mut self, _name: &str) -> Result<Vec<ModelVersion>> {
        Ok(Vec::new())
    }
    /// The files below an artifact location, if it is a place that can be seen from here.
    fn artifacts(&mut self, location: &str) -> Result<Option<Vec<File>>>;
    /// What was passed over since this was asked last.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A file of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is below its artifact location, with slashes.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It is on disk.
    Disk(PathBuf),
    /// It was made by the reader.
    Memory(Vec<u8>),
}

/// Opens a store: a folder of MLflow's file store (`mlruns`), a folder that has one or `mlflow.db` in it, or that file.
pub fn open(path: &Path) -> Result<Box<dyn Store>> {
    let what = "store of MLflow: neither mlflow.db nor a folder of experiments with meta.yaml";
    let not_one = || Error::NotOne { path: path.to_owned(), what };
    if path.is_file() {
        return Ok(Box::new(database::Database::open(path)?));
    }
    if files::is_store(path) {
        return Ok(Box::new(files::Files::open(path)));
    }
    let (database, runs) = (path.join("mlflow.db"), path.join("mlruns"));
    if database.is_file() {
        return Ok(Box::new(database::Database::open(&database)?));
    }
    if files::is_store(&runs) { Ok(Box::new(files::Files::open(&runs))) } else { Err(not_one()) }
}

/// Where artifacts may lie that belong to a store in `home`.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// How many segments at the end of a location stay when a store is moved.
    parts: usize,
    /// How many folders up there must be one, for a folder that is not there to have been empty.
    levels: usize,
}

/// The local folder behind an artifact location: a path, a `file:` URL, or a place that this machine's store keeps below `home`.
/// One that never got a file is not there.
fn local_folder(location: &str, home: &Path, layout: Layout) -> Option<PathBuf> {
    let candidates = if let Some(rest) = location.strip_prefix("mlflow-artifacts:") {
        vec![home.join("mlartifacts").join(safe_path(rest.trim_start_matches('/'))?)]
    } else {
        let path = match location.strip_prefix("file:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None if location.contains("://") => return None,
            None => location,
        };
        let path = percent_decoded(path);
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let tail = segments.get(segments.len().checked_sub(layout.parts)?..)?.join("/");
        vec![home.join(&path), home.join(safe_path(&tail)?)]
    };
    let there = candidates.iter().find(|folder| folder.is_dir());
    let empty = || candidates.iter().find(|folder| folder.ancestors().nth(layout.levels).is_some_and(Path::is_dir));
    there.or_else(empty).cloned()
}

/// A path that does not lead out of the folder it is joined to.
fn safe_path(path: &str) -> Option<&str> {
    let leads_out = path.starts_with('/') || path.split('/').any(|segment| segment == "..");
    (!leads_out).then_some(path)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All files below a folder, by path; none if it is not there. What is neither a file nor a folder is passed over.
pub(crate) fn walk(folder: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(crate::error::at(&folder))? {
            let entry = entry.map_err(crate::error::at(&folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let kind = entry.metadata().map_err(crate::error::at(&entry.path()))?;
            if kind.is_dir() {
                open.push((entry.path(), path));
            } else if kind.is_file() {
                found.push(File { path, size: kind.len(), content: Content::Disk(entry.path()) });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_found_where_it_is_or_where_it_was_moved_to() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("1/run a/artifacts");
        std::fs::create_dir_all(&folder).unwrap();
        let check = |location: &str, expect: bool| {
            assert_eq!(
                local_folder(location, home.path(), Layout { parts: 3, levels: 1 }),
                expect.then(|| folder.clone()),
                "{location}"
            );
        };
        check(folder.to_str().unwrap(), true);
        check(&format!("file://{}", folder.to_str().unwrap().replace(' ', "%20")), true);
        check("file:///gone/mlruns/1/run%20a/artifacts", true);
        check("file:///gone/mlruns/2/run%20a/artifacts", false);
        check("s3://bucket/1/run a/artifacts", false);
        check("/x/../run a/artifacts", false);
        std::fs::create_dir_all(home.path().join("1/empty")).unwrap();
        let empty = local_folder("/gone/1/empty/artifacts", home.path(), Layout { parts: 3, levels: 1 });
        assert_eq!(walk(&empty.unwrap()).unwrap(), []);
    }
}
