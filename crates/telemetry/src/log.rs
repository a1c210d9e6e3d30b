//! The log: its face.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use blob::Blob;
use kernel::clock::Clock;
use kernel::frame::Cell;
use parking_lot::{Mutex, MutexGuard};

use crate::key::{self, Key};
use crate::manifest::Manifest;
use crate::shared::{Publishing, Shared};
use crate::state::State;
use crate::sync::{self, Syncer};
use crate::wal::io_error;
use crate::{Counts, Error, Found, Options, Outcome, PredictionBatch, Rows, Scan, Watermark, convert, recover, scan};

const MAX_TEXT: usize = 512;

/// The event log; cheap to clone. The last handle to go syncs what is written and frees the directory.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    syncing: Option<JoinHandle<()>>,
    _lock: File,
}

impl Log {
    /// Opens the log in `dir` (made if missing) and replays what the last process left. Opened inside a tokio runtime, closed
    /// segments become Parquet by themselves; outside, at [`Self::flush`] only.
    pub fn open(dir: &Path, blob: Blob, clock: Clock, options: Options) -> Result<Self, Error> {
        // Every time in the log is given by the caller; the clock is part of the face so that retention can use it.
        let _ = clock;
        let wal_dir = dir.join("wal");
        for path in [&wal_dir, &dir.join("ids")] {
            fs::create_dir_all(path).map_err(io_error("making", path))?;
        }
        let lock = lock(dir)?;
        let (manifest, entries) = Manifest::open(dir)?;
        let state = recover::recover(dir, &wal_dir, &entries, &options)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            wal_dir,
            blob,
            options,
            state: Mutex::new(state),
            syncer: Syncer::default(),
            cache: Mutex::default(),
            converting: tokio::sync::Mutex::new(()),
            publishing: Mutex::new(Publishing { manifest, ended: false }),
            busy: AtomicBool::new(false),
            runtime: tokio::runtime::Handle::try_current().ok(),
        });
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new().name("telemetry-sync".to_owned());
        let syncing =
            thread.spawn(move || sync::run(&for_thread)).map_err(io_error("starting the sync thread of", dir))?;
        convert::kick(&shared);
        Ok(Self { inner: Arc::new(Inner { shared, syncing: Some(syncing), _lock: lock }) })
    }

    /// A log of its own for another workspace, below the directory of this one: in `workspaces/NAME`, and in the store too. Blocks
    /// while it reads what was left there.
    pub fn beside(&self, workspace: &str, clock: Clock) -> Result<Self, Error> {
        let shared = &self.inner.shared;
        let below = format!("workspaces/{workspace}");
        let place = blob::SafePath::parse(&below).map_err(|error| Error::Invalid(error.to_string()))?;
        let blob = shared.blob.rooted(&place).map_err(|error| Error::Invalid(error.to_string()))?;
        Self::open(&shared.dir.join(below), blob, clock, shared.options.clone())
    }

    /// Logs predictions with one write to the open segment; rows whose id is known already are left out.
    pub fn append_predictions(&self, batch: &PredictionBatch<'_>) -> Result<(), Error> {
        check(batch)?;
        let shared = &self.inner.shared;
        let mut few = [0; 1];
        let many: Vec<Key>;
        let keys = match batch.ids {
            [] => return Ok(()),
            [id] => {
                few[0] = key::of(id);
                &few[..]
            }
            ids => {
                many = ids.iter().map(|id| key::of(id)).collect();
                &many[..]
            }
        };
        let mut state = soon(&shared.state);
        if state.append_predictions(batch, keys)?.is_none() {
            return Ok(());
        }
        let closed = state.is_full() && roll_if_possible(&mut state);
        drop(state);
        shared.syncer.touch();
        if closed {
            convert::kick(shared);
        }
        Ok(())
    }

    /// Logs outcomes; they are on the disk when this returns.
    pub async fn append_outcomes(&self, outcomes: Vec<Outcome>) -> Result<(), Error> {
        if outcomes.is_empty() {
            return Ok(());
        }
        for outcome in &outcomes {
            check_text("prediction_id", &outcome.prediction_id)?;
            let missing =
                matches!(outcome.value, Cell::Missing) || matches!(outcome.value, Cell::Number(n) if n.is_nan());
            if missing {
                return Err(Error::Invalid(format!(
                    "the outcome of prediction {:?} is missing",
                    outcome.prediction_id
                )));
            }
        }
        let keys: Vec<Key> = outcomes.iter().map(|outcome| key::of(&outcome.prediction_id)).collect();
        let shared = &self.inner.shared;
        let (written, closed) = {
            let mut state = shared.state.lock();
            let written = state.append_outcomes(&outcomes, &keys)?;
            (written, state.is_full() && roll_if_possible(&mut state))
        };
        if closed {
            convert::kick(shared);
        }
        shared.syncer.reach(written).await
    }

    /// Declares that everything up to this event time has been sent; never moves back; on the disk when this returns.
    pub async fn advance_watermark(&self, deployment: &str, event_time_us: i64) -> Result<(), Error> {
        check_text("deployment", deployment)?;
        let shared = &self.inner.shared;
        let written = {
            let mut state = shared.state.lock();
            let last = state.written;
            state.advance_watermark(deployment, event_time_us)?.unwrap_or(last)
        };
        shared.syncer.reach(written).await
    }

    /// How far a deployment has come.
    pub fn watermark(&self, deployment: &str) -> Watermark {
        let state = self.inner.shared.state.lock();
        state
            .numbers
            .get(deployment)
            .map_or_else(Watermark::default, |&number| state.deployments[number as usize].watermark)
    }

    /// Reads predictions with their outcomes.
    pub async fn scan(&self, query: Scan) -> Result<Rows, Error> {
        scan::scan(&self.inner.shared, query).await
    }

    /// One prediction by its id; may read many files.
    pub async fn find(&self, prediction_id: &str) -> Result<Option<Found>, Error> {
        scan::find(&self.inner.shared, prediction_id).await
    }

    /// How much of a deployment there is.
    pub fn counts(&self, deployment: &str) -> Counts {
        let state = self.inner.shared.state.lock();
        state.numbers.get(deployment).map_or_else(Counts::default, |&number| state.deployments[number as usize].counts)
    }

    /// Deployments that have predictions or a watermark, sorted.
    pub fn deployments(&self) -> Vec<String> {
        let state = self.inner.shared.state.lock();
        let mut names: Vec<_> = state.deployments.iter().map(|deployment| deployment.name.to_string()).collect();
        names.sort();
        names
    }

    /// Closes the open segment and writes everything closed to the object store.
    pub async fn flush(&self) -> Result<(), Error> {
        self.inner.shared.state.lock().roll()?;
        convert::convert_all(&self.inner.shared).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.publishing.lock().ended = true;
        self.shared.syncer.stop();
        if let Some(thread) = self.syncing.take()
            && thread.join().is_err()
        {
            tracing::error!("the sync thread of the telemetry log died of a defect");
        }
    }
}

/// Takes a lock that others hold for the time of a small write: to wait for it awake costs less than to sleep and be woken.
fn soon(state: &Mutex<State>) -> MutexGuard<'_, State> {
    const SPINS: usize = 200;
    for _ in 0..SPINS {
        if let Some(guard) = state.try_lock() {
            return guard;
        }
        std::hint::spin_loop();
    }
    state.lock()
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io_error("opening", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error("locking", &path)(error)),
    }
}

/// Closes the open segment; if the disk refuses the next one, the open one grows on.
fn roll_if_possible(state: &mut State) -> bool {
    state.roll().unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the next telemetry segment could not be made; the open one grows on"
        );
        false
    })
}

fn check(batch: &PredictionBatch<'_>) -> Result<(), Error> {
    let rows = batch.ids.len();
    if batch.event_times_us.len() != rows || batch.scores.len() != rows || batch.frame.rows() != rows && rows > 0 {
        return Err(Error::Invalid(format!("{rows} ids need {rows} event times, scores and rows")));
    }
    let columns = batch.frame.columns();
    let fits = batch.schema.features.iter().zip(columns).all(|((_, kind), column)| *kind == column.kind());
    if columns.len() != batch.schema.features.len() || !fits {
        return Err(Error::Invalid("the columns of the batch are not those of its schema".to_owned()));
    }
    check_text("deployment", batch.deployment)?;
    check_text("model", batch.model)?;
    check_text("version", batch.version)?;
    batch.ids.iter().try_for_each(|id| check_text("prediction id", id))
}

fn check_text(what: &str, text: &str) -> Result<(), Error> {
    if (1..=MAX_TEXT).contains(&text.len()) {
        return Ok(());
    }
    Err(Error::Invalid(format!("a {what} has 1 to {MAX_TEXT} bytes, not {}", text.len())))
}
