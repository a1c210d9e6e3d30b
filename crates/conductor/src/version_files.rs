//! From a version in the registry to its files and to a model that can answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use blob::SafePath;
use registry::version::Version;

use crate::{Error, House};

/// The files of a version, by path relative to the model's folder.
pub async fn read(house: &House, version: &Version) -> Result<inference::Package, Error> {
    let folder = folder(version)?;
    let mut files = BTreeMap::new();
    for entry in house.blob.list_all(folder.as_str()).await? {
        if entry.is_dir {
            continue;
        }
        let bytes = house.blob.get(&folder.join(&entry.name)?).await?;
        files.insert(entry.name, bytes.to_vec());
    }
    if files.is_empty() {
        return Err(no_files(version));
    }
    Ok(inference::Package::new(files))
}

/// Reads and opens the model of a version, off the async runtime.
pub async fn load(house: &House, version: &Version) -> Result<Arc<inference::Model>, Error> {
    let package = read(house, version).await?;
    let model = tokio::task::spawn_blocking(move || inference::load(&package)).await??;
    Ok(Arc::new(model))
}

fn folder(version: &Version) -> Result<SafePath, Error> {
    Ok(blob::artifact_path(version.location())?)
}

fn no_files(version: &Version) -> Error {
    Error::NoFiles {
        model: version.name.clone(),
        version: version.version.clone(),
        source_uri: version.location().to_owned(),
    }
}
