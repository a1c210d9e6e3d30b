//! The live half: which version each deployment answers with right now.
//!
//! A version is loaded and checked beside the one that serves; one atomic exchange of a pointer moves the traffic; requests that
//! began with the old version end with it, and with the last of them it is freed. Nothing on the way of a request waits for a lock.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use inference::{Model, Package};
use kernel::clock::Clock;
use kernel::error::Classified as _;
use parking_lot::Mutex;

use crate::deployment::Config;
use crate::live::{Call, Desk, Live};
use crate::pool::Pool;
use crate::stats::{ErrorStats, VersionCounts, VersionStats};
use crate::{Error, smoke};

/// How many versions of a deployment are kept in its counters.
const REMEMBERED_VERSIONS: usize = 16;

/// Limits; the defaults suit a laptop and a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// A request that is expected to take longer than this goes to the workers, off the async runtime.
    pub inline: Duration,
    /// Threads that work on larger requests.
    pub workers: usize,
    /// Larger requests that may wait for a worker; the next one is refused.
    pub queue: usize,
    /// Most rows in one request.
    pub max_rows: usize,
    /// Most bytes in the body of one request.
    pub max_body_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            inline: Duration::from_micros(200),
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            queue: 64,
            max_rows: 10_000,
            max_body_bytes: 16 << 20,
        }
    }
}

/// A model that can go live.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The registered model.
    pub model_name: String,
    /// Its version.
    pub version: String,
    /// The model.
    pub model: Arc<Model>,
}

/// A switch that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rolled {
    /// The version that served before.
    pub from: Option<String>,
    /// The version that serves now.
    pub to: String,
    /// What callers must know about the change of the columns, in words; empty if the interface is the same.
    pub changes: Vec<String>,
}

/// Whether a deployment answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A version serves.
    Ready,
    /// Nothing has been loaded: the pointer points at nothing yet, or loading has not ended.
    Empty,
    /// The last version that was tried was refused and none serves.
    Failed(String),
}

/// A deployment as it is now.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its name.
    pub deployment: String,
    /// Whether it answers.
    pub state: State,
    /// The version that serves.
    pub live: Option<Arc<Live>>,
    /// Replaced versions that requests still hold.
    pub draining: usize,
    /// Why the last version that was tried was refused, if it was.
    pub last_failure: Option<String>,
    /// What each version answered, the present one last.
    pub versions: Vec<VersionCounts>,
    /// Requests without an answer, by class.
    pub errors: Vec<(&'static str, u64)>,
}

/// The models that are live; cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    slots: ArcSwap<BTreeMap<Arc<str>, Arc<Slot>>>,
    log: telemetry::Log,
    clock: Clock,
    options: Options,
    pool: Arc<Pool>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("slots", &self.slots).field("options", &self.options).finish_non_exhaustive()
    }
}

/// The place of one deployment; it outlives its versions.
#[derive(Debug)]
struct Slot {
    name: Arc<str>,
    live: ArcSwapOption<Live>,
    errors: ErrorStats,
    story: Mutex<Story>,
}

#[derive(Debug, Default)]
struct Story {
    config: Config,
    replaced: Vec<Weak<Live>>,
    versions: Vec<Arc<VersionStats>>,
    last_failure: Option<String>,
}

/// Reads a package into a model, off the async runtime. Executes nothing that the files hold.
pub async fn load(package: Package) -> Result<Model, Error> {
    let read = tokio::task::spawn_blocking(move || inference::load(&package)).await;
    read.unwrap_or_else(|_| {
        Err(inference::LoadError::Damaged {
            file: "the package".to_owned(),
            what: "its reader died of a defect".to_owned(),
        })
    })
    .map_err(Error::Load)
}

impl Fleet {
    /// A fleet without deployments.
    pub fn new(log: telemetry::Log, clock: Clock, options: Options) -> Self {
        let pool = Pool::new(options.workers, options.queue);
        Self(Arc::new(Inner { slots: ArcSwap::default(), log, clock, options, pool: Arc::new(pool) }))
    }

    /// A fleet of its own for another workspace, with that one's log. It has the same limits, and shares the workers.
    #[must_use]
    pub fn beside(&self, log: telemetry::Log) -> Self {
        let Inner { clock, options, pool, .. } = &*self.0;
        let (clock, options, pool) = (clock.clone(), options.clone(), Arc::clone(pool));
        Self(Arc::new(Inner { slots: ArcSwap::default(), log, clock, options, pool }))
    }

    /// The limits.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Makes a deployment known before it has anything to serve, and says what it accepts from the next switch on. A deployment
    /// that is rolled without having been declared accepts the default.
    pub fn declare(&self, deployment: &str, config: Config) {
        self.slot_or_new(deployment).story.lock().config = config;
    }

    /// Checks a version beside the one that serves, and switches to it.
    pub async fn roll(&self, deployment: &str, loaded: Loaded) -> Result<Rolled, Error> {
        let slot = self.slot_or_new(deployment);
        let model = loaded.model.clone();
        let checked = tokio::task::spawn_blocking(move || smoke::check(&model)).await;
        match checked.unwrap_or_else(|_| Err("its check died of a defect".to_owned())) {
            Ok(one_row) => Ok(self.switch(&slot, loaded, one_row)),
            Err(reason) => {
                slot.story.lock().last_failure = Some(reason.clone());
                Err(Error::Check { model: loaded.model_name, version: loaded.version, reason })
            }
        }
    }

    fn switch(&self, slot: &Slot, loaded: Loaded, one_row: Duration) -> Rolled {
        let inner = &*self.0;
        let mut story = slot.story.lock();
        let stats = story.stats_of(&loaded.model_name, &loaded.version);
        let desk = Desk { log: inner.log.clone(), clock: inner.clock.clone(), max_rows: inner.options.max_rows };
        let live = Live::new(slot.name.clone(), loaded.model, story.config.clone(), stats, one_row, desk);
        let to = live.version().to_owned();
        let live = Arc::new(live);
        let old = slot.live.swap(Some(live.clone()));
        story.last_failure = None;
        story.replaced.retain(|each| each.strong_count() > 0);
        let Some(old) = old else { return Rolled { from: None, to, changes: Vec::new() } };
        story.replaced.push(Arc::downgrade(&old));
        Rolled { from: Some(old.version().to_owned()), to, changes: live.inputs().changes_since(old.inputs()) }
    }

    /// Notes that a version could not even be loaded; what served before goes on.
    pub fn note_failure(&self, deployment: &str, reason: &str) {
        self.slot_or_new(deployment).story.lock().last_failure = Some(reason.to_owned());
    }

    /// Stops serving a deployment. Requests under way are answered.
    pub fn remove(&self, deployment: &str) {
        self.0.slots.rcu(|slots| {
            let mut slots = BTreeMap::clone(slots);
            slots.remove(deployment);
            slots
        });
    }

    /// The version that a deployment answers with.
    pub fn get(&self, deployment: &str) -> Option<Arc<Live>> {
        self.0.slots.load().get(deployment)?.live.load_full()
    }

    /// The only deployment, for callers that have no way to name one.
    pub fn only(&self) -> Option<String> {
        let slots = self.0.slots.load();
        let mut names = slots.keys();
        let first = names.next()?;
        names.next().is_none().then(|| first.to_string())
    }

    /// All deployments, by name.
    pub fn list(&self) -> Vec<Status> {
        self.0.slots.load().values().map(|slot| slot.status()).collect()
    }

    /// One deployment.
    pub fn status(&self, deployment: &str) -> Option<Status> {
        self.0.slots.load().get(deployment).map(|slot| slot.status())
    }

    /// Answers one request: `work` decodes it, calls [`Call::predict`] and encodes the answer. Small requests (by `bytes` and what
    /// bytes have cost before) run here and now, larger ones on a worker; if all are busy and the queue is full the request is
    /// refused at once.
    pub async fn run<T: Send + 'static>(
        &self,
        deployment: &str,
        bytes: usize,
        work: impl FnOnce(&Call) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = self.0.slots.load().get(deployment).cloned();
        let slot = slot.ok_or_else(|| Error::NotFound(deployment.to_owned()))?;
        let result = self.run_in(&slot, bytes, work).await;
        if let Err(error) = &result {
            slot.errors.failed(error.kind());
        }
        result
    }

    async fn run_in<T: Send + 'static>(
        &self,
        slot: &Slot,
        bytes: usize,
        work: impl FnOnce(&Call) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let options = &self.0.options;
        if bytes > options.max_body_bytes {
            return Err(Error::TooLarge { what: format!("{bytes} bytes"), limit: options.max_body_bytes });
        }
        let live = slot.live.load_full().ok_or_else(|| slot.empty())?;
        let small = live.cost.estimate(bytes) <= options.inline;
        let call = Call::new(live);
        if small { answer(&call, bytes, work) } else { self.0.pool.run(move || answer(&call, bytes, work)).await }
    }

    fn slot_or_new(&self, deployment: &str) -> Arc<Slot> {
        if let Some(slot) = self.0.slots.load().get(deployment) {
            return slot.clone();
        }
        let new = Arc::new(Slot::new(deployment));
        self.0.slots.rcu(|slots| {
            let mut slots = BTreeMap::clone(slots);
            slots.entry(new.name.clone()).or_insert_with(|| new.clone());
            slots
        });
        self.0.slots.load().get(deployment).cloned().unwrap_or(new)
    }
}

/// Runs the work and keeps the books. A panic is a defect of ours and costs one answer, not the connection.
fn answer<T>(call: &Call, bytes: usize, work: impl FnOnce(&Call) -> Result<T, Error>) -> Result<T, Error> {
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| work(call))).unwrap_or(Err(Error::Defect));
    call.live().cost.learn(bytes, began.elapsed());
    if result.is_ok() {
        call.live().stats.answered(call.took());
    }
    result
}

impl Slot {
    fn new(name: &str) -> Self {
        Self {
            name: Arc::from(name),
            live: ArcSwapOption::empty(),
            errors: ErrorStats::default(),
            story: Mutex::default(),
        }
    }

    fn empty(&self) -> Error {
        Error::Empty { deployment: self.name.to_string(), reason: self.story.lock().last_failure.clone() }
    }

    fn status(&self) -> Status {
        let live = self.live.load_full();
        let story = self.story.lock();
        let state = match (&live, &story.last_failure) {
            (Some(_), _) => State::Ready,
            (None, Some(reason)) => State::Failed(reason.clone()),
            (None, None) => State::Empty,
        };
        Status {
            deployment: self.name.to_string(),
            state,
            live,
            draining: story.replaced.iter().filter(|each| each.strong_count() > 0).count(),
            last_failure: story.last_failure.clone(),
            versions: story.versions.iter().map(|stats| stats.read()).collect(),
            errors: self.errors.read(),
        }
    }
}

impl Story {
    /// The counters of a version: its own again if it has served before, so that they never run backwards.
    fn stats_of(&mut self, model: &str, version: &str) -> Arc<VersionStats> {
        let known = self.versions.iter().position(|have| &*have.model == model && &*have.version == version);
        let stats = match known {
            Some(at) => self.versions.remove(at),
            None => Arc::new(VersionStats::new(Arc::from(model), Arc::from(version))),
        };
        if self.versions.len() >= REMEMBERED_VERSIONS {
            self.versions.remove(0);
        }
        self.versions.push(stats.clone());
        stats
    }
}
