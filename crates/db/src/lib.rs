//! One SQL text on SQLite and PostgreSQL: units of work, migrations and the event outbox.
//!
//! A unit of work is a synchronous closure over a [`Tx`]; it runs on one of the database's own threads and commits or rolls
//! back as a whole: `db.write(|tx| ...).await`. No transaction is ever held across an `await`, and a request that is dropped
//! cannot leave half of one behind.
//!
//! - [`Db`] opens a database and runs units of work;
//! - [`Tx`] runs statements: `&'static str` with `$1` placeholders, or an [`Sql`] put together from static fragments;
//! - [`Value`] is what goes in, [`Row`] what comes out;
//! - [`events`] is the outbox and the audit trail;
//! - [`lease`] lets one of several processes act alone, and fences it off once its time is over; [`replica`] says who is there;
//! - [`copy`] moves everything from one database into an empty one, [`backup`] saves a SQLite file that is in use.
//!
//! Both engines keep the same promises, so that a rule tested on one holds on the other: `LIKE` minds the case, texts sort by
//! their bytes (PostgreSQL: in a database created with the `C` collation), text holds no NUL, and a statement that failed dooms
//! its unit of work. Here is no SQL of any layer except the tables that the outbox needs.

mod backup;
pub mod copy;
mod database;
mod engine;
mod error;
pub mod events;
mod foreign;
pub mod lease;
mod migrate;
mod queue;
pub mod replica;
mod row;
mod sql;
mod tx;
mod unit;
mod value;

pub use backup::backup;
pub use database::{Db, Engine};
pub use error::{Error, Failure};
pub use foreign::Foreign;
pub use migrate::{Applied, Migration, applied, version};
pub use row::Row;
pub use sql::{Sql, rows_of};
pub use tx::Tx;
pub use value::Value;
