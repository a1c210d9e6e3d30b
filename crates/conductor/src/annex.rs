//! The houses of other workspaces than the default one: opened when first needed, let go when their workspace is deleted.
//!
//! Each has a prediction log and a fleet of its own, so that nothing has to be told apart by name, and reaches only its own part of the
//! artifact store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use blob::{Blob, SafePath};
use kernel::ctx::DEFAULT_WORKSPACE;
use tokio::sync::Mutex;

use crate::house::Rooms;
use crate::{Error, House};

/// Where the artifacts of other workspaces are. Nothing of the default one may be there.
const APART: &str = "artifacts/workspaces";
/// For how long a workspace that was there is taken to be there still: another process may delete it.
const FRESH_US: i64 = 5_000_000;

/// Those that are open.
#[derive(Debug, Default)]
pub(crate) struct Annexes {
    open: ArcSwap<HashMap<String, Arc<Annex>>>,
    opening: Mutex<()>,
}

#[derive(Debug)]
struct Annex {
    house: House,
    checked_us: AtomicI64,
}

/// The part of the artifact store that the default workspace reaches.
pub(crate) fn default_part(blob: &Blob) -> Blob {
    SafePath::parse(APART).map_or_else(|_| blob.clone(), |apart| blob.without(&apart))
}

impl House {
    /// The house of a workspace that was seen a moment ago. `None` means that it must be [asked for](Self::within).
    pub fn known(&self, workspace: &str) -> Option<Self> {
        if workspace == &*self.workspace {
            return Some(self.clone());
        }
        let main = self.root();
        if workspace == DEFAULT_WORKSPACE {
            return Some(self.alike(&main));
        }
        let annex = main.annexes.open.load().get(workspace).cloned()?;
        let age_us = self.clock.now_us() - annex.checked_us.load(Ordering::Relaxed);
        (age_us < FRESH_US).then(|| self.alike(&annex.house))
    }

    /// The house of a workspace, opened if it is not yet; an error if there is no such workspace.
    pub async fn within(&self, workspace: &str) -> Result<Self, Error> {
        if let Some(known) = self.known(workspace) {
            return Ok(known);
        }
        let (main, name) = (self.root(), workspace.to_owned());
        if let Err(error) = main.db.read(move |tx| access::workspace::get(tx, &name)).await {
            if matches!(error, access::Error::NoWorkspace { .. }) {
                main.annexes.close(workspace);
            }
            return Err(error.into());
        }
        let _one_at_a_time = main.annexes.opening.lock().await;
        if let Some(annex) = main.annexes.open.load().get(workspace) {
            annex.checked_us.store(main.clock.now_us(), Ordering::Relaxed);
            return Ok(self.alike(&annex.house));
        }
        let house = main.open(workspace).await?;
        if let Err(error) = crate::follow::restore(&house).await {
            tracing::error!(workspace.name = workspace, %error, "the deployments of a workspace cannot be restored");
        }
        main.annexes.put(workspace, &house);
        Ok(self.alike(&house))
    }

    /// The houses of all workspaces, this one's first. One that cannot be opened is left out, and told.
    pub async fn all(&self) -> Result<Vec<Self>, Error> {
        let listed = self.db.read(access::workspace::list).await?;
        let mut all = vec![self.clone()];
        for one in listed.into_iter().filter(|one| one.name != *self.workspace) {
            match self.within(&one.name).await {
                Ok(house) => all.push(house),
                Err(error) => tracing::error!(workspace.name = one.name, %error, "a workspace cannot be opened"),
            }
        }
        Ok(all)
    }

    /// Those that are open, this one's first.
    pub fn opened(&self) -> Vec<Self> {
        let main = self.root();
        let open = main.annexes.open.load_full();
        [self.alike(&main)].into_iter().chain(open.values().map(|annex| self.alike(&annex.house))).collect()
    }

    /// Lets go of a workspace that was deleted, and of what is left in its part of the artifact store.
    pub async fn abandon(&self, workspace: &str) -> Result<(), Error> {
        let main = self.root();
        main.annexes.close(workspace);
        main.access.forget();
        Ok(main.whole_blob.delete_all(SafePath::parse(&format!("{APART}/{workspace}"))?.as_str()).await?)
    }

    /// The house of the default workspace, by which the others are known; whatever this one writes under.
    pub(crate) fn root(&self) -> Self {
        self.main.upgrade().map_or_else(|| self.clone(), Self)
    }

    /// A house that writes under the same term as this one, if this one does under any.
    fn alike(&self, house: &Self) -> Self {
        self.term.as_ref().map_or_else(|| house.clone(), |term| house.under(term))
    }

    async fn open(&self, workspace: &str) -> Result<Self, Error> {
        let (beside, name, clock) = (self.log.clone(), workspace.to_owned(), self.clock.clone());
        let log = tokio::task::spawn_blocking(move || beside.beside(&name, clock)).await??;
        Ok(Self(Arc::new(Rooms {
            workspace: workspace.into(),
            db: self.db.clone(),
            blob: self.whole_blob.only(&SafePath::parse(&format!("{APART}/{workspace}"))?),
            fleet: self.fleet.beside(log.clone()),
            log,
            clock: self.clock.clone(),
            access: self.access.clone(),
            logs_dir: Arc::clone(&self.logs_dir),
            shared: Arc::clone(&self.shared),
            whole_blob: self.whole_blob.clone(),
            annexes: Annexes::default(),
            main: Arc::downgrade(&self.0),
            term: None,
        })))
    }
}

impl Annexes {
    fn put(&self, workspace: &str, house: &House) {
        let annex = Arc::new(Annex { house: house.clone(), checked_us: AtomicI64::new(house.clock.now_us()) });
        self.open.rcu(|open| {
            let mut open = HashMap::clone(open);
            open.insert(workspace.to_owned(), Arc::clone(&annex));
            open
        });
    }

    fn close(&self, workspace: &str) {
        self.open.rcu(|open| {
            let mut open = HashMap::clone(open);
            open.remove(workspace);
            open
        });
    }
}
