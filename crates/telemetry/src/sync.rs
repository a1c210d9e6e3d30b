//! The thread that makes writes durable: at least every interval, at once when somebody waits; one sync serves all who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::Error;
use crate::shared::Shared;

/// How far the disk has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    written: u64,
    failed: Option<String>,
}

#[derive(Debug, Default)]
struct Wanted {
    urgent: bool,
    stop: bool,
}

/// The door to the thread.
#[derive(Debug)]
pub(crate) struct Syncer {
    dirty: AtomicBool,
    wanted: Mutex<Wanted>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
}

impl Default for Syncer {
    fn default() -> Self {
        Self {
            dirty: AtomicBool::new(false),
            wanted: Mutex::default(),
            wake: Condvar::new(),
            progress: watch::Sender::new(Progress::default()),
        }
    }
}

impl Syncer {
    /// Something was written that nobody waits for.
    pub(crate) fn touch(&self) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            drop(self.wanted.lock());
            self.wake.notify_one();
        }
    }

    /// Resolves when the write of this number is on the disk.
    pub(crate) async fn reach(&self, written: u64) -> Result<(), Error> {
        let mut progress = self.progress.subscribe();
        self.dirty.store(true, Ordering::Release);
        self.wanted.lock().urgent = true;
        self.wake.notify_one();
        let reached = progress.wait_for(|progress| progress.written >= written || progress.failed.is_some()).await;
        match reached.map(|progress| progress.failed.clone()) {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(Error::Unwritable(reason)),
            Err(_) => Err(Error::Unwritable("the log is closing".to_owned())),
        }
    }

    /// Asks the thread to sync once more and end.
    pub(crate) fn stop(&self) {
        self.wanted.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits for work; false when it is time to end.
    fn wait(&self, interval: Duration) -> bool {
        let mut wanted = self.wanted.lock();
        self.wake
            .wait_while(&mut wanted, |wanted| !wanted.urgent && !wanted.stop && !self.dirty.load(Ordering::Acquire));
        self.wake.wait_while_for(&mut wanted, |wanted| !wanted.urgent && !wanted.stop, interval);
        wanted.urgent = false;
        !wanted.stop
    }
}

/// The thread's work.
pub(crate) fn run(shared: &Arc<Shared>) {
    loop {
        let go_on = shared.syncer.wait(shared.options.sync_interval);
        sync(shared);
        if !go_on {
            return;
        }
    }
}

fn sync(shared: &Shared) {
    shared.syncer.dirty.store(false, Ordering::Release);
    let (files, written) = {
        let mut state = shared.state.lock();
        let mut files = std::mem::take(&mut state.unsynced);
        files.push(state.open.segment.file.clone());
        (files, state.written)
    };
    let result = files.iter().try_for_each(|file| file.sync_data());
    shared.syncer.progress.send_modify(|progress| match &result {
        Ok(()) => progress.written = written,
        Err(error) => progress.failed = Some(error.to_string()),
    });
    if let Err(error) = result {
        // The kernel may have dropped what it could not write, so a later success would prove nothing.
        tracing::error!(%error, "syncing the telemetry log failed: appends are refused until a restart");
        shared.state.lock().failed = Some(error.to_string());
    }
}
