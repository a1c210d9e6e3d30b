//! Migrations: the schema grows by numbered steps that run once, each in a transaction of its own.

use std::collections::HashSet;

use kernel::clock::Clock;

use crate::engine::Session;
use crate::{Error, Tx, events, lease, replica};

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// `layer/number-what`, for instance `tracking/0001-runs`. Never changed once it was released.
    pub id: &'static str,
    /// Several statements in the portable subset.
    pub sql: &'static str,
}

/// A step that a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Which.
    pub id: String,
    /// When it ran, in microseconds since the epoch.
    pub at_us: i64,
}

/// The steps that a database has, in the order in which they ran.
pub fn applied(tx: &mut Tx<'_>) -> Result<Vec<Applied>, Error> {
    let rows = tx.query("SELECT id, applied_us FROM schema_migrations ORDER BY applied_us, id", &[])?;
    rows.iter().map(|row| Ok(Applied { id: row.text("id")?, at_us: row.i64("applied_us")? })).collect()
}

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The program and the schema it knows: servers may share a database if theirs are the same.
pub fn version(layers: &[&[Migration]]) -> String {
    version_of(layers.iter().flat_map(|layer| layer.iter().map(|step| step.id)))
}

fn version_of(ids: impl Iterator<Item = &'static str>) -> String {
    let mut seen = HashSet::new();
    let mut digest = kernel::digest::Builder::default();
    for id in ids.filter(|id| seen.insert(*id)) {
        digest.piece(id.as_bytes());
    }
    format!("{VERSION} (schema {})", digest.finish().get(..8).unwrap_or_default())
}

/// Runs the migrations that the database does not have yet, the outbox first, then in the given order.
///
/// `replica` is the server that asks, empty if it is none; without it nobody is asked whether servers of other versions are there.
pub(crate) fn run(
    session: &mut dyn Session,
    url: &str,
    layers: &[Vec<Migration>],
    replica: Option<&str>,
) -> Result<(), Error> {
    let engine = session.engine();
    session.batch("CREATE TABLE IF NOT EXISTS schema_migrations (id TEXT PRIMARY KEY, applied_us BIGINT NOT NULL)")?;
    session
        .batch("CREATE TABLE IF NOT EXISTS schema_versions (version TEXT PRIMARY KEY, migrated_us BIGINT NOT NULL)")?;
    let rows = session.query("SELECT id FROM schema_migrations ORDER BY id", &[])?;
    let applied = rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, _>>()?;

    let own = events::MIGRATIONS.iter().copied().chain([
        events::append_only(engine),
        events::chain::MIGRATION,
        events::append_only_hashes(engine),
        lease::MIGRATION,
        events::BY_WORKSPACE,
    ]);
    let mut seen = HashSet::new();
    let known: Vec<Migration> =
        own.chain(layers.iter().flatten().copied()).filter(|step| seen.insert(step.id)).collect();

    let unknown: Vec<&str> = applied.iter().map(String::as_str).filter(|id| !seen.contains(id)).collect();
    if !unknown.is_empty() {
        let writer = session.query("SELECT version FROM schema_versions ORDER BY migrated_us DESC LIMIT 1", &[])?;
        let writer = writer.first().map(|row| row.text("version")).transpose()?;
        return Err(Error::Newer {
            url: url.to_owned(),
            writer: writer.unwrap_or_else(|| "a later version".to_owned()),
            reader: VERSION,
            unknown: unknown.join(", "),
        });
    }
    if let Some(own) = replica.filter(|_| applied.iter().any(|id| id == lease::MIGRATION.id)) {
        let ours = version_of(layers.iter().flatten().map(|step| step.id));
        replica::refuse_other_version(&mut Tx::new(session), own, &ours)?;
    }
    let is_behind = known.len() > applied.len();
    for step in known.iter().filter(|step| !applied.iter().any(|id| id == step.id)) {
        apply(session, step).map_err(|error| Error::Migration { id: step.id.to_owned(), reason: error.to_string() })?;
    }
    if is_behind {
        session.execute(
            "INSERT INTO schema_versions (version, migrated_us) VALUES ($1, $2)
             ON CONFLICT (version) DO UPDATE SET migrated_us = excluded.migrated_us",
            &[VERSION.into(), Clock::system().now_us().into()],
        )?;
    }
    Ok(())
}

fn apply(session: &mut dyn Session, step: &Migration) -> Result<(), Error> {
    session.batch("BEGIN")?;
    let done = session.batch(step.sql).and_then(|()| {
        if step.id == events::chain::MIGRATION.id {
            events::chain::chain_existing(session)?;
        }
        session.execute(
            "INSERT INTO schema_migrations (id, applied_us) VALUES ($1, $2)",
            &[step.id.into(), Clock::system().now_us().into()],
        )
    });
    match done {
        Ok(_) => session.batch("COMMIT"),
        Err(error) => {
            // The first error is the one to tell; a failed rollback is undone when the connection closes.
            let _ = session.batch("ROLLBACK");
            Err(error)
        }
    }
}
