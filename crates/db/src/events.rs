//! The outbox, which is the audit trail too: what happened, written in the transaction of the change, never changed afterwards.
//!
//! Each is bound to the one before by its hash ([`chain`]). Events are numbered in commit order without gaps, so a reader that remembers the last number it handled misses nothing.

pub mod chain;

use kernel::ctx::Ctx;
use kernel::event::{Event, NewEvent};

use crate::{Engine, Error, Migration, Row, Tx};

/// The counter that numbers the events.
const COUNTER: &str = "events";

/// The tables of the outbox; [`crate::Db::open`] runs them before all others.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "db/0001-outbox",
    sql: "
CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE events (
    seq BIGINT PRIMARY KEY,
    at_us BIGINT NOT NULL,
    workspace TEXT NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    model TEXT,
    payload TEXT NOT NULL
);
CREATE INDEX events_model ON events (model, seq);
CREATE TABLE reaction_cursors (reaction TEXT PRIMARY KEY, seq BIGINT NOT NULL);
",
}];

/// What somebody sees of the trail is that of one workspace.
pub(crate) const BY_WORKSPACE: Migration =
    Migration { id: "db/0007-events-by-workspace", sql: "CREATE INDEX events_by_workspace ON events (workspace, seq)" };

/// The triggers that keep the trail append-only; the one migration that is written twice.
pub(crate) fn append_only(engine: Engine) -> Migration {
    let sql = match engine {
        Engine::Sqlite => {
            "
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"
        }
        Engine::Postgres => {
            "
CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$;
CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_append_only();
"
        }
    };
    Migration { id: "db/0002-append-only", sql }
}

/// The same for the hashes.
pub(crate) fn append_only_hashes(engine: Engine) -> Migration {
    let sql = match engine {
        Engine::Sqlite => {
            "
CREATE TRIGGER event_hashes_no_update BEFORE UPDATE ON event_hashes BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER event_hashes_no_delete BEFORE DELETE ON event_hashes BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"
        }
        Engine::Postgres => {
            "
CREATE TRIGGER event_hashes_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON event_hashes
    FOR EACH STATEMENT EXECUTE FUNCTION events_append_only();
"
        }
    };
    Migration { id: "db/0004-append-only-hashes", sql }
}

/// Writes an event and returns its number. From here to the end of the transaction no other transaction can emit, so emit last.
pub fn emit(tx: &mut Tx<'_>, ctx: &Ctx, event: NewEvent) -> Result<i64, Error> {
    let seq = tx.next(COUNTER)?;
    tx.execute(
        "INSERT INTO events (seq, at_us, workspace, actor, kind, subject, model, payload)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            seq.into(),
            ctx.now_us.into(),
            ctx.workspace.as_str().into(),
            ctx.principal.to_string().into(),
            event.kind.into(),
            event.subject.into(),
            event.model.into(),
            event.payload.to_string().into(),
        ],
    )?;
    chain::append(tx, seq)?;
    tx.emitted = Some(seq);
    Ok(seq)
}

/// Events of every workspace after a number, oldest first. For what reacts to them; people see [`seen_after`].
pub fn after(tx: &mut Tx<'_>, seq: i64, limit: i64) -> Result<Vec<Event>, Error> {
    let rows = tx.query(
        "SELECT seq, at_us, workspace, actor, kind, subject, model, payload FROM events WHERE seq > $1 ORDER BY seq LIMIT $2",
        &[seq.into(), limit.into()],
    )?;
    rows.iter().map(read).collect()
}

/// The kinds of the events after a number, each once.
pub fn kinds_after(tx: &mut Tx<'_>, seq: i64) -> Result<Vec<String>, Error> {
    let rows = tx.query("SELECT DISTINCT kind FROM events WHERE seq > $1", &[seq.into()])?;
    rows.iter().map(|row| row.text("kind")).collect()
}

/// Events of this workspace after a number, oldest first.
pub fn seen_after(tx: &mut Tx<'_>, ctx: &Ctx, seq: i64, limit: i64) -> Result<Vec<Event>, Error> {
    let rows = tx.query(
        "SELECT seq, at_us, workspace, actor, kind, subject, model, payload FROM events
         WHERE workspace = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        &[ctx.workspace.as_str().into(), seq.into(), limit.into()],
    )?;
    rows.iter().map(read).collect()
}

/// Events of a model's story in this workspace after a number, oldest first.
pub fn for_model(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, after: i64, limit: i64) -> Result<Vec<Event>, Error> {
    let rows = tx.query(
        "SELECT seq, at_us, workspace, actor, kind, subject, model, payload FROM events
         WHERE model = $1 AND seq > $2 AND workspace = $3 ORDER BY seq LIMIT $4",
        &[model.into(), after.into(), ctx.workspace.as_str().into(), limit.into()],
    )?;
    rows.iter().map(read).collect()
}

/// The latest events of this workspace, newest first.
pub fn latest(tx: &mut Tx<'_>, ctx: &Ctx, limit: i64) -> Result<Vec<Event>, Error> {
    let rows = tx.query(
        "SELECT seq, at_us, workspace, actor, kind, subject, model, payload FROM events
         WHERE workspace = $1 ORDER BY seq DESC LIMIT $2",
        &[ctx.workspace.as_str().into(), limit.into()],
    )?;
    rows.iter().map(read).collect()
}

/// The highest number, -1 without events.
pub fn head(tx: &mut Tx<'_>) -> Result<i64, Error> {
    let row = tx.query_opt("SELECT max(seq) AS seq FROM events", &[])?;
    Ok(row.map(|row| row.opt_i64("seq")).transpose()?.flatten().unwrap_or(-1))
}

/// The number of the last event that a reaction has handled, -1 at the beginning.
pub fn cursor(tx: &mut Tx<'_>, reaction: &str) -> Result<i64, Error> {
    let row = tx.query_opt("SELECT seq FROM reaction_cursors WHERE reaction = $1", &[reaction.into()])?;
    row.map_or(Ok(-1), |row| row.i64("seq"))
}

/// Remembers the number of the last event that a reaction has handled.
pub fn set_cursor(tx: &mut Tx<'_>, reaction: &str, seq: i64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO reaction_cursors (reaction, seq) VALUES ($1, $2) ON CONFLICT (reaction) DO UPDATE SET seq = excluded.seq",
        &[reaction.into(), seq.into()],
    )?;
    Ok(())
}

fn read(row: &Row) -> Result<Event, Error> {
    Ok(Event {
        seq: row.i64("seq")?,
        at_us: row.i64("at_us")?,
        workspace: row.text("workspace")?,
        actor: row.text("actor")?,
        kind: row.text("kind")?,
        subject: row.text("subject")?,
        model: row.opt_text("model")?,
        payload: serde_json::from_str(row.str("payload")?).map_err(|error| Error::corrupt("payload", error))?,
    })
}
