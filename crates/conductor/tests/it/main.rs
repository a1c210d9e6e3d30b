//! The conductor on both engines, from its public face. The whole loop, with real models and a real client, is turned in
//! `tests/clients/test_loop.py`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod follow;
mod gc;
mod given_up;
mod growth;
mod job;
mod leadership;
mod reaction;
mod statements;

use db::Db;
use kernel::clock::Clock;
use rondo_conductor::{House, Parts};

/// A house on a database, in a folder of its own that lives as long as the handle.
fn house(db: Db) -> (House, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_000_000);
    let blob = blob::Blob::open(&dir.path().join("objects").to_string_lossy()).unwrap();
    let log =
        telemetry::Log::open(&dir.path().join("telemetry"), blob.clone(), clock.clone(), telemetry::Options::default())
            .unwrap();
    let fleet = serving::Fleet::new(log.clone(), clock.clone(), serving::Options::default());
    let logs_dir = dir.path().join("pipelines");
    (House::new(Parts { db, blob, log, fleet, clock, logs_dir }), dir)
}
