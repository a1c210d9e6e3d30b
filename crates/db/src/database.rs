//! The handle of an open database.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::{postgres, sqlite};
use crate::lease::{self, Term};
use crate::queue::{Queue, Refused};
use crate::unit::{Unit, Work};
use crate::{Error, Migration, Tx, events};

/// Units of work that may wait on each side before more are refused.
const QUEUE_LIMIT: usize = 1024;

/// The two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One file, one writer, group commit.
    Sqlite,
    /// A server of its own.
    Postgres,
}

pub(crate) type WorkQueue = Queue<Box<dyn Work>>;

/// What the threads of an engine share with the handle.
#[derive(Clone)]
pub(crate) struct Lanes {
    pub(crate) writes: Arc<WorkQueue>,
    pub(crate) reads: Arc<WorkQueue>,
    announced: Arc<watch::Sender<i64>>,
}

impl Lanes {
    /// Tells the subscribers that events up to `seq` are committed.
    pub(crate) fn announce(&self, seq: Option<i64>) {
        if let Some(seq) = seq {
            self.announced.send_if_modified(|known| {
                let news = seq > *known;
                *known = seq.max(*known);
                news
            });
        }
    }
}

struct Inner {
    engine: Engine,
    lanes: Lanes,
    /// The directory of a database that lives only as long as its handle.
    _temporary: Option<tempfile::TempDir>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lanes.writes.close();
        self.lanes.reads.close();
    }
}

/// An open database; cheap to clone. Its threads stop when the last clone is dropped, after the work they have accepted.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
    fence: Option<Arc<Term>>,
}

impl Db {
    /// Opens `sqlite:PATH`, `sqlite::memory:` or `postgres://...` and runs the migrations it lacks, in the given order.
    ///
    /// A PostgreSQL database on which servers of another version work is refused before anything is changed.
    pub async fn open(url: &str, migrations: &[&[Migration]]) -> Result<Self, Error> {
        Self::open_as(url, migrations, "").await
    }

    /// Opens for the server `replica`, whose own row among the [replicas](crate::replica), left by its last life, says nothing.
    pub async fn open_as(url: &str, migrations: &[&[Migration]], replica: &str) -> Result<Self, Error> {
        let (url, replica) = (url.to_owned(), replica.to_owned());
        let layers: Vec<Vec<Migration>> = migrations.iter().map(|layer| layer.to_vec()).collect();
        let opening = tokio::task::spawn_blocking(move || Self::open_now(&url, &layers, &replica));
        opening.await.map_err(|error| Error::Panicked { reason: error.to_string() })?
    }

    fn open_now(url: &str, layers: &[Vec<Migration>], replica: &str) -> Result<Self, Error> {
        let lanes = Lanes {
            writes: Arc::new(Queue::new(QUEUE_LIMIT)),
            reads: Arc::new(Queue::new(QUEUE_LIMIT)),
            announced: Arc::new(watch::Sender::new(-1)),
        };
        let (engine, temporary) = if let Some(path) = url.strip_prefix("sqlite:") {
            (Engine::Sqlite, sqlite::open(path, layers, &lanes)?)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            postgres::open(url, layers, replica, &lanes)?;
            (Engine::Postgres, None)
        } else {
            let reason = "it must begin with sqlite: or postgres://".to_owned();
            return Err(Error::Open { url: shown(url), reason });
        };
        Ok(Self { inner: Arc::new(Inner { engine, lanes, _temporary: temporary }), fence: None })
    }

    /// Runs a unit of work in one transaction. `Ok` is answered after the commit is on disk; `Err` rolls back.
    ///
    /// Dropping the future does not stop work that was accepted.
    pub async fn write<T, E>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match self.fence.clone() {
            None => run(&self.inner.lanes.writes, work).await,
            Some(term) => {
                let fenced = move |tx: &mut Tx<'_>| {
                    lease::fence(tx, &term)?;
                    work(tx)
                };
                run(&self.inner.lanes.writes, fenced).await
            }
        }
    }

    /// A handle whose writes are refused with [`Error::Fenced`] once the term is not the present one any more.
    #[must_use]
    pub fn fenced(&self, term: Term) -> Self {
        Self { inner: Arc::clone(&self.inner), fence: Some(Arc::new(term)) }
    }

    /// Runs a unit of work on a snapshot; writing is an error.
    pub async fn read<T, E>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        run(&self.inner.lanes.reads, work).await
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        self.inner.engine
    }

    /// Looks whether other processes have emitted events, and tells the subscribers. The number of the latest one.
    pub async fn look_for_events(&self) -> Result<i64, Error> {
        let head = self.read(events::head).await?;
        self.inner.lanes.announce(Some(head));
        Ok(head)
    }

    /// The number of the latest committed event; changes after each commit of this process that emitted events, and with
    /// [`Db::look_for_events`].
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.inner.lanes.announced.subscribe()
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("engine", &self.inner.engine).finish_non_exhaustive()
    }
}

async fn run<T, E>(queue: &WorkQueue, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (unit, answer) = Unit::new(work);
    queue.push(Box::new(unit)).map_err(|refused| match refused {
        Refused::Full(queued) => Error::Overloaded { queued },
        Refused::Closed => Error::Closed,
    })?;
    answer.await.unwrap_or_else(|_| Err(E::from(Error::Closed)))
}

/// An address that may be shown: without the password.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_address_has_no_password() {
        let check = |url: &str, expect: &str| assert_eq!(shown(url), expect);
        check("postgres://rondo:s3cret@db:5432/x", "postgres://rondo@db:5432/x");
        check("postgres://rondo:p@ss@db/x", "postgres://rondo@db/x");
        check("postgres://db/x", "postgres://db/x");
        check("sqlite:/data/rondo.db", "sqlite:/data/rondo.db");
    }
}
