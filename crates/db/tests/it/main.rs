//! The database as the layers see it: every promise on both engines.

// The name that all other crates use, in every module of this test.
extern crate rondo_db as db;

mod backup;
mod chain;
mod copy;
mod durability;
mod events;
mod lease;
mod replica;
mod schema;
mod types;
mod units;

use db::Migration;

/// A small schema for the tests.
const SCHEMA: &[Migration] = &[Migration {
    id: "test/0001-rows",
    sql: "
CREATE TABLE rows (id TEXT PRIMARY KEY, number BIGINT, amount DOUBLE PRECISION, flag BOOLEAN, raw BYTEA);
CREATE TABLE children (id TEXT PRIMARY KEY, parent TEXT NOT NULL REFERENCES rows (id));
",
}];
