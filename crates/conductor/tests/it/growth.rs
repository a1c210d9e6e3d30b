//! A data folder of any earlier version is opened by this one and ends up with the same schema; a later one is refused.

use db::{Error, Migration, copy};
use rondo_conductor::TABLES;

/// The schema as a program had it whose layers knew their first `count` migrations only.
fn earlier(count: usize) -> Vec<&'static [Migration]> {
    TABLES.iter().map(|layer| &layer[..count.min(layer.len())]).collect()
}

#[tokio::test]
async fn every_earlier_schema_grows_into_this_one_and_keeps_its_rows() {
    let longest = TABLES.iter().map(|layer| layer.len()).max().unwrap();
    let fresh = db::Db::open("sqlite::memory:", &TABLES).await.unwrap();
    let fresh = sorted(copy::digests(&fresh).await.unwrap());
    for count in 0..longest {
        for database in testkit::engines().unwrap() {
            let old = database.open(&earlier(count)).await.unwrap();
            if count > 0 {
                old.write(fill).await.unwrap();
            }
            drop(old);
            let new = database.open(&TABLES).await.unwrap();
            if count > 0 {
                let run = new.read(|tx| tx.query("SELECT name, experiment_id FROM runs", &[])).await.unwrap();
                assert_eq!((run[0].str("name").unwrap(), run[0].i64("experiment_id").unwrap()), ("old", 1));
                new.write(empty).await.unwrap();
            }
            assert_eq!(sorted(copy::digests(&new).await.unwrap()), fresh, "after {count} on {:?}", new.engine());

            let error = database.open(&earlier(count)).await.unwrap_err();
            assert!(matches!(error, Error::Newer { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("was written by rondo ") && text.contains("is too new for rondo "), "{text}");
        }
    }
}

fn fill(tx: &mut db::Tx<'_>) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO experiments (experiment_id, workspace, name, artifact_location, lifecycle_stage, created_ms, updated_ms)
         VALUES (1, 'default', 'old', 'mlflow-artifacts:/1', 'active', 0, 0)",
        &[],
    )?;
    tx.execute(
        "INSERT INTO runs (run_id, workspace, experiment_id, name, user_id, status, start_ms, artifact_uri, lifecycle_stage)
         VALUES ('r', 'default', 1, 'old', 'u', 'FINISHED', 1, 'mlflow-artifacts:/1/r/artifacts', 'active')",
        &[],
    )?;
    Ok(())
}

fn empty(tx: &mut db::Tx<'_>) -> Result<(), Error> {
    tx.execute("DELETE FROM runs", &[])?;
    tx.execute("DELETE FROM experiments WHERE experiment_id = 1", &[])?;
    Ok(())
}

fn sorted(mut tables: Vec<copy::Copied>) -> Vec<copy::Copied> {
    tables.sort_by(|one, other| one.table.cmp(&other.table));
    tables
}
