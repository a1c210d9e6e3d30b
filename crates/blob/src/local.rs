//! A directory of this machine. Reading goes through `object_store`; writing is our own, because `LocalFileSystem` does not
//! fsync, and so is listing, because nothing may be seen that leads out of the directory.
//!
//! Symbolic links are followed while they stay inside. The check and the opening are two steps: it guards against links that
//! lie there, not against someone who writes into the data directory at the same moment, who could read the target anyway.

pub(crate) mod upload;

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::{GetResultPayload, ObjectStoreExt as _};

use crate::path::INCOMING;
use crate::{ByteStream, Entry, Error, Meta, SafePath, clip};

/// Bytes read at once.
const CHUNK: usize = 256 * 1_024;

#[derive(Debug)]
pub(crate) struct Local {
    /// Canonical.
    root: PathBuf,
    store: LocalFileSystem,
    /// Shared while a file is moved into a directory that is there, exclusive while directories come and go.
    names: RwLock<()>,
}

impl Local {
    /// Opens the directory, makes it if it is missing, and throws away uploads that a crash cut short. Those that another process is
    /// writing at this moment stay.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let shown = dir.display().to_string();
        let failed = |source| Error::io("open the directory", shown.clone(), source);
        fs::create_dir_all(dir).map_err(failed)?;
        let root = dir.canonicalize().map_err(failed)?;
        let incoming = root.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(failed)?;
        upload::clear(&incoming).map_err(failed)?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| Error::store("open the directory", shown, source))?;
        Ok(Self { root, store, names: RwLock::new(()) })
    }

    fn full(&self, path: Option<&SafePath>) -> PathBuf {
        path.map_or_else(|| self.root.clone(), |path| self.root.join(path.as_str()))
    }

    /// The metadata of what the path leads to, if anything; an error if that is outside.
    fn look(&self, path: Option<&SafePath>) -> Result<Option<fs::Metadata>, Error> {
        let shown = || path.map(SafePath::to_string).unwrap_or_default();
        let real = match self.full(path).canonicalize() {
            Ok(real) => real,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("look up", shown(), error)),
        };
        if !real.starts_with(&self.root) {
            return Err(Error::Outside(shown()));
        }
        match fs::metadata(&real) {
            // Deleted just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some).map_err(|error| Error::io("look up", shown(), error)),
        }
    }

    pub(crate) async fn head(self: &Arc<Self>, path: &SafePath) -> Result<Option<Meta>, Error> {
        let (this, path) = (self.clone(), path.clone());
        blocking(move || Ok(this.look(Some(&path))?.filter(fs::Metadata::is_file).map(|found| meta(&found)))).await
    }

    /// Writes a file if there is none of the name; false if there is one.
    pub(crate) async fn create(self: &Arc<Self>, path: &SafePath, bytes: Bytes) -> Result<bool, Error> {
        let (this, path) = (self.clone(), path.clone());
        blocking(move || upload::create(&this, &path, &bytes)).await
    }

    pub(crate) async fn get(
        self: &Arc<Self>,
        path: &SafePath,
        range: Option<Range<u64>>,
    ) -> Result<(Meta, ByteStream), Error> {
        let found = self.head(path).await?.ok_or_else(|| Error::NotFound(path.to_string()))?;
        let range = clip(range, found.size, path)?;
        let failed = |source| Error::store("read", path.as_str(), source);
        let object = object_store::path::Path::parse(path.as_str()).map_err(|error| failed(error.into()))?;
        let result = self.store.get(&object).await.map_err(failed)?;
        let stream = match result.payload {
            GetResultPayload::File(file, _) => read(file, range, path.clone()),
            GetResultPayload::Stream(stream) => {
                let path = path.clone();
                stream.map(move |chunk| chunk.map_err(|source| Error::store("read", path.as_str(), source))).boxed()
            }
        };
        Ok((found, stream))
    }

    pub(crate) async fn list(self: &Arc<Self>, dir: Option<SafePath>) -> Result<Vec<Entry>, Error> {
        let this = self.clone();
        blocking(move || {
            let mut entries = this.children(dir.as_ref())?;
            entries.sort();
            Ok(entries)
        })
        .await
    }

    pub(crate) async fn list_all(self: &Arc<Self>, dir: Option<SafePath>) -> Result<Vec<Entry>, Error> {
        let this = self.clone();
        blocking(move || {
            let mut files = Vec::new();
            let mut open = vec![String::new()];
            while let Some(below) = open.pop() {
                let place = match (&dir, below.as_str()) {
                    (dir, "") => dir.clone(),
                    (None, below) => Some(SafePath::parse(below)?),
                    (Some(dir), below) => Some(dir.join(below)?),
                };
                for entry in this.children(place.as_ref())? {
                    let name = if below.is_empty() { entry.name } else { format!("{below}/{}", entry.name) };
                    if entry.is_dir {
                        open.push(name);
                    } else {
                        files.push(Entry { name, ..entry });
                    }
                }
            }
            files.sort();
            Ok(files)
        })
        .await
    }

    /// What lies just below a directory. A link to a directory is not descended, and one that leads outside is not seen; nor is
    /// a name that no [`SafePath`] can have.
    fn children(&self, dir: Option<&SafePath>) -> Result<Vec<Entry>, Error> {
        let shown = dir.map(SafePath::to_string).unwrap_or_default();
        if !self.look(dir)?.is_some_and(|found| found.is_dir()) {
            return Ok(Vec::new());
        }
        let failed = |source| Error::io("list", shown.clone(), source);
        let mut entries = Vec::new();
        for child in fs::read_dir(self.full(dir)).map_err(failed)? {
            let Ok(name) = child.map_err(failed)?.file_name().into_string() else { continue };
            let joined = match dir {
                Some(dir) => dir.join(&name),
                None => SafePath::parse(&name),
            };
            let Ok(path) = joined else { continue };
            let is_link = fs::symlink_metadata(self.full(Some(&path))).is_ok_and(|found| found.is_symlink());
            match self.look(Some(&path)) {
                Ok(Some(found)) if found.is_dir() && !is_link => entries.push(Entry { name, is_dir: true, size: 0 }),
                Ok(Some(found)) if found.is_file() => entries.push(Entry { name, is_dir: false, size: found.len() }),
                Ok(_) | Err(Error::Outside(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    pub(crate) async fn delete(self: &Arc<Self>, path: &SafePath) -> Result<(), Error> {
        let (this, path) = (self.clone(), path.clone());
        blocking(move || {
            if this.look(Some(&path))?.is_none() {
                return Ok(());
            }
            let full = this.full(Some(&path));
            match fs::remove_file(&full) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("delete", path.as_str(), error)),
                _ => this.prune(&full, &path),
            }
        })
        .await
    }

    /// The directory leaves its place in one step, and is emptied where nobody looks; a crash in between is cleaned up by
    /// [`Local::open`].
    pub(crate) async fn delete_all(self: &Arc<Self>, dir: SafePath) -> Result<(), Error> {
        let this = self.clone();
        blocking(move || {
            if this.look(Some(&dir))?.is_none() {
                return Ok(());
            }
            let failed = |error| Error::io("delete", dir.as_str(), error);
            let full = this.full(Some(&dir));
            let aside = this.root.join(INCOMING).join(kernel::id::new());
            let alone = this.names.write().unwrap_or_else(PoisonError::into_inner);
            let is_dir = fs::symlink_metadata(&full).is_ok_and(|found| found.is_dir());
            let removed = if is_dir { fs::rename(&full, &aside) } else { fs::remove_file(&full) };
            drop(alone);
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => this.prune(&full, &dir)?,
            }
            match fs::remove_dir_all(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// After a deletion: directories that became empty go too, and the deletion is made durable.
    fn prune(&self, deleted: &Path, shown: &SafePath) -> Result<(), Error> {
        let mut dir = deleted.parent();
        let alone = self.names.write().unwrap_or_else(PoisonError::into_inner);
        while let Some(place) = dir {
            if place == self.root || fs::remove_dir(place).is_err() {
                break;
            }
            dir = place.parent();
        }
        drop(alone);
        let kept = dir.unwrap_or(&self.root);
        match upload::sync_dir(kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("delete", shown.as_str(), error)),
            _ => Ok(()),
        }
    }
}

fn meta(found: &fs::Metadata) -> Meta {
    let age = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Meta { size: found.len(), modified_us: i64::try_from(age.as_micros()).unwrap_or(i64::MAX) }
}

/// The bytes of a range of an open file, one chunk at a time on the blocking threads.
fn read(file: fs::File, range: Range<u64>, path: SafePath) -> ByteStream {
    let state = (file, range, path, true);
    futures_util::stream::try_unfold(state, |(mut file, range, path, first)| {
        blocking(move || {
            let want = usize::try_from(range.end - range.start).unwrap_or(CHUNK).min(CHUNK);
            if want == 0 {
                return Ok(None);
            }
            let mut chunk = vec![0; want];
            let mut fill = || -> io::Result<()> {
                if first {
                    file.seek(SeekFrom::Start(range.start))?;
                }
                file.read_exact(&mut chunk)
            };
            fill().map_err(|error| Error::io("read", path.as_str(), error))?;
            let rest = range.start + want as u64..range.end;
            Ok(Some((Bytes::from(chunk), (file, rest, path, false))))
        })
    })
    .boxed()
}

/// Runs file work on the blocking threads; a panic in it is an error of ours.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::Io { doing: "finish the work on", path: String::new(), source: io::Error::other(error) })
    })
}
