//! Any store that `object_store` speaks to. It is durable and atomic by itself, so this only translates.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::signer::Signer as _;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, WriteMultipart,
};

use crate::s3::sign::{Link, sign};
use crate::{ByteStream, Entry, Error, Meta, SafePath, clip, s3};

/// Bytes of one part. A file that is smaller goes up in one request; the 10,000 parts that S3 allows make 80 GiB.
const PART: usize = 8 << 20;
/// Parts of one file that may be on their way at a time; with the part that fills up they are all the memory of an upload.
const PARTS_UNDER_WAY: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    /// What signs links and takes parts, below a prefix that it does not know of.
    signer: Option<s3::Bucket>,
}

/// How a store answered to "only if there is none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    Yes,
    Exists,
    /// The store does not know conditions.
    Unsupported,
}

impl Remote {
    pub(crate) fn memory() -> Self {
        Self { store: Arc::new(object_store::memory::InMemory::new()), signer: None }
    }

    pub(crate) fn s3(url: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let bucket = s3::open(url, settings)?;
        let whole: Arc<dyn ObjectStore> = Arc::<object_store::aws::AmazonS3>::clone(&bucket.store);
        let store: Arc<dyn ObjectStore> = match &bucket.prefix {
            Some(prefix) => Arc::new(PrefixStore::new(whole, object(prefix)?)),
            None => whole,
        };
        Ok(Self { store, signer: Some(bucket) })
    }

    pub(crate) async fn put(
        &self,
        path: &SafePath,
        stream: impl Stream<Item = Result<Bytes, Error>> + Send,
    ) -> Result<u64, Error> {
        let failed = |source| Error::store("write", path.as_str(), source);
        let mut stream = pin!(stream);
        let mut first = BytesMut::new();
        while first.len() < PART {
            let Some(chunk) = stream.next().await else {
                let size = first.len() as u64;
                self.store.put(&object(path)?, first.freeze().into()).await.map_err(failed)?;
                return Ok(size);
            };
            first.extend_from_slice(&chunk?);
        }
        let upload = self.store.put_multipart(&object(path)?).await.map_err(failed)?;
        let mut parts = Parts::new(upload);
        let mut size = first.len() as u64;
        parts.put(first.freeze()).await.map_err(failed)?;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => {
                    size += chunk.len() as u64;
                    parts.put(chunk).await.map_err(failed)?;
                }
                Err(error) => {
                    parts.abort().await;
                    return Err(error);
                }
            }
        }
        parts.finish().await.map_err(failed)?;
        Ok(size)
    }

    /// Writes a small file if there is none.
    pub(crate) async fn create(&self, path: &SafePath, bytes: Bytes) -> Result<Created, Error> {
        let put = self.store.put_opts(&object(path)?, bytes.into(), PutMode::Create.into()).await;
        match put {
            Ok(_) => Ok(Created::Yes),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(Created::Exists)
            }
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                Ok(Created::Unsupported)
            }
            // a store that does not know the header may call it a bad request
            Err(error) if format!("{error:?}").contains("NotImplemented") => Ok(Created::Unsupported),
            Err(source) => Err(Error::store("write", path.as_str(), source)),
        }
    }

    pub(crate) async fn get(&self, path: &SafePath, range: Option<Range<u64>>) -> Result<(Meta, ByteStream), Error> {
        let mut options = GetOptions::default();
        if range.is_some() {
            let found = self.head(path).await?.ok_or_else(|| Error::NotFound(path.to_string()))?;
            let range = clip(range, found.size, path)?;
            if range.is_empty() {
                return Ok((found, futures_util::stream::empty().boxed()));
            }
            options.range = Some(GetRange::Bounded(range));
        }
        let result = self.store.get_opts(&object(path)?, options).await;
        let result = result.map_err(|source| Error::store("read", path.as_str(), source))?;
        let (found, path) = (meta(&result.meta), path.clone());
        Ok((found, result.into_stream().map_err(move |source| Error::store("read", path.as_str(), source)).boxed()))
    }

    pub(crate) async fn head(&self, path: &SafePath) -> Result<Option<Meta>, Error> {
        match self.store.head(&object(path)?).await {
            Ok(found) => Ok(Some(meta(&found))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::store("look up", path.as_str(), source)),
        }
    }

    pub(crate) async fn list(&self, dir: Option<SafePath>) -> Result<Vec<Entry>, Error> {
        let prefix = dir.as_ref().map(object).transpose()?;
        let listed = self
            .store
            .list_with_delimiter(prefix.as_ref())
            .await
            .map_err(|source| failed_list(dir.as_ref(), source))?;
        let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
        let dirs = listed.common_prefixes.iter().map(|path| Entry { name: name(path), is_dir: true, size: 0 });
        let files =
            listed.objects.iter().map(|found| Entry { name: name(&found.location), is_dir: false, size: found.size });
        let mut entries: Vec<Entry> = dirs.chain(files).collect();
        entries.sort();
        Ok(entries)
    }

    pub(crate) async fn list_all(&self, dir: Option<SafePath>) -> Result<Vec<Entry>, Error> {
        let prefix = dir.as_ref().map_or_else(String::new, |dir| format!("{dir}/"));
        let below = |found: ObjectMeta| Entry {
            name: found.location.as_ref().strip_prefix(&prefix).unwrap_or(found.location.as_ref()).to_owned(),
            is_dir: false,
            size: found.size,
        };
        let mut entries: Vec<Entry> = self.objects(dir.as_ref()).await?.into_iter().map(below).collect();
        entries.sort();
        Ok(entries)
    }

    pub(crate) async fn delete(&self, path: &SafePath) -> Result<(), Error> {
        match self.store.delete(&object(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::store("delete", path.as_str(), source)),
        }
    }

    pub(crate) async fn delete_all(&self, dir: SafePath) -> Result<(), Error> {
        let found = self.objects(Some(&dir)).await?.into_iter().map(|found| Ok(found.location));
        let mut gone = self.store.delete_stream(futures_util::stream::iter(found).boxed());
        while let Some(deleted) = gone.next().await {
            match deleted {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(Error::store("delete", dir.as_str(), source)),
            }
        }
        if self.head(&dir).await?.is_some() { self.delete(&dir).await } else { Ok(()) }
    }

    pub(crate) fn signs(&self) -> bool {
        self.signer.is_some()
    }

    pub(crate) async fn presigned(&self, path: &SafePath, time: Duration) -> Result<Option<String>, Error> {
        let Some(bucket) = &self.signer else { return Ok(None) };
        let signed = bucket.store.signed_url("GET".parse().unwrap_or_default(), &bucket.object(path)?, time).await;
        Ok(Some(signed.map_err(|source| Error::store("sign a link to", path.as_str(), source))?.to_string()))
    }

    /// A link by which anyone may send something to the store, at the place of a file, with this query.
    pub(crate) async fn signed_put(
        &self,
        path: &SafePath,
        query: &[(&str, String)],
        time: Duration,
        now_us: i64,
    ) -> Result<String, Error> {
        let bucket = self.bucket(path)?;
        let failed = |source| Error::store("sign a link to", path.as_str(), source);
        let plain = bucket.store.signed_url("PUT".parse().unwrap_or_default(), &bucket.object(path)?, time).await;
        let url = plain.map_err(failed)?.to_string();
        let credential = bucket.store.credentials().get_credential().await.map_err(failed)?;
        let link = Link { method: "PUT", url: &url, query, time };
        Ok(sign(&link, &credential, &bucket.region, now_us))
    }

    pub(crate) async fn start_parts(&self, path: &SafePath) -> Result<String, Error> {
        let bucket = self.bucket(path)?;
        let started = bucket.store.create_multipart(&bucket.object(path)?).await;
        started.map_err(|source| Error::store("start an upload of", path.as_str(), source))
    }

    pub(crate) async fn finish_parts(&self, path: &SafePath, id: &str, etags: Vec<String>) -> Result<(), Error> {
        let bucket = self.bucket(path)?;
        let parts = etags.into_iter().map(|content_id| PartId { content_id }).collect();
        let done = bucket.store.complete_multipart(&bucket.object(path)?, &id.to_owned(), parts).await;
        done.map(drop).map_err(|source| refused(path, source))
    }

    /// One that the store no longer knows of is fine.
    pub(crate) async fn abort_parts(&self, path: &SafePath, id: &str) -> Result<(), Error> {
        let bucket = self.bucket(path)?;
        match bucket.store.abort_multipart(&bucket.object(path)?, &id.to_owned()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::store("end an upload of", path.as_str(), source)),
        }
    }

    fn bucket(&self, path: &SafePath) -> Result<&s3::Bucket, Error> {
        self.signer.as_ref().ok_or_else(|| Error::NotFound(path.to_string()))
    }

    async fn objects(&self, dir: Option<&SafePath>) -> Result<Vec<ObjectMeta>, Error> {
        let prefix = dir.map(object).transpose()?;
        self.store.list(prefix.as_ref()).try_collect().await.map_err(|source| failed_list(dir, source))
    }
}

/// The parts of a file on their way up. Dropped before the end, it takes back what the store has of them.
struct Parts(Option<WriteMultipart>);

impl Parts {
    fn new(upload: Box<dyn MultipartUpload>) -> Self {
        Self(Some(WriteMultipart::new_with_chunk_size(upload, PART)))
    }

    async fn put(&mut self, bytes: Bytes) -> object_store::Result<()> {
        let Some(writer) = &mut self.0 else { return Ok(()) };
        writer.wait_for_capacity(PARTS_UNDER_WAY).await?;
        writer.put(bytes);
        Ok(())
    }

    async fn finish(mut self) -> object_store::Result<()> {
        match self.0.take() {
            Some(writer) => writer.finish().await.map(drop),
            None => Ok(()),
        }
    }

    async fn abort(mut self) {
        let Some(mut writer) = self.0.take() else { return };
        // A part that arrives after the end of its upload would stay for ever: let those under way arrive first.
        let _may_have_failed = writer.wait_for_capacity(1).await;
        if let Err(error) = writer.abort().await {
            tracing::warn!(%error, "parts of an upload that broke off may be left in the object store");
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            kernel::task::spawn("abort-upload", Self(Some(writer)).abort());
        }
    }
}

impl s3::Bucket {
    fn object(&self, path: &SafePath) -> Result<Path, Error> {
        match &self.prefix {
            Some(prefix) => object(&prefix.join(path.as_str())?),
            None => object(path),
        }
    }
}

/// What the store says of parts that it does not put together: most often, that they are not what it has.
fn refused(path: &SafePath, source: object_store::Error) -> Error {
    let said = format!("{source:?}");
    let is_parts = ["InvalidPart", "EntityTooSmall", "NoSuchUpload"].iter().any(|code| said.contains(code));
    if is_parts {
        Error::Refused { path: path.to_string(), source }
    } else {
        Error::store("put together", path.as_str(), source)
    }
}

fn meta(found: &ObjectMeta) -> Meta {
    Meta { size: found.size, modified_us: found.last_modified.timestamp_micros() }
}

fn failed_list(dir: Option<&SafePath>, source: object_store::Error) -> Error {
    Error::store("list", dir.map(SafePath::to_string).unwrap_or_default(), source)
}

/// Verbatim: what [`SafePath`] admits, `object_store` takes as it stands.
fn object(path: &SafePath) -> Result<Path, Error> {
    Path::parse(path.as_str()).map_err(|error| Error::store("name", path.as_str(), error.into()))
}
