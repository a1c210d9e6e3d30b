//! What every handle, the sync thread and the conversion share.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use blob::Blob;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::Options;
use crate::manifest::Manifest;
use crate::outcomes::OutcomeCache;
use crate::state::State;
use crate::sync::Syncer;

/// The log without its directory lock and its thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) wal_dir: PathBuf,
    pub(crate) blob: Blob,
    pub(crate) options: Options,
    pub(crate) state: Mutex<State>,
    pub(crate) syncer: Syncer,
    pub(crate) cache: Mutex<OutcomeCache>,
    /// One conversion at a time.
    pub(crate) converting: tokio::sync::Mutex<()>,
    /// Held while a conversion is entered in the manifest, and by the end of the log.
    pub(crate) publishing: Mutex<Publishing>,
    /// A background conversion is running.
    pub(crate) busy: AtomicBool,
    /// Where background work runs, if the log was opened inside a runtime.
    pub(crate) runtime: Option<Handle>,
}

/// The manifest, and whether the log has ended.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) manifest: Manifest,
    pub(crate) ended: bool,
}
