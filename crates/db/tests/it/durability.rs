//! What was answered is on disk: a process is killed in the middle of its work, and every row it had acknowledged is there; a
//! full disk refuses writes and loses nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use db::{Db, Error, Failure};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use kernel::error::{Classified as _, Kind};

use super::SCHEMA;

const URL: &str = "RONDO_TEST_DURABILITY_URL";
const ROWS: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_row_survives_kill_9() -> anyhow::Result<()> {
    for database in testkit::engines()? {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["durability::writes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
            .env(URL, database.url())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut acked = Vec::new();
        for line in child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
            acked.extend(line?.strip_prefix("acked ").map(str::to_owned));
            if acked.len() == ROWS {
                // What the child had written before it died is read all the same.
                child.kill()?;
            }
        }
        let status = child.wait()?;
        assert!(!status.success(), "the writer was to be killed");
        acked.sort();
        assert!(acked.len() >= ROWS, "only {} rows were acknowledged", acked.len());

        let db = database.open(&[SCHEMA]).await?;
        let stored = db.read(|tx| tx.query("SELECT id FROM rows ORDER BY id", &[])).await?;
        let stored = stored.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, Error>>()?;
        let lost: Vec<&String> = acked.iter().filter(|id| stored.binary_search(id).is_err()).collect();
        assert!(lost.is_empty(), "on {:?} these rows were acknowledged and are gone: {lost:?}", database.engine());
    }
    Ok(())
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn writes_until_it_is_killed() -> anyhow::Result<()> {
    let Ok(url) = std::env::var(URL) else { return Ok(()) };
    let db = Db::open(&url, &[SCHEMA]).await?;
    let write = |number: u64| {
        let db = db.clone();
        async move {
            let id = format!("{number:08}");
            let row = id.clone();
            db.write(move |tx| tx.execute("INSERT INTO rows (id) VALUES ($1)", &[row.into()])).await?;
            println!("acked {id}");
            Ok::<_, Error>(())
        }
    };
    let mut running: FuturesUnordered<_> = (0..8).map(write).collect();
    let mut number = 8;
    while let Some(done) = running.next().await {
        done?;
        running.push(write(number));
        number += 1;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_keeps_the_rest() -> anyhow::Result<()> {
    // Only SQLite: the disk of a server is the server's. A limit on the size of files stands for the end of the disk.
    let database = testkit::TestDb::sqlite()?;
    let status = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 2048; exec "$0" "$@""#])
        .arg(std::env::current_exe()?)
        .args(["durability::writes_until_the_disk_is_full", "--exact", "--ignored", "--nocapture"])
        .env(URL, database.url())
        .status()?;
    assert!(status.success(), "the writer failed");
    // With room again, the same database takes writes.
    let db = database.open(&[SCHEMA]).await?;
    db.write(|tx| tx.execute("INSERT INTO rows (id) VALUES ('after')", &[])).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drops_its_connections_is_found_again() -> anyhow::Result<()> {
    // Only PostgreSQL has a server.
    let database = tokio::task::spawn_blocking(testkit::TestDb::postgres).await??;
    let db = database.open(&[SCHEMA]).await?;
    let count = async || -> Result<i64, Error> {
        let row = db.read(|tx| tx.query_opt("SELECT count(*) AS n FROM rows", &[])).await?;
        row.map_or(Ok(-1), |row| row.i64("n"))
    };
    let mut expect = 0;
    for round in 0..3 {
        let insert = |id: String| db.write(move |tx| tx.execute("INSERT INTO rows (id) VALUES ($1)", &[id.into()]));
        for number in 0..12 {
            insert(format!("{round}-{number}")).await?;
            expect += 1;
            assert_eq!(count().await?, expect);
        }
        db.write(|tx| {
            tx.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
                &[],
            )
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "the child of the test above"]
async fn writes_until_the_disk_is_full() -> anyhow::Result<()> {
    let Ok(url) = std::env::var(URL) else { return Ok(()) };
    let db = Db::open(&url, &[SCHEMA]).await?;
    let insert = async |id: i64| {
        let raw = vec![7_u8; 50_000];
        db.write(move |tx| {
            tx.execute("INSERT INTO rows (id, raw) VALUES ($1, $2)", &[format!("{id:04}").into(), raw.into()])
        })
        .await
    };
    let mut written = 0;
    let error = loop {
        match insert(written).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the limit is not in force");
    };
    assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
    assert!(
        matches!(
            &error,
            Error::Statement { failure: Failure::Storage, .. } | Error::Commit { failure: Failure::Storage, .. }
        ),
        "{error:?}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("disk")), "{error:?}");
    assert_eq!(insert(9999).await.unwrap_err().kind(), Kind::Unavailable, "a second write on a full disk");
    let rows = db.read(|tx| tx.query("SELECT count(*) AS n FROM rows", &[])).await?;
    assert!(written > 5 && rows[0].i64("n")? == written, "{written} rows were acknowledged, {:?} are there", rows[0]);
    Ok(())
}
