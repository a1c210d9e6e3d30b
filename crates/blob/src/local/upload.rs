//! Writing a file so that it is there completely and durably, or not at all: a temporary file beside the store's directories,
//! fsync, rename, fsync of the directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::{Local, blocking};
use crate::path::INCOMING;
use crate::{Error, SafePath};

/// Bytes gathered before they are written; a slow caller holds this much memory and no thread.
const GATHER: usize = 128 * 1_024;
/// A directory can be pruned by a deletion just before the rename into it.
const TRIES: usize = 10;

/// Writes what comes; returns the length.
pub(crate) async fn put(
    local: &Arc<Local>,
    path: &SafePath,
    stream: impl Stream<Item = Result<Bytes, Error>> + Send,
) -> Result<u64, Error> {
    let mut stream = pin!(stream);
    let mut upload =
        Upload { file: None, temporary: Temporary(local.root.join(INCOMING).join(kernel::id::new())), size: 0 };
    let mut gathered = Vec::new();
    let mut waiting = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        waiting += chunk.len();
        gathered.push(chunk);
        if waiting >= GATHER {
            let (chunks, name) = (std::mem::take(&mut gathered), path.clone());
            waiting = 0;
            upload = blocking(move || upload.write(&chunks, &name)).await?;
        }
    }
    let (local, path) = (local.clone(), path.clone());
    blocking(move || {
        let upload = upload.write(&gathered, &path)?;
        if let Some(file) = &upload.file {
            file.sync_all().map_err(|error| Error::io("write", path.as_str(), error))?;
        }
        publish(&local, &path, &upload.temporary.0)?;
        Ok(upload.size)
    })
    .await
}

/// What has been written so far; dropped before it is published, it leaves nothing.
struct Upload {
    file: Option<File>,
    temporary: Temporary,
    size: u64,
}

impl Upload {
    fn write(mut self, chunks: &[Bytes], path: &SafePath) -> Result<Self, Error> {
        let failed = |error| Error::io("write", path.as_str(), error);
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::create_new(&self.temporary.0).map_err(failed)?,
        };
        for chunk in chunks {
            file.write_all(chunk).map_err(failed)?;
            self.size += chunk.len() as u64;
        }
        self.file = Some(file);
        Ok(self)
    }
}

/// Moves the complete file to its place.
fn publish(local: &Local, path: &SafePath, temporary: &Path) -> Result<(), Error> {
    let failed = |error| Error::io("write", path.as_str(), error);
    let target = local.full(Some(path));
    let dir = target.parent().unwrap_or(&local.root);
    for attempt in 1.. {
        make_dirs(local, dir, path)?;
        match fs::rename(temporary, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < TRIES => {}
            Err(error) => return Err(failed(error)),
            Ok(()) => break,
        }
    }
    sync_dir(dir).map_err(failed)
}

/// Makes the directories that are missing, each one durably, and none through a link that leads outside.
fn make_dirs(local: &Local, dir: &Path, path: &SafePath) -> Result<(), Error> {
    let failed = |error| Error::io("make the directory of", path.as_str(), error);
    let mut missing = Vec::new();
    let mut deepest = dir;
    while deepest != local.root && fs::symlink_metadata(deepest).is_err() {
        missing.push(deepest);
        deepest = deepest.parent().unwrap_or(&local.root);
    }
    if !deepest.canonicalize().map_err(failed)?.starts_with(&local.root) {
        return Err(Error::Outside(path.to_string()));
    }
    for new in missing.into_iter().rev() {
        match fs::create_dir(new) {
            Ok(()) => sync_dir(new.parent().unwrap_or(&local.root)).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Pruned again under our hands: the rename finds out and tries again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A file that is removed unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
