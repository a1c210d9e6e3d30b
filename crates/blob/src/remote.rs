//! Any store that `object_store` speaks to. It is durable and atomic by itself, so this only translates.

use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, WriteMultipart};

use crate::{ByteStream, Entry, Error, Meta, SafePath, clip};

#[derive(Clone, Debug)]
pub(crate) struct Remote(Arc<dyn ObjectStore>);

impl Remote {
    pub(crate) fn memory() -> Self {
        Self(Arc::new(object_store::memory::InMemory::new()))
    }

    pub(crate) async fn put(
        &self,
        path: &SafePath,
        stream: impl Stream<Item = Result<Bytes, Error>> + Send,
    ) -> Result<u64, Error> {
        let failed = |source| Error::store("write", path.as_str(), source);
        let upload = self.0.put_multipart(&object(path)?).await.map_err(failed)?;
        let mut writer = WriteMultipart::new(upload);
        let mut stream = pin!(stream);
        let mut size = 0;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => {
                    size += chunk.len() as u64;
                    writer.wait_for_capacity(4).await.map_err(failed)?;
                    writer.put(chunk);
                }
                Err(error) => {
                    let _ = writer.abort().await;
                    return Err(error);
                }
            }
        }
        writer.finish().await.map_err(failed)?;
        Ok(size)
    }

    pub(crate) async fn get(&self, path: &SafePath, range: Option<Range<u64>>) -> Result<(Meta, ByteStream), Error> {
        let found = self.head(path).await?.ok_or_else(|| Error::NotFound(path.to_string()))?;
        let range = clip(range, found.size, path)?;
        if range.is_empty() {
            return Ok((found, futures_util::stream::empty().boxed()));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let result = self.0.get_opts(&object(path)?, options).await;
        let result = result.map_err(|source| Error::store("read", path.as_str(), source))?;
        let path = path.clone();
        Ok((found, result.into_stream().map_err(move |source| Error::store("read", path.as_str(), source)).boxed()))
    }

    pub(crate) async fn head(&self, path: &SafePath) -> Result<Option<Meta>, Error> {
        match self.0.head(&object(path)?).await {
            Ok(found) => Ok(Some(Meta { size: found.size, modified_us: found.last_modified.timestamp_micros() })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::store("look up", path.as_str(), source)),
        }
    }

    pub(crate) async fn list(&self, dir: Option<SafePath>) -> Result<Vec<Entry>, Error> {
        let prefix = dir.as_ref().map(object).transpose()?;
        let listed =
            self.0.list_with_delimiter(prefix.as_ref()).await.map_err(|source| failed_list(dir.as_ref(), source))?;
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
        match self.0.delete(&object(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::store("delete", path.as_str(), source)),
        }
    }

    pub(crate) async fn delete_all(&self, dir: SafePath) -> Result<(), Error> {
        for found in self.objects(Some(&dir)).await? {
            self.0.delete(&found.location).await.map_err(|source| Error::store("delete", dir.as_str(), source))?;
        }
        self.delete(&dir).await
    }

    async fn objects(&self, dir: Option<&SafePath>) -> Result<Vec<ObjectMeta>, Error> {
        let prefix = dir.map(object).transpose()?;
        self.0.list(prefix.as_ref()).try_collect().await.map_err(|source| failed_list(dir, source))
    }
}

fn failed_list(dir: Option<&SafePath>, source: object_store::Error) -> Error {
    Error::store("list", dir.map(SafePath::to_string).unwrap_or_default(), source)
}

/// Verbatim: what [`SafePath`] admits, `object_store` takes as it stands.
fn object(path: &SafePath) -> Result<Path, Error> {
    Path::parse(path.as_str()).map_err(|error| Error::store("name", path.as_str(), error.into()))
}
