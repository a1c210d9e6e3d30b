//! Writing a file so that it is there completely and durably, or not at all: a temporary file beside the store's directories,
//! fsync, rename, fsync of the directory.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::{Local, blocking};
use crate::path::INCOMING;
use crate::{Error, SafePath};

/// Bytes gathered before they are written; a slow caller holds this much memory and no thread.
const GATHER: usize = 128 * 1_024;

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
            None => self.temporary.create().map_err(failed)?,
        };
        for chunk in chunks {
            file.write_all(chunk).map_err(failed)?;
            self.size += chunk.len() as u64;
        }
        self.file = Some(file);
        Ok(self)
    }
}

/// Writes a small file in the store's own directory if there is none of the name. Of several processes, one does.
pub(crate) fn create(local: &Local, path: &SafePath, bytes: &[u8]) -> Result<bool, Error> {
    let failed = |error| Error::io("write", path.as_str(), error);
    let temporary = Temporary(local.root.join(INCOMING).join(kernel::id::new()));
    let mut file = temporary.create().map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    let target = local.full(Some(path));
    match fs::hard_link(&temporary.0, &target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        // Not every file system has links to files.
        Err(_) if fs::symlink_metadata(&target).is_ok() => return Ok(false),
        Err(_) => fs::rename(&temporary.0, &target).map_err(failed)?,
        Ok(()) => {}
    }
    sync_dir(target.parent().unwrap_or(&local.root)).map_err(failed)?;
    Ok(true)
}

/// Removes what nobody is writing any more.
pub(crate) fn clear(incoming: &Path) -> io::Result<()> {
    for entry in fs::read_dir(incoming)? {
        let path = entry?.path();
        let gone = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) if is_being_written(&path) => Ok(()),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        gone.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

fn is_being_written(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// How often a directory is made anew that another process prunes before the file is in it.
const PRUNED: usize = 16;

/// Moves the complete file to its place.
fn publish(local: &Local, path: &SafePath, temporary: &Path) -> Result<(), Error> {
    for _ in 1..PRUNED {
        match publish_once(local, path, temporary) {
            Err(Error::NotFound(_)) if temporary.exists() => {}
            done => return done,
        }
    }
    publish_once(local, path, temporary)
}

/// In this process, the directory cannot be pruned between its making and the rename into it.
fn publish_once(local: &Local, path: &SafePath, temporary: &Path) -> Result<(), Error> {
    let failed = |error| Error::io("write", path.as_str(), error);
    let target = local.full(Some(path));
    let dir = target.parent().unwrap_or(&local.root);
    let shared = local.names.read().unwrap_or_else(PoisonError::into_inner);
    if fs::symlink_metadata(dir).is_ok() {
        inside(local, dir, path)?;
        fs::rename(temporary, &target).map_err(failed)?;
        drop(shared);
    } else {
        drop(shared);
        let _alone = local.names.write().unwrap_or_else(PoisonError::into_inner);
        make_dirs(local, dir, path)?;
        fs::rename(temporary, &target).map_err(failed)?;
    }
    match sync_dir(dir) {
        // Deleted again since, with its directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(failed),
    }
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
    inside(local, deepest, path)?;
    for new in missing.into_iter().rev() {
        match fs::create_dir(new) {
            // By another handle on the same directory.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed)?,
        }
        sync_dir(new.parent().unwrap_or(&local.root)).map_err(failed)?;
    }
    Ok(())
}

/// Refuses a directory that a link leads out of the store.
fn inside(local: &Local, dir: &Path, path: &SafePath) -> Result<(), Error> {
    let real = dir.canonicalize().map_err(|error| Error::io("look up the directory of", path.as_str(), error))?;
    if real.starts_with(&local.root) { Ok(()) } else { Err(Error::Outside(path.to_string())) }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A file that is removed unless it was renamed.
struct Temporary(PathBuf);

impl Temporary {
    /// Makes the file, locked as long as it is open: so that another process on the same directory does not take it for a leftover.
    fn create(&self) -> io::Result<File> {
        let file = File::create_new(&self.0)?;
        let _where_files_can_be_locked = file.try_lock();
        Ok(file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
