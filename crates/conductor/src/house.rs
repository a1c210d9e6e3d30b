//! Everything that is wired together in one process: the state behind every handler.
//!
//! A [`House`] is that of one workspace: its context, its files, its prediction log, its live models. That of the default workspace is
//! built at the start; those of others are opened beside it when they are first needed ([`House::within`]).

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use kernel::clock::Clock;
use kernel::ctx::{Ctx, DEFAULT_WORKSPACE, Principal};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::annex::Annexes;

/// What a house is made of.
#[derive(Debug)]
pub struct Parts {
    /// Metadata.
    pub db: db::Db,
    /// Artifacts and Parquet.
    pub blob: blob::Blob,
    /// Predictions and outcomes.
    pub log: telemetry::Log,
    /// The models that are live.
    pub fleet: serving::Fleet,
    /// The time.
    pub clock: Clock,
    /// Where the steps of pipelines write what they print.
    pub logs_dir: PathBuf,
}

/// One workspace of one process; cheap to clone: every request clones it several times on its way to a handler.
#[derive(Clone, Debug)]
pub struct House(pub(crate) Arc<Rooms>);

/// What is behind a [`House`].
#[derive(Debug)]
pub struct Rooms {
    /// The workspace.
    pub workspace: Arc<str>,
    /// Metadata.
    pub db: db::Db,
    /// Artifacts: those of this workspace.
    pub blob: blob::Blob,
    /// Predictions and outcomes: those of this workspace.
    pub log: telemetry::Log,
    /// The models that are live: those of this workspace.
    pub fleet: serving::Fleet,
    /// The time.
    pub clock: Clock,
    /// Who is known.
    pub access: access::Access,
    /// Where the steps of pipelines write what they print.
    pub logs_dir: Arc<Path>,
    pub(crate) shared: Arc<Shared>,
    /// The store without walls, from which those of other workspaces are cut.
    pub(crate) whole_blob: blob::Blob,
    /// The other workspaces; only that of the default one knows any.
    pub(crate) annexes: Annexes,
    /// The house of the default workspace; of itself it knows nothing.
    pub(crate) main: Weak<Rooms>,
}

/// What all workspaces have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    base_url: OnceLock<String>,
    nudge: Notify,
    private_targets: AtomicBool,
}

impl Deref for House {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        &self.0
    }
}

impl House {
    /// Wires the parts, for the default workspace.
    pub fn new(parts: Parts) -> Self {
        let Parts { db, blob, log, fleet, clock, logs_dir } = parts;
        let access = access::Access::new(db.clone(), clock.clone());
        Self(Arc::new(Rooms {
            workspace: DEFAULT_WORKSPACE.into(),
            db,
            blob: crate::annex::default_part(&blob),
            log,
            fleet,
            clock,
            access,
            logs_dir: logs_dir.into(),
            shared: Arc::default(),
            whole_blob: blob,
            annexes: Annexes::default(),
            main: Weak::new(),
        }))
    }

    /// The context of one unit of work in this workspace, now.
    pub fn ctx(&self, principal: Principal) -> Ctx {
        let ctx = Ctx::new(principal, self.clock.now_us());
        if &*self.workspace == DEFAULT_WORKSPACE { ctx } else { ctx.within(&self.workspace) }
    }

    /// The context of what the conductor does on its own in this workspace.
    pub fn conductor_ctx(&self) -> Ctx {
        self.ctx(Principal::System("conductor"))
    }

    /// Says at which address this process answers; the first call counts.
    pub fn set_base_url(&self, url: String) {
        let _already_known = self.shared.base_url.set(url);
    }

    /// The address at which this process answers, as given to pipeline steps.
    pub fn base_url(&self) -> &str {
        self.shared.base_url.get().map_or("http://127.0.0.1:5000", String::as_str)
    }

    /// Lets calls to where users say go to private addresses and over plain HTTP.
    pub fn allow_private_targets(&self) {
        self.shared.private_targets.store(true, Ordering::Relaxed);
    }

    /// Whether they may.
    pub(crate) fn allows_private_targets(&self) -> bool {
        self.shared.private_targets.load(Ordering::Relaxed)
    }

    /// Wakes the parts of the conductor that wait for something to do.
    pub fn nudge(&self) {
        self.shared.nudge.notify_waiters();
    }

    /// Resolves at the next nudge after this call, even if it is awaited later.
    pub fn nudged(&self) -> Notified<'_> {
        self.shared.nudge.notified()
    }
}
