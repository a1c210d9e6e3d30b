//! Which of several servers on one database turns the loop: one at a time, under a lease.
//!
//! Everything that must happen once for a database (reactions, jobs, monitors, schedules, pipelines) is started when the lease is
//! taken, with a house whose writes are fenced, and stopped when it is lost. A server trusts its term for two thirds of its time without a
//! renewal, by a clock that nobody can set; then it stops by itself, before another may begin. If it stood still and could not stop, its
//! writes are refused.

use std::time::Duration;

use db::lease::{self, Lease, Term};
use db::replica::{self, Newcomer, Replica};
use kernel::task::{self, Shutdown};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::House;

/// The one lease.
pub const LEASE: &str = "loop";
/// What still runs when a term is lost gets this long to end before it is cut off.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How a server takes its turn.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who it is. The same after a restart, so that it need not wait for its own earlier life.
    pub replica: String,
    /// Within this time another server takes over from one that died.
    pub failover: Duration,
}

impl Options {
    /// How long a term lasts without renewal: a tenth less, as those who wait look ten times.
    fn ttl(&self) -> Duration {
        self.failover * 9 / 10
    }

    fn poll(&self) -> Duration {
        (self.failover / 10).min(Duration::from_secs(1))
    }

    fn renewal(&self) -> Duration {
        self.ttl() / 3
    }

    fn trust(&self) -> Duration {
        self.ttl() * 2 / 3
    }
}

/// Until when what a term started may go on.
#[derive(Clone, Debug)]
pub struct Until {
    /// It is time to end, in good order.
    pub stop: Shutdown,
    /// The term is over, and somebody else may act soon: end at once. `stop` has been said too.
    pub lost: Shutdown,
}

/// A term, and when its last renewal was asked for; `None` if it needs none.
struct Held {
    term: Term,
    since: Option<Instant>,
}

/// Takes the lease whenever it can be had and calls `turn` to start what goes on under it, until the shutdown; then gives it back.
/// `turn` gets a house whose writes are fenced, and returns the tasks it started.
pub async fn run(
    house: &House,
    options: &Options,
    mut shutdown: Shutdown,
    turn: impl Fn(&House, &Until) -> Vec<JoinHandle<()>> + Send,
) {
    while let Some(mut held) = take(house, options, &mut shutdown).await {
        let (stopper, stop) = task::shutdown();
        let (loser, lost) = task::shutdown();
        tracing::info!(lease.epoch = held.term.epoch, "this server turns the loop now");
        house.leads(Some(held.term.epoch));
        let started = turn(&house.under(&held.term), &Until { stop, lost });
        let stopping = tokio::select! {
            () = hold(house, options, &mut held) => false,
            () = shutdown.wait() => true,
        };
        let aborts: Vec<_> = started.iter().map(JoinHandle::abort_handle).collect();
        let mut ending = std::pin::pin!(all(started));
        if !stopping {
            loser.stop();
        }
        stopper.stop();
        let in_time = stopping
            && tokio::select! {
                () = &mut ending => true,
                () = hold(house, options, &mut held) => false,
            };
        if in_time {
            give_back(house, &held.term).await;
        } else {
            tracing::warn!(lease.epoch = held.term.epoch, "this server does not turn the loop any more");
            loser.stop();
            if timeout(LAST_WORDS, ending).await.is_err() {
                aborts.iter().for_each(tokio::task::AbortHandle::abort);
            }
        }
        house.leads(None);
        if stopping {
            return;
        }
    }
}

async fn all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        let _it_has_told_why = task.await;
    }
}

/// Waits for the lease. `None` when it is time to stop.
async fn take(house: &House, options: &Options, shutdown: &mut Shutdown) -> Option<Held> {
    let mut reachable = true;
    loop {
        if shutdown.is_stopping() {
            return None;
        }
        match try_take(house, options).await {
            Ok(Some(held)) => return Some(held),
            Ok(None) => reachable = true,
            Err(error) => {
                if std::mem::take(&mut reachable) {
                    tracing::warn!(%error, "cannot ask who turns the loop; trying again");
                }
            }
        }
        tokio::select! {
            () = shutdown.wait() => return None,
            () = sleep(options.poll()) => {}
        }
    }
}

async fn try_take(house: &House, options: &Options) -> Result<Option<Held>, db::Error> {
    let (holder, ttl) = (options.replica.clone(), options.ttl());
    if house.db.engine() == db::Engine::Sqlite {
        // A file has one server. What is taken for good costs an idle laptop no write every few seconds.
        let term = house.db.write(move |tx| lease::seize(tx, LEASE, &holder)).await?;
        return Ok(Some(Held { term, since: None }));
    }
    if !house.db.read(move |tx| lease::is_free(tx, LEASE, &holder)).await? {
        return Ok(None);
    }
    let (holder, asked) = (options.replica.clone(), Instant::now());
    let term = house.db.write(move |tx| lease::acquire(tx, LEASE, &holder, ttl)).await?;
    Ok(term.map(|term| Held { term, since: Some(asked) }))
}

/// Renews a term again and again; returns when it is over, or when so much time has passed that it cannot be trusted any more.
async fn hold(house: &House, options: &Options, held: &mut Held) {
    loop {
        let Some(since) = held.since else { return std::future::pending().await };
        sleep_until(since + options.renewal()).await;
        let trusted = since + options.trust();
        loop {
            let asked = Instant::now();
            if asked >= trusted {
                return;
            }
            let (term, ttl) = (held.term.clone(), options.ttl());
            let renewing = house.db.write(move |tx| lease::renew(tx, &term, ttl));
            match timeout_at(trusted, renewing).await {
                Ok(Ok(true)) => {
                    held.since = Some(asked);
                    break;
                }
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the lease of the loop cannot be renewed; trying again");
                    sleep(options.renewal() / 8).await;
                }
            }
        }
    }
}

async fn give_back(house: &House, term: &Term) {
    let term = term.clone();
    if let Err(error) = house.db.write(move |tx| lease::release(tx, &term)).await {
        tracing::warn!(%error, "the lease of the loop could not be given back and will run out");
    }
}

/// Says that this server is there. Refused while others are there that it does not fit.
pub async fn arrive(house: &House, who: &Newcomer, failover: Duration) -> Result<(), db::Error> {
    if house.db.engine() == db::Engine::Sqlite {
        return Ok(());
    }
    let who = who.clone();
    house.db.write(move |tx| replica::attend(tx, &who, failover)).await
}

/// The servers that are alive, the oldest first, and the last term of the lease.
pub async fn present(house: &House) -> Result<(Vec<Replica>, Option<Lease>), db::Error> {
    let (mut alive, lease) = house.db.read(|tx| Ok((replica::alive(tx)?, lease::find(tx, LEASE)?))).await?;
    if house.db.engine() == db::Engine::Sqlite {
        alive = house.newcomer().into_iter().map(Newcomer::alone).collect();
    }
    Ok((alive, lease))
}

/// Says again and again that this server is alive, until the shutdown. Returns early with the reason if it may not be: while it was
/// away, servers of another version or with another store have taken over.
pub async fn attend(house: &House, who: Newcomer, failover: Duration, mut shutdown: Shutdown) -> Result<(), db::Error> {
    if house.db.engine() == db::Engine::Sqlite {
        shutdown.wait().await;
        return Ok(());
    }
    loop {
        tokio::select! {
            () = shutdown.wait() => break,
            () = sleep(failover / 3) => {}
        }
        match arrive(house, &who, failover).await {
            Err(error @ (db::Error::Mixed { .. } | db::Error::OtherStore { .. })) => return Err(error),
            Err(error) => tracing::warn!(%error, "cannot tell the other servers that this one is alive; trying again"),
            Ok(()) => {}
        }
    }
    let id = who.id.clone();
    house.db.write(move |tx| replica::leave(tx, &id)).await
}
