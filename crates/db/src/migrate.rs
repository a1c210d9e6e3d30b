//! Migrations: the schema grows by numbered steps that run once, each in a transaction of its own.

use std::collections::HashSet;

use kernel::clock::Clock;

use crate::engine::Session;
use crate::{Engine, Error, events};

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// `layer/number-what`, for instance `tracking/0001-runs`. Never changed once it was released.
    pub id: &'static str,
    /// Several statements in the portable subset.
    pub sql: &'static str,
}

/// Runs the migrations that the database does not have yet, the outbox first, then in the given order.
pub(crate) fn run(
    session: &mut dyn Session,
    engine: Engine,
    url: &str,
    layers: &[Vec<Migration>],
) -> Result<(), Error> {
    session.batch("CREATE TABLE IF NOT EXISTS schema_migrations (id TEXT PRIMARY KEY, applied_us BIGINT NOT NULL)")?;
    let rows = session.query("SELECT id FROM schema_migrations ORDER BY id", &[])?;
    let applied = rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, _>>()?;

    let own = events::MIGRATIONS.iter().copied().chain([
        events::append_only(engine),
        events::chain::MIGRATION,
        events::append_only_hashes(engine),
    ]);
    let mut seen = HashSet::new();
    let known: Vec<Migration> =
        own.chain(layers.iter().flatten().copied()).filter(|step| seen.insert(step.id)).collect();

    let unknown: Vec<&str> = applied.iter().map(String::as_str).filter(|id| !seen.contains(id)).collect();
    if !unknown.is_empty() {
        return Err(Error::Newer { url: url.to_owned(), unknown: unknown.join(", ") });
    }
    for step in known.iter().filter(|step| !applied.iter().any(|id| id == step.id)) {
        apply(session, step).map_err(|error| Error::Migration { id: step.id.to_owned(), reason: error.to_string() })?;
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
