//! Whose files these are: a marker in the store names its one owner, so that no second installation writes or tidies there.

use bytes::Bytes;

use crate::remote::Created;
use crate::{Blob, Error, SafePath, Store};

/// The file that names the owner, and the file that names the store itself.
const OWNER: &str = "rondo-owner";
const STORE: &str = "rondo-store";

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who owns the store: the claimant, or whoever came first.
    pub owner: String,
    /// Whether the store can write a file only if there is none. In one that cannot, two claims at the same moment are settled by
    /// whoever reads last, so do not start two installations on it at once.
    pub conditional: bool,
}

impl Blob {
    /// Makes `owner` the owner of a store that has none, and says who owns it. It is the first access, so it also tells whether the
    /// store can be reached and written.
    pub async fn claim(&self, owner: &str) -> Result<Claim, Error> {
        self.mark(OWNER, owner).await
    }

    /// A name that the store holds itself: whoever finds the same name has the same store, by whatever address. `fresh` becomes the
    /// name of a store that has none.
    pub async fn identity(&self, fresh: &str) -> Result<String, Error> {
        Ok(self.mark(STORE, fresh).await?.owner)
    }

    /// Writes a file that nobody has written, and says what is in it now.
    async fn mark(&self, file: &str, owner: &str) -> Result<Claim, Error> {
        let path = SafePath::parse(file)?;
        let remote = match &self.store {
            Store::Remote(remote) => remote,
            Store::Local(local) => {
                if self.head(&path).await?.is_none() {
                    local.create(&path, Bytes::copy_from_slice(owner.as_bytes())).await?;
                }
                return Ok(Claim { owner: self.marked(file).await?.unwrap_or_default(), conditional: true });
            }
        };
        let held = self.marked(file).await?;
        let wanted = Bytes::from(held.clone().unwrap_or_else(|| owner.to_owned()));
        let mut answer = remote.create(&path, wanted.clone()).await?;
        if held.is_none() && answer == Created::Yes {
            // The marker is there now, so a store that minds conditions must refuse the same again.
            answer = remote.create(&path, wanted.clone()).await?;
        }
        if held.is_none() && answer == Created::Unsupported {
            self.put(&path, wanted).await?;
        }
        Ok(Claim { owner: self.marked(file).await?.unwrap_or_default(), conditional: answer == Created::Exists })
    }

    /// The owner that the store names.
    pub async fn owner(&self) -> Result<Option<String>, Error> {
        self.marked(OWNER).await
    }

    async fn marked(&self, file: &str) -> Result<Option<String>, Error> {
        match self.get(&SafePath::parse(file)?).await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
