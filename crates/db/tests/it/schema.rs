//! Migrations: once, in order, whole, and never backwards.

use db::{Db, Error, Migration};
use kernel::error::{Classified as _, Kind};
use testkit::engines;

const FIRST: Migration =
    Migration { id: "a/0001", sql: "CREATE TABLE first (id BIGINT PRIMARY KEY); INSERT INTO first VALUES (1);" };
const SECOND: Migration = Migration { id: "a/0002", sql: "CREATE TABLE second (id BIGINT REFERENCES first (id));" };
const BROKEN: Migration =
    Migration { id: "a/0003", sql: "CREATE TABLE third (id BIGINT); CREATE TABLE first (id BIGINT);" };

async fn first_rows(db: &Db) -> Result<i64, Error> {
    let rows = db.read(|tx| tx.query("SELECT count(*) AS n FROM first", &[])).await?;
    rows.iter().map(|row| row.i64("n")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_grows_and_each_step_runs_once() -> anyhow::Result<()> {
    for database in engines()? {
        drop(database.open(&[&[FIRST]]).await?);
        let db = database.open(&[&[FIRST], &[SECOND]]).await?;
        assert_eq!(first_rows(&db).await?, 1);
        db.write(|tx| tx.execute("INSERT INTO second VALUES (1)", &[])).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_newer_program_is_refused() -> anyhow::Result<()> {
    for database in engines()? {
        drop(database.open(&[&[FIRST, SECOND]]).await?);
        let error = database.open(&[&[FIRST]]).await.unwrap_err();
        assert!(matches!(&error, Error::Newer { unknown, .. } if unknown == "a/0002"), "{error:?}");
        let ours = env!("CARGO_PKG_VERSION");
        let both = format!("was written by rondo {ours} and is too new for rondo {ours}: it has the migrations a/0002");
        assert!(error.to_string().contains(&both), "{error}");
        assert_eq!(error.kind(), Kind::Precondition);
        assert!(error.hint().is_some());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_that_wrote_last_is_named() -> anyhow::Result<()> {
    for database in engines()? {
        let db = database.open(&[&[FIRST, SECOND]]).await?;
        let later = "INSERT INTO schema_versions (version, migrated_us) VALUES ('99.0.1', 9000000000000000)";
        db.write(|tx| tx.execute(later, &[])).await?;
        let error = database.open(&[&[FIRST]]).await.unwrap_err().to_string();
        let both = format!("was written by rondo 99.0.1 and is too new for rondo {}", env!("CARGO_PKG_VERSION"));
        assert!(error.contains(&both), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_leaves_nothing() -> anyhow::Result<()> {
    for database in engines()? {
        let error = database.open(&[&[FIRST, BROKEN]]).await.unwrap_err();
        assert!(matches!(&error, Error::Migration { id, .. } if id == "a/0003"), "{error:?}");
        let db = database.open(&[&[FIRST]]).await?;
        let absent = db.read(|tx| tx.query("SELECT id FROM third", &[])).await;
        assert!(absent.is_err(), "half of a migration remained");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_refused_in_words() {
    let check = async |url: &str, expect: &str| {
        let error = Db::open(url, &[]).await.unwrap_err();
        assert!(error.to_string().contains(expect), "{url}: {error}");
        assert_eq!(error.kind(), Kind::Unavailable);
    };
    check("mysql://x", "it must begin with sqlite: or postgres://").await;
    check("sqlite:/proc/nowhere/rondo.db", "cannot create /proc/nowhere").await;
    check("postgres://u:secret@127.0.0.1:1/x", "cannot open the database postgres://u@127.0.0.1:1/x").await;
}

#[tokio::test]
async fn a_database_in_memory_is_gone_with_its_handle() -> anyhow::Result<()> {
    let db = Db::open("sqlite::memory:", &[&[FIRST]]).await?;
    assert_eq!(first_rows(&db).await?, 1);
    let other = Db::open("sqlite::memory:", &[]).await?;
    assert!(first_rows(&other).await.is_err(), "two databases in memory share their tables");
    Ok(())
}
