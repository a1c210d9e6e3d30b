//! A backup of a file that is being written to. SQLite only: PostgreSQL has tools of its own for it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rondo_db::{Db, Error, Migration, backup, copy};

const TABLES: &[Migration] =
    &[Migration { id: "backup/0001", sql: "CREATE TABLE pairs (id BIGINT PRIMARY KEY, twin BIGINT NOT NULL);" }];

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_moment_of_a_busy_database_and_opens_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let (live, saved) = (directory.path().join("live.db"), directory.path().join("saved.db"));
    let db = Db::open(&format!("sqlite:{}", live.display()), &[TABLES]).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, stopped) = (db.clone(), Arc::clone(&stop));
    let pairs = Arc::new(AtomicI64::new(0));
    let counted = Arc::clone(&pairs);
    let writer = kernel::task::spawn("test-writer", async move {
        let mut id = 0_i64;
        while !stopped.load(Ordering::Relaxed) {
            // each unit of work writes two rows: a backup holds both or none
            writing
                .write(move |tx| {
                    for (id, twin) in [(2 * id, 2 * id + 1), (2 * id + 1, 2 * id)] {
                        tx.execute("INSERT INTO pairs (id, twin) VALUES ($1, $2)", &[id.into(), twin.into()])?;
                    }
                    Ok::<_, Error>(())
                })
                .await
                .unwrap();
            id += 1;
            counted.store(id, Ordering::Relaxed);
        }
    });
    while rows(&db).await < 100 {
        tokio::task::yield_now().await;
    }
    let (from, into) = (live.clone(), saved.clone());
    let bytes = tokio::task::spawn_blocking(move || backup(&from, &into)).await.unwrap().unwrap();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let written = pairs.load(Ordering::Relaxed);
    assert_eq!(bytes, std::fs::metadata(&saved).unwrap().len());

    let again = Db::open(&format!("sqlite:{}", saved.display()), &[TABLES]).await.unwrap();
    let kept = rows(&again).await;
    assert!(kept >= 100 && kept <= 2 * written && kept % 2 == 0, "{kept} of {written} pairs");
    assert!(copy::digests(&again).await.unwrap().iter().any(|table| table.table == "pairs"));
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{names:?}");

    let error = backup(&live, &saved).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
    let missing = backup(&directory.path().join("none.db"), &directory.path().join("new.db")).unwrap_err();
    assert!(missing.to_string().contains("none.db cannot be opened"), "{missing}");
}

async fn rows(db: &Db) -> i64 {
    let rows = db.read(|tx| tx.query("SELECT count(*) AS n FROM pairs", &[])).await.unwrap();
    rows[0].i64("n").unwrap()
}
