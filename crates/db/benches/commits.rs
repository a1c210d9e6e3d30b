//! How many durable units of work a second the database takes, by the number of callers that wait at the same time.
//!
//! `cargo bench -p rondo-db`: each unit inserts one row; SQLite on the disk of the temporary directory, with
//! `synchronous=FULL`. The first column shows what one fsync costs, the others what sharing it gains.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::time::{Duration, Instant};

use db::{Db, Migration};
use futures_util::future::join_all;
use rondo_db as db;

const SCHEMA: &[Migration] =
    &[Migration { id: "bench/0001", sql: "CREATE TABLE rows (id TEXT PRIMARY KEY, number BIGINT NOT NULL)" }];
const TIME: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    let database = testkit::TestDb::sqlite().unwrap();
    let db = database.open(&[SCHEMA]).await.unwrap();
    for callers in [1, 8, 64, 512] {
        let start = Instant::now();
        let done: u64 = join_all((0..callers).map(|_| call(db.clone(), start))).await.into_iter().sum();
        let seconds = start.elapsed().as_secs_f64();
        let latency = seconds * 1e3 * f64::from(callers) / done as f64;
        println!(
            "{callers:>4} callers: {:>8.0} commits answered a second, {latency:>6.2} ms each",
            done as f64 / seconds
        );
    }
}

async fn call(db: Db, start: Instant) -> u64 {
    let mut done = 0;
    while start.elapsed() < TIME {
        let id = kernel::id::new();
        let insert =
            db.write(move |tx| tx.execute("INSERT INTO rows (id, number) VALUES ($1, $2)", &[id.into(), 1_i64.into()]));
        insert.await.unwrap();
        done += 1;
    }
    done
}
