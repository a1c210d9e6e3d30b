//! Everything that is wired together in one process: the state behind every handler.
//!
//! A [`House`] is that of one workspace: its context, its files, its prediction log, its live models. That of the default workspace is
//! built at the start; those of others are opened beside it when they are first needed ([`House::within`]).

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use db::lease::Term;
use db::replica::Newcomer;
use kernel::clock::Clock;
use kernel::ctx::{Ctx, DEFAULT_WORKSPACE, Principal};
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::annex::Annexes;
use crate::oidc::Provider;

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
    /// The term that it may write under, if it was made for one.
    pub(crate) term: Option<Term>,
}

/// What all workspaces have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    base_url: OnceLock<String>,
    replica: OnceLock<Newcomer>,
    nudge: Notify,
    private_targets: AtomicBool,
    /// The term under which this process turns the loop, 0 if another does.
    epoch: AtomicI64,
    switching: Mutex<()>,
    sign_in: OnceLock<SignIn>,
}

/// How people sign in with a browser, beside their passwords and tokens.
#[derive(Debug, Default)]
pub struct SignIn {
    /// The provider that vouches for them.
    pub provider: Option<Provider>,
    /// The address under which browsers reach this server, if it is not simply the one that they name.
    pub public_url: Option<String>,
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
            term: None,
        }))
    }

    /// The same house, with writes that are refused once the term is over. Those of other workspaces that it leads to are so too.
    #[must_use]
    pub fn under(&self, term: &Term) -> Self {
        let rooms = &*self.0;
        Self(Arc::new(Rooms {
            workspace: Arc::clone(&rooms.workspace),
            db: rooms.db.fenced(term.clone()),
            blob: rooms.blob.clone(),
            log: rooms.log.clone(),
            fleet: rooms.fleet.clone(),
            clock: rooms.clock.clone(),
            access: rooms.access.clone(),
            logs_dir: Arc::clone(&rooms.logs_dir),
            shared: Arc::clone(&rooms.shared),
            whole_blob: rooms.whole_blob.clone(),
            annexes: Annexes::default(),
            main: Arc::downgrade(&self.root().0),
            term: Some(term.clone()),
        }))
    }

    /// Waits until nobody in this process switches a deployment, and lets nobody until it is dropped.
    pub(crate) async fn switching(&self) -> MutexGuard<'_, ()> {
        self.shared.switching.lock().await
    }

    /// Remembers under which term this process turns the loop, if it does.
    pub(crate) fn leads(&self, epoch: Option<i64>) {
        self.shared.epoch.store(epoch.unwrap_or(0), Ordering::Relaxed);
    }

    /// The number of the term under which this process turns the loop; `None` while another server does.
    pub fn term(&self) -> Option<i64> {
        Some(self.shared.epoch.load(Ordering::Relaxed)).filter(|epoch| *epoch > 0)
    }

    /// Says who this server is among those that share the database; the first call counts.
    pub fn set_replica(&self, who: Newcomer) {
        let _already_known = self.shared.replica.set(who);
    }

    /// Who this server is among those that share the database, if that was said.
    pub fn newcomer(&self) -> Option<&Newcomer> {
        self.shared.replica.get()
    }

    /// The id of this server among those that share the database; empty if that was never said.
    pub fn replica(&self) -> &str {
        self.newcomer().map_or("", |who| &who.id)
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

    /// Says how people sign in; the first call counts.
    pub fn set_sign_in(&self, sign_in: SignIn) {
        let _already_known = self.shared.sign_in.set(sign_in);
    }

    /// How people sign in.
    pub fn sign_in(&self) -> &SignIn {
        self.shared.sign_in.get_or_init(SignIn::default)
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
