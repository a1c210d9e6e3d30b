//! The data of a run: files and folders by the digest of what they hold.

use std::fs;
use std::path::Path;

use super::code::settled;
use crate::manifest::Data;
use crate::{Error, Result};

/// Reads each path. One that is not there is an error: what was declared must be there when the run starts.
pub(super) fn capture(paths: &[String], dir: &Path) -> Result<Vec<Data>> {
    paths.iter().map(|path| one(path, &settled(&dir.join(path)))).collect()
}

/// One file or folder.
fn one(name: &str, path: &Path) -> Result<Data> {
    let meta = fs::metadata(path).map_err(Error::file("read the declared data", path))?;
    let (kind, size) = if meta.is_dir() { ("folder", folder_size(path)) } else { ("file", meta.len()) };
    let digest = kernel::digest::of_path(path).map_err(Error::file("read the declared data", path))?;
    Ok(Data {
        name: name.to_owned(),
        location: path.to_string_lossy().into_owned(),
        relative: None,
        kind: kind.to_owned(),
        digest,
        size: Some(size),
    })
}

fn folder_size(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => folder_size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Data with its place in the root, if it has one there.
pub(super) fn relative_to(mut data: Data, root: Option<&Path>) -> Data {
    let relative = root.and_then(|root| Path::new(&data.location).strip_prefix(root).ok());
    data.relative = relative.map(|path| path.to_string_lossy().into_owned());
    data
}

pub(super) fn uri(uri: &str, digest: &str, size: u64) -> Data {
    Data {
        name: uri.to_owned(),
        location: uri.to_owned(),
        relative: None,
        kind: "uri".to_owned(),
        digest: digest.to_owned(),
        size: Some(size),
    }
}

/// What a run reported with MLflow's `log_input`: a dataset with the digest that its reporter computed, and, when it comes from a
/// local file, that file with our digest. `dir` is the folder that the run works in.
pub fn dataset(name: &str, digest: &str, source: &str, root: Option<&Path>, dir: &Path) -> Vec<Data> {
    let reported = Data {
        name: name.to_owned(),
        location: source.to_owned(),
        relative: None,
        kind: "dataset".to_owned(),
        digest: digest.to_owned(),
        size: None,
    };
    let source: serde_json::Value = serde_json::from_str(source).unwrap_or_default();
    let place = source["uri"].as_str().unwrap_or_default();
    let path = place.strip_prefix("file://").unwrap_or(place);
    let file = (!path.is_empty() && !path.contains("://")).then(|| one(path, &settled(&dir.join(path))).ok()).flatten();
    std::iter::once(reported).chain(file.map(|file| relative_to(file, root))).collect()
}

/// Whether a path still holds the data: no complaint, or what is wrong with it.
pub fn check(data: &Data, path: &Path) -> Option<String> {
    match kernel::digest::of_path(path) {
        Ok(digest) if digest == data.digest => None,
        Ok(digest) => Some(format!(
            "the data `{}` at {} has changed: its digest was {:.12} and is {digest:.12}",
            data.name,
            path.display(),
            data.digest
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(format!("the data `{}` is not at {} any more (digest {:.12})", data.name, path.display(), data.digest))
        }
        Err(error) => Some(format!("the data `{}` at {} cannot be read: {error}", data.name, path.display())),
    }
}
