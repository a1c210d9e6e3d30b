//! Objects: artifacts and telemetry files behind one safe path type.
//!
//! A [`Blob`] is one store of files named by [`SafePath`]s, in a directory of this machine or in an object store. Nothing here
//! knows what the files mean; and no other crate turns text of a user into a file name, or names `object_store`.

mod claim;
mod error;
mod local;
mod parts;
mod path;
mod remote;
mod s3;
mod ward;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};

pub use crate::claim::Claim;
pub use crate::error::Error;
pub use crate::parts::{MAX_PART, MAX_PARTS, PartUpload};
pub use crate::path::{PathError, SafePath, artifact_path};
use crate::ward::Ward;

/// What is known of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Length in bytes.
    pub size: u64,
    /// Last change, in microseconds since the epoch.
    pub modified_us: i64,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// [`Blob::list`]: the last segment; [`Blob::list_all`]: the path below the listed directory.
    pub name: String,
    /// True for a directory.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub size: u64,
}

/// The bytes of a file as they come off the store.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

/// A store of files; cheap to clone.
#[derive(Clone, Debug)]
pub struct Blob {
    store: Store,
    ward: Ward,
}

#[derive(Clone, Debug)]
enum Store {
    Local(Arc<local::Local>),
    Remote(remote::Remote),
}

impl Blob {
    fn of(store: Store) -> Self {
        Self { store, ward: Ward::All }
    }

    /// Opens a directory (made if missing), written as a path or as a `file://` URL; or the S3-compatible store behind
    /// `s3://BUCKET/PREFIX`, with the endpoint, region and credentials of the `AWS_*` variables. Nothing is sent to it yet.
    pub fn open(url_or_dir: &str) -> Result<Self, Error> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::open_with(url_or_dir, std::env::vars_os().filter_map(text))
    }

    /// The same with these settings in place of the variables.
    pub fn open_with(url_or_dir: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let dir = match url_or_dir.split_once("://") {
            Some(("s3", _)) => return Ok(Self::of(Store::Remote(remote::Remote::s3(url_or_dir, settings)?))),
            Some(("file", dir)) => dir,
            Some((scheme, _)) => return Err(Error::Scheme(scheme.to_owned())),
            None => url_or_dir,
        };
        Ok(Self::of(Store::Local(Arc::new(local::Local::open(dir.as_ref())?))))
    }

    /// A store in memory that ends with its last handle.
    pub fn memory() -> Self {
        Self::of(Store::Remote(remote::Remote::memory()))
    }

    /// Writes a whole file. When this returns, all of it is on disk; before, nothing of it is visible.
    pub async fn put(&self, path: &SafePath, bytes: Bytes) -> Result<(), Error> {
        let one = futures_util::stream::iter([Ok(bytes)]);
        self.put_stream(path, one, None).await.map(|_| ())
    }

    /// Writes a file of any size in constant memory and returns its length. A stream that fails, one that is longer than
    /// `limit`, and a caller that goes away leave no trace.
    pub async fn put_stream(
        &self,
        path: &SafePath,
        stream: impl Stream<Item = io::Result<Bytes>> + Send,
        limit: Option<u64>,
    ) -> Result<u64, Error> {
        let stream = within(stream, path.clone(), limit);
        let path = &*self.ward.place(path)?;
        match &self.store {
            Store::Local(local) => local::upload::put(local, path, stream).await,
            Store::Remote(remote) => remote.put(path, stream).await,
        }
    }

    /// Reads a whole file.
    pub async fn get(&self, path: &SafePath) -> Result<Bytes, Error> {
        let (meta, mut stream) = self.get_stream(path, None).await?;
        let mut whole = BytesMut::with_capacity(usize::try_from(meta.size).unwrap_or(0));
        while let Some(chunk) = stream.next().await {
            whole.extend_from_slice(&chunk?);
        }
        Ok(whole.freeze())
    }

    /// Reads a file, or the bytes of a range of it (cut at its end), in constant memory.
    pub async fn get_stream(&self, path: &SafePath, range: Option<Range<u64>>) -> Result<(Meta, ByteStream), Error> {
        let path = &*self.ward.place(path)?;
        match &self.store {
            Store::Local(local) => local.get(path, range).await,
            Store::Remote(remote) => remote.get(path, range).await,
        }
    }

    /// A link by which anyone may download the file from the store itself for this long; `None` if the store has no such links. It
    /// says nothing of whether the file exists.
    pub async fn presigned(&self, path: &SafePath, time: Duration) -> Result<Option<String>, Error> {
        let path = &*self.ward.place(path)?;
        match &self.store {
            Store::Local(_) => Ok(None),
            Store::Remote(remote) => remote.presigned(path, time).await,
        }
    }

    /// Whether [`Blob::presigned`] makes links.
    pub fn signs(&self) -> bool {
        matches!(&self.store, Store::Remote(remote) if remote.signs())
    }

    /// What is known of a file; `None` if there is none (a directory is not one).
    pub async fn head(&self, path: &SafePath) -> Result<Option<Meta>, Error> {
        let path = &*self.ward.place(path)?;
        match &self.store {
            Store::Local(local) => local.head(path).await,
            Store::Remote(remote) => remote.head(path).await,
        }
    }

    /// The files and directories just below a directory (`""` is the root), sorted by name; nothing if it does not exist.
    pub async fn list(&self, dir: &str) -> Result<Vec<Entry>, Error> {
        let dir = self.ward.place_dir(directory(dir)?)?;
        let mut found = match &self.store {
            Store::Local(local) => local.list(dir.clone()).await,
            Store::Remote(remote) => remote.list(dir.clone()).await,
        }?;
        self.ward.hide(dir.as_ref(), &mut found);
        Ok(found)
    }

    /// All files below a directory (`""` is the root), however deep, sorted by path.
    pub async fn list_all(&self, dir: &str) -> Result<Vec<Entry>, Error> {
        let dir = self.ward.place_dir(directory(dir)?)?;
        let mut found = match &self.store {
            Store::Local(local) => local.list_all(dir.clone()).await,
            Store::Remote(remote) => remote.list_all(dir.clone()).await,
        }?;
        self.ward.hide(dir.as_ref(), &mut found);
        Ok(found)
    }

    /// Deletes a file; one that is not there is fine.
    pub async fn delete(&self, path: &SafePath) -> Result<(), Error> {
        let path = &*self.ward.place(path)?;
        match &self.store {
            Store::Local(local) => local.delete(path).await,
            Store::Remote(remote) => remote.delete(path).await,
        }
    }

    /// Deletes everything below a directory, and the directory. The root cannot be deleted.
    pub async fn delete_all(&self, dir: &str) -> Result<(), Error> {
        let Some(dir) = directory(dir)? else {
            return Err(Error::Path(PathError::Empty));
        };
        let dir = self.ward.place_whole(&dir)?;
        match &self.store {
            Store::Local(local) => local.delete_all(dir).await,
            Store::Remote(remote) => remote.delete_all(dir).await,
        }
    }
}

/// A directory as text: `""` is the root, one slash at the end is forgiven.
fn directory(dir: &str) -> Result<Option<SafePath>, Error> {
    let dir = dir.strip_suffix('/').unwrap_or(dir);
    if dir.is_empty() { Ok(None) } else { Ok(Some(SafePath::parse(dir)?)) }
}

/// The stream with its failures put in our words, cut with an error as soon as it passes the limit.
fn within(
    stream: impl Stream<Item = io::Result<Bytes>> + Send,
    path: SafePath,
    limit: Option<u64>,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let mut seen = 0_u64;
    stream.map(move |chunk| {
        let chunk = chunk.map_err(|source| Error::Upload { path: path.to_string(), source })?;
        seen += chunk.len() as u64;
        match limit {
            Some(limit) if seen > limit => Err(Error::TooLarge { path: path.to_string(), limit }),
            _ => Ok(chunk),
        }
    })
}

/// The bytes asked for, cut at the end of the file; an error if none of them exist.
fn clip(range: Option<Range<u64>>, size: u64, path: &SafePath) -> Result<Range<u64>, Error> {
    match range {
        None => Ok(0..size),
        Some(range) if range.start < size && range.start < range.end => Ok(range.start..range.end.min(size)),
        Some(range) => Err(Error::Range { path: path.to_string(), start: range.start, end: range.end, size }),
    }
}
