//! Everything that is wired together in one process: the state behind every handler.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use kernel::clock::Clock;
use kernel::ctx::{Ctx, Principal};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

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

/// One process's parts; cheap to clone: every request clones it several times on its way to a handler.
#[derive(Clone, Debug)]
pub struct House(Arc<Rooms>);

/// What is behind a [`House`].
#[derive(Debug)]
pub struct Rooms {
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
    /// Who is known.
    pub access: access::Access,
    /// Where the steps of pipelines write what they print.
    pub logs_dir: Arc<Path>,
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
    /// Wires the parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { db, blob, log, fleet, clock, logs_dir } = parts;
        let access = access::Access::new(db.clone(), clock.clone());
        let (base_url, nudge, private_targets) = (OnceLock::new(), Notify::new(), AtomicBool::new(false));
        Self(Arc::new(Rooms {
            db,
            blob,
            log,
            fleet,
            clock,
            access,
            logs_dir: logs_dir.into(),
            base_url,
            nudge,
            private_targets,
        }))
    }

    /// The context of one unit of work, now.
    pub fn ctx(&self, principal: Principal) -> Ctx {
        Ctx::new(principal, self.clock.now_us())
    }

    /// The context of what the conductor does on its own.
    pub fn conductor_ctx(&self) -> Ctx {
        self.ctx(Principal::System("conductor"))
    }

    /// Says at which address this process answers; the first call counts.
    pub fn set_base_url(&self, url: String) {
        let _already_known = self.base_url.set(url);
    }

    /// The address at which this process answers, as given to pipeline steps.
    pub fn base_url(&self) -> &str {
        self.base_url.get().map_or("http://127.0.0.1:5000", String::as_str)
    }

    /// Lets calls to where users say go to private addresses and over plain HTTP.
    pub fn allow_private_targets(&self) {
        self.private_targets.store(true, Ordering::Relaxed);
    }

    /// Whether they may.
    pub(crate) fn allows_private_targets(&self) -> bool {
        self.private_targets.load(Ordering::Relaxed)
    }

    /// Wakes the parts of the conductor that wait for something to do.
    pub fn nudge(&self) {
        self.nudge.notify_waiters();
    }

    /// Resolves at the next nudge after this call, even if it is awaited later.
    pub fn nudged(&self) -> Notified<'_> {
        self.nudge.notified()
    }
}
