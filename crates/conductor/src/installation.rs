//! Which installation a database is: an id made once, by which its object store knows it again.

use db::{Db, Migration, Tx};
use kernel::clock::Clock;

use crate::Error;

/// The table of the id.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "conductor/0002-installation",
    sql: "
        CREATE TABLE installation (
            one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
            id TEXT NOT NULL,
            created_us BIGINT NOT NULL
        );
    ",
}];

/// The id of this database, made if it has none.
pub async fn id(db: &Db, clock: &Clock) -> Result<String, Error> {
    let now_us = clock.now_us();
    db.write(move |tx| {
        tx.execute(
            "INSERT INTO installation (one, id, created_us) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING",
            &[kernel::id::random_hex().into(), now_us.into()],
        )?;
        find(tx)
    })
    .await
}

fn find(tx: &mut Tx<'_>) -> Result<String, Error> {
    let row = tx.query_opt("SELECT id FROM installation", &[])?;
    Ok(row.map(|row| row.text("id")).transpose()?.unwrap_or_default())
}

/// Makes this database the owner of its object store, and dates what is there from the start. Refuses a store that belongs to another, whose files could be overwritten
/// or tidied away.
pub async fn claim(db: &Db, clock: &Clock, blob: &blob::Blob) -> Result<(), Error> {
    let id = id(db, clock).await?;
    let now_ms = clock.now_us() / 1_000;
    db.write(move |tx| tracking::experiment::date_default(tx, now_ms)).await?;
    let claim = blob.claim(&id).await?;
    if claim.owner != id {
        return Err(Error::ForeignStore { owner: claim.owner, id });
    }
    if !claim.conditional {
        tracing::warn!(
            "the object store has no conditional writes: never start two new installations on the same prefix at once"
        );
    }
    Ok(())
}
