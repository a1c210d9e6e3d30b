//! Everything of one database into another, on the same engine or the other one, in one transaction.
//!
//! Source and target run side by side on their own threads: the source is read on one snapshot, page after page by primary key, and
//! the target commits only if what it then holds has the row counts and digests of what was read.

mod table;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::{Db, Engine, Error, Migration, Tx, Value};

use table::{Page, Sum, Table};

/// Pages that may wait between reading and writing.
const WAITING_PAGES: usize = 4;

/// One table that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// A digest of the rows' contents that does not depend on their order: 32 hexadecimal digits.
    pub digest: String,
}

/// Rows on their way, by the number of their table; at the end the sums of all tables.
enum Message {
    Rows(usize, Page),
    End(Vec<Sum>),
}

/// Copies every row of `source` into `target`, which must be as the migrations leave it. Both have been opened with `layers`.
pub async fn copy(source: &Db, target: &Db, layers: &[&[Migration]]) -> Result<Vec<Copied>, Error> {
    let empty = Db::open("sqlite::memory:", layers).await?;
    let seeds = digests(&empty).await?;
    let (source_engine, target_engine) = (source.engine(), target.engine());
    let tables = source.read(move |tx| Table::all(tx, source_engine)).await?;
    let (send, receive) = sync_channel(WAITING_PAGES);
    let from = tables.clone();
    let reading = source.read(move |tx| read_all(tx, &from, &send));
    let into = tables.clone();
    let writing = target.write(move |tx| write_all(tx, target_engine, &into, &seeds, &receive));
    let (read, written) = tokio::join!(reading, writing);
    read?;
    let sums = written?;
    Ok(tables.iter().zip(sums).map(|(table, sum)| sum.told(&table.name)).collect())
}

/// The row counts and digests of every table.
pub async fn digests(db: &Db) -> Result<Vec<Copied>, Error> {
    let engine = db.engine();
    db.read(move |tx| {
        let mut told = Vec::new();
        for table in Table::all(tx, engine)? {
            told.push(table.sum(tx)?.told(&table.name));
        }
        Ok(told)
    })
    .await
}

fn read_all(tx: &mut Tx<'_>, tables: &[Table], send: &SyncSender<Message>) -> Result<(), Error> {
    let mut sums = Vec::with_capacity(tables.len());
    for (number, table) in tables.iter().enumerate() {
        let mut sum = Sum::default();
        let mut after = None;
        while let Some(page) = table.page(tx, after.as_deref())? {
            sum.add(&page);
            after = Some(table.key_of_last(&page));
            if send.send(Message::Rows(number, page)).is_err() {
                // the writer has given up, and says why
                return Ok(());
            }
        }
        sums.push(sum);
    }
    let _writer_gave_up = send.send(Message::End(sums));
    Ok(())
}

fn write_all(
    tx: &mut Tx<'_>,
    engine: Engine,
    tables: &[Table],
    seeds: &[Copied],
    receive: &Receiver<Message>,
) -> Result<Vec<Sum>, Error> {
    let own = Table::all(tx, engine)?;
    refuse_other_schema(tables, &own)?;
    refuse_used(tx, &own, seeds)?;
    for table in own.iter().rev().filter(|table| seeds.iter().any(|seed| seed.table == table.name && seed.rows > 0)) {
        table.clear(tx)?;
    }
    loop {
        match receive.recv() {
            Ok(Message::Rows(number, page)) => tables[number].insert(tx, &page)?,
            Ok(Message::End(read)) => {
                let mut written = Vec::with_capacity(tables.len());
                for (table, read) in tables.iter().zip(&read) {
                    let sum = table.sum(tx)?;
                    if sum != *read {
                        return Err(refused(format!("`{}` did not arrive as it was sent", table.name)));
                    }
                    written.push(sum);
                }
                return Ok(written);
            }
            Err(_) => return Err(refused("reading the source broke off")),
        }
    }
}

/// Both were migrated by this program, so a difference means that one of them was changed by hand.
fn refuse_other_schema(source: &[Table], target: &[Table]) -> Result<(), Error> {
    let sorted = |tables: &[Table]| {
        let mut tables = tables.to_vec();
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        tables
    };
    let (source, target) = (sorted(source), sorted(target));
    let differing = source.iter().find(|table| !target.contains(table)).or(target.iter().find(|t| !source.contains(t)));
    match differing {
        Some(table) => Err(refused(format!("the table `{}` is not the same on both sides", table.name))),
        None => Ok(()),
    }
}

fn refuse_used(tx: &mut Tx<'_>, tables: &[Table], seeds: &[Copied]) -> Result<(), Error> {
    for table in tables {
        let found = table.sum(tx)?.told(&table.name);
        let fresh = seeds.iter().find(|seed| seed.table == table.name);
        if fresh.map_or(found.rows > 0, |fresh| *fresh != found) {
            let reason = format!("the target is not empty, its table `{}` has {} rows", table.name, found.rows);
            return Err(refused(reason));
        }
    }
    Ok(())
}

fn refused(reason: impl Into<String>) -> Error {
    Error::Copy { reason: reason.into() }
}

/// A page's worth of values, row by row.
type Rows = Vec<Vec<Value>>;
