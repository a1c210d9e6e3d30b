//! Everything that is wired together in one process: the state behind every handler.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use kernel::clock::Clock;
use kernel::ctx::{Ctx, Principal};
use tokio::sync::Notify;

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

/// One process's parts; cheap to clone.
#[derive(Clone, Debug)]
pub struct House {
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
    pub logs_dir: Arc<Path>,
    base_url: Arc<OnceLock<String>>,
    nudge: Arc<Notify>,
}

impl House {
    /// Wires the parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { db, blob, log, fleet, clock, logs_dir } = parts;
        Self { db, blob, log, fleet, clock, logs_dir: logs_dir.into(), base_url: Arc::default(), nudge: Arc::default() }
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

    /// Wakes the parts of the conductor that wait for something to do.
    pub fn nudge(&self) {
        self.nudge.notify_waiters();
    }

    /// Resolves at the next nudge.
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }
}
