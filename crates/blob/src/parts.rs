//! Uploads in parts: a large file comes in pieces, in any order and several at a time, and is there when the last word is said.
//!
//! What is known of an upload is a file of the store (`uploads/ID/upload.json`), so it outlives the process, and what was left half
//! way can be found. Where the store signs links the parts go to the store itself, by its own multipart upload. Elsewhere each part
//! is a file beside that one, and the end puts them together, reading each once: its digest is its etag, so that what was
//! promised for a part is compared with what is there.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use crate::{Blob, Error, SafePath, Store};

/// Most parts of one file, as in S3.
pub const MAX_PARTS: u32 = 10_000;
/// Longest part, bytes, as in S3.
pub const MAX_PART: u64 = 5 << 30;

/// Where uploads under way are.
pub(crate) const ROOT: &str = "uploads";
/// What is known of one.
const NOTE: &str = "upload.json";

/// An upload that was started and not yet ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartUpload {
    /// Names it.
    pub id: String,
    /// Where the file will be.
    path: String,
    /// How many parts it may have.
    pub parts: u32,
    /// When it was started, microseconds since the epoch.
    pub started_us: i64,
    /// What seals are made with; nobody sees it.
    secret: String,
    /// What the object store calls it, where the parts go there.
    remote: Option<String>,
}

impl PartUpload {
    /// Where the file will be.
    pub fn path(&self) -> Result<SafePath, Error> {
        Ok(SafePath::parse(&self.path)?)
    }

    /// Proof that whoever holds it was allowed to send this part until then (seconds since the epoch).
    pub fn seal(&self, number: u32, until_s: i64) -> String {
        self.digest(number, until_s).to_hex().to_string()
    }

    /// Whether a seal is the one of this part and time.
    pub fn is_sealed(&self, number: u32, until_s: i64, seal: &str) -> bool {
        // Digests compare in constant time.
        blake3::Hash::from_hex(seal).is_ok_and(|seal| seal == self.digest(number, until_s))
    }

    fn digest(&self, number: u32, until_s: i64) -> blake3::Hash {
        let key = blake3::derive_key("rondo 2026 a part of an upload", self.secret.as_bytes());
        blake3::keyed_hash(&key, format!("{}/{number}/{until_s}", self.id).as_bytes())
    }

    fn folder(&self) -> Result<SafePath, Error> {
        folder(&self.id)
    }

    fn part(&self, number: u32) -> Result<SafePath, Error> {
        if (1..=self.parts).contains(&number) {
            Ok(self.folder()?.join(&format!("{number:05}"))?)
        } else {
            Err(Error::Part { number, reason: format!("the upload has parts 1 to {}", self.parts) })
        }
    }
}

/// Ids are our own; what else is asked for is not there.
fn folder(id: &str) -> Result<SafePath, Error> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::NotFound(id.to_owned()));
    }
    Ok(SafePath::parse(&format!("{ROOT}/{id}"))?)
}

impl Blob {
    /// Starts an upload of at most this many parts (1 to [`MAX_PARTS`]).
    pub async fn start_parts(&self, path: &SafePath, parts: u32, now_us: i64) -> Result<PartUpload, Error> {
        if !(1..=MAX_PARTS).contains(&parts) {
            return Err(Error::Part { number: parts, reason: format!("an upload has 1 to {MAX_PARTS} parts") });
        }
        let path = &*self.ward.place(path)?;
        let remote = match &self.store {
            Store::Remote(remote) if remote.signs() => Some(remote.start_parts(path).await?),
            _ => None,
        };
        let secret = kernel::id::random_hex() + &kernel::id::random_hex();
        let path = path.to_string();
        let upload = PartUpload { id: kernel::id::random_hex(), path, parts, started_us: now_us, secret, remote };
        let note = serde_json::to_vec(&upload).map_err(|error| Error::io("write", NOTE, error.into()))?;
        self.put(&upload.folder()?.join(NOTE)?, Bytes::from(note)).await?;
        Ok(upload)
    }

    /// An upload that is under way.
    pub async fn parts(&self, id: &str) -> Result<PartUpload, Error> {
        let missing = || Error::NotFound(format!("upload {id}"));
        let note = match self.get(&folder(id)?.join(NOTE)?).await {
            Err(Error::NotFound(_)) => return Err(missing()),
            note => note?,
        };
        serde_json::from_slice(&note).map_err(|error| Error::io("read", id, error.into()))
    }

    /// The uploads that are under way, and the ids of those of which something is left that nobody can go on with.
    pub async fn all_parts(&self) -> Result<(Vec<PartUpload>, Vec<String>), Error> {
        let (mut uploads, mut remains) = (Vec::new(), Vec::new());
        for entry in self.list(ROOT).await? {
            match self.parts(&entry.name).await {
                Ok(upload) => uploads.push(upload),
                Err(Error::NotFound(_) | Error::Io { .. }) => remains.push(entry.name),
                Err(error) => return Err(error),
            }
        }
        Ok((uploads, remains))
    }

    /// The link by which a part goes to the store itself for this long; `None` where parts come to [`Blob::put_part`].
    pub async fn link_part(
        &self,
        upload: &PartUpload,
        number: u32,
        time: Duration,
        now_us: i64,
    ) -> Result<Option<String>, Error> {
        match (&self.store, &upload.remote) {
            (Store::Remote(remote), Some(id)) => {
                let query = [("partNumber", number.to_string()), ("uploadId", id.clone())];
                remote.signed_put(&upload.path()?, &query, time, now_us).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Takes a part, in constant memory, and answers its etag. It is on disk then; sent again, it replaces what was there.
    pub async fn put_part(
        &self,
        upload: &PartUpload,
        number: u32,
        stream: impl Stream<Item = std::io::Result<Bytes>> + Send,
    ) -> Result<String, Error> {
        let mut digest = blake3::Hasher::new();
        let seen = stream.inspect_ok(|chunk| {
            digest.update(chunk);
        });
        self.put_stream(&upload.part(number)?, seen, Some(MAX_PART)).await?;
        Ok(format!("\"{}\"", digest.finalize().to_hex()))
    }

    /// Puts the file together from these parts, each with the etag that was answered for it, numbered from 1 without a gap. The file
    /// is there completely or not at all; after an error the upload is still under way.
    pub async fn finish_parts(&self, upload: &PartUpload, parts: &[(u32, String)]) -> Result<(), Error> {
        for (index, (number, _)) in parts.iter().enumerate() {
            if u64::from(*number) != index as u64 + 1 {
                let reason = format!("part {} is missing: parts are named in order, from 1 without a gap", index + 1);
                return Err(Error::Part { number: *number, reason });
            }
            upload.part(*number)?;
        }
        if parts.is_empty() {
            return Err(Error::Part { number: 1, reason: "no part is named".to_owned() });
        }
        let path = upload.path()?;
        if let (Store::Remote(remote), Some(id)) = (&self.store, &upload.remote) {
            remote.finish_parts(&path, id, parts.iter().map(|(_, etag)| etag.clone()).collect()).await?;
        } else {
            let parts = parts.iter().map(|(number, etag)| Ok((*number, upload.part(*number)?, bare(etag).to_owned())));
            let parts = parts.collect::<Result<Vec<_>, Error>>()?;
            let blob = self.clone();
            let whole = futures_util::stream::iter(parts)
                .then(move |part| checked(blob.clone(), part))
                .try_flatten()
                .map_err(std::io::Error::other);
            self.put_stream(&path, whole, None).await.map_err(found_in_part)?;
        }
        self.delete_all(upload.folder()?.as_str()).await
    }

    /// Ends an upload that will not be completed; what was sent of it is gone.
    pub async fn abort_parts(&self, upload: &PartUpload) -> Result<(), Error> {
        if let (Store::Remote(remote), Some(id)) = (&self.store, &upload.remote) {
            remote.abort_parts(&upload.path()?, id).await?;
        }
        self.delete_all(upload.folder()?.as_str()).await
    }

    /// Removes what is left of an upload that nobody can go on with.
    pub async fn remove_remains(&self, id: &str) -> Result<(), Error> {
        self.delete_all(&format!("{ROOT}/{id}")).await
    }
}

/// An etag without the quotes of its header.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// The bytes of a part, with an error at the end if they are not those of the etag.
async fn checked(
    blob: Blob,
    (number, path, etag): (u32, SafePath, String),
) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let bytes = match blob.get_stream(&path, None).await {
        Err(Error::NotFound(_)) => return Err(Error::Part { number, reason: "it was never sent".to_owned() }),
        found => found?.1,
    };
    let digest = blake3::Hasher::new();
    let checked =
        futures_util::stream::try_unfold((bytes, digest, etag), move |(mut bytes, mut digest, etag)| async move {
            if let Some(chunk) = bytes.try_next().await? {
                digest.update(&chunk);
                return Ok(Some((chunk, (bytes, digest, etag))));
            }
            if digest.finalize().to_hex().as_str() == etag {
                return Ok(None);
            }
            let reason = "its etag is not the one that was answered for it: send it again".to_owned();
            Err(Error::Part { number, reason })
        });
    Ok(checked.boxed())
}

/// An error of a part, taken out of the upload that it broke off.
fn found_in_part(error: Error) -> Error {
    match error {
        Error::Upload { path, source } => match source.downcast::<Error>() {
            Ok(own) => own,
            Err(source) => Error::Upload { path, source },
        },
        error => error,
    }
}
