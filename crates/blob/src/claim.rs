//! Whose files these are: a marker in the store names its one owner, so that no second installation writes or tidies there.

use bytes::Bytes;

use crate::remote::Created;
use crate::{Blob, Error, SafePath, Store};

/// The file that names the owner.
const MARKER: &str = "rondo-owner";

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
        let path = SafePath::parse(MARKER)?;
        let Store::Remote(remote) = &self.store else {
            if self.head(&path).await?.is_none() {
                self.put(&path, Bytes::copy_from_slice(owner.as_bytes())).await?;
            }
            return Ok(Claim { owner: self.owner().await?.unwrap_or_default(), conditional: true });
        };
        let held = self.owner().await?;
        let wanted = Bytes::from(held.clone().unwrap_or_else(|| owner.to_owned()));
        let mut answer = remote.create(&path, wanted.clone()).await?;
        if held.is_none() && answer == Created::Yes {
            // The marker is there now, so a store that minds conditions must refuse the same again.
            answer = remote.create(&path, wanted.clone()).await?;
        }
        if held.is_none() && answer == Created::Unsupported {
            self.put(&path, wanted).await?;
        }
        Ok(Claim { owner: self.owner().await?.unwrap_or_default(), conditional: answer == Created::Exists })
    }

    /// The owner that the store names.
    pub async fn owner(&self) -> Result<Option<String>, Error> {
        match self.get(&SafePath::parse(MARKER)?).await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
