//! A whole database copied to the other engine and back.
#![expect(clippy::unwrap_used, reason = "tests")]

use rondo_db::{Db, Engine, Error, Migration, copy};
use testkit::TestDb;

const TABLES: &[Migration] = &[Migration {
    id: "copy/0001-things",
    sql: "
        CREATE TABLE parents (id BIGINT PRIMARY KEY, name TEXT NOT NULL);
        INSERT INTO parents (id, name) VALUES (0, 'seed');
        CREATE TABLE things (
            parent BIGINT NOT NULL REFERENCES parents (id),
            key TEXT NOT NULL,
            is_odd BOOLEAN NOT NULL,
            number DOUBLE PRECISION NOT NULL,
            maybe BIGINT,
            word TEXT,
            PRIMARY KEY (is_odd, key, parent)
        );
    ",
}];
const LAYERS: &[&[Migration]] = &[TABLES];

async fn fill(db: &Db, rows: i64) {
    db.write(move |tx| {
        tx.execute("UPDATE parents SET name = 'changed' WHERE id = 0", &[])?;
        tx.execute("INSERT INTO parents (id, name) VALUES (1, 'a \"quoted\" ''name'' ü')", &[])?;
        for row in 0..rows {
            tx.execute(
                "INSERT INTO things (parent, key, is_odd, number, maybe, word) VALUES ($1, $2, $3, $4, $5, $6)",
                &[
                    (row % 2).into(),
                    format!("k{row}").into(),
                    (row % 3 == 1).into(),
                    [0.1, -0.0, 1e308, f64::MIN_POSITIVE, 5.0][usize::try_from(row % 5).unwrap()].into(),
                    (row % 7 == 0).then_some(i64::MAX - row).into(),
                    (row % 2 == 0).then(|| format!("w{row}")).into(),
                ],
            )?;
        }
        tx.next("things")?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn open(database: &TestDb) -> Db {
    database.open(LAYERS).await.unwrap()
}

#[tokio::test]
async fn everything_arrives_on_the_other_engine_and_comes_back() {
    let (lite, post, back) = (TestDb::sqlite().unwrap(), TestDb::postgres().unwrap(), TestDb::sqlite().unwrap());
    let (lite, post, back) = (open(&lite).await, open(&post).await, open(&back).await);
    assert_eq!((lite.engine(), post.engine()), (Engine::Sqlite, Engine::Postgres));
    fill(&lite, 5_001).await;
    let there = copy::copy(&lite, &post, LAYERS).await.unwrap();
    let rows = |name: &str| there.iter().find(|copied| copied.table == name).unwrap().rows;
    assert_eq!((rows("parents"), rows("things"), rows("counters"), rows("events")), (2, 5_001, 1, 0));
    assert_eq!(copy::copy(&post, &back, LAYERS).await.unwrap().len(), there.len());
    let sorted = |mut copied: Vec<copy::Copied>| {
        copied.sort_by(|one, other| one.table.cmp(&other.table));
        copied
    };
    let (first, second) = (copy::digests(&lite).await.unwrap(), copy::digests(&back).await.unwrap());
    assert_eq!(sorted(first), sorted(second));
    let next = back.write(|tx| tx.next("things")).await.unwrap();
    assert_eq!(next, 1, "counters go on where they were");
}

#[tokio::test]
async fn a_target_that_was_used_is_refused_and_keeps_what_it_has() {
    for target in testkit::engines().unwrap() {
        let source = TestDb::sqlite().unwrap();
        let (source, target) = (open(&source).await, open(&target).await);
        fill(&source, 3).await;
        fill(&target, 2).await;
        let before = copy::digests(&target).await.unwrap();
        let error = copy::copy(&source, &target, LAYERS).await.unwrap_err().to_string();
        assert!(error.contains("the target is not empty, its table `"), "{error}");
        assert_eq!(copy::digests(&target).await.unwrap(), before);
    }
}

#[tokio::test]
async fn a_schema_changed_by_hand_is_refused() {
    let (source, target) = (TestDb::sqlite().unwrap(), TestDb::postgres().unwrap());
    let (source, target) = (open(&source).await, open(&target).await);
    let sql = "CREATE TABLE extra (id BIGINT PRIMARY KEY)";
    source.write(|tx| tx.execute(sql, &[])).await.unwrap();
    let error = copy::copy(&source, &target, LAYERS).await.unwrap_err().to_string();
    assert!(error.contains("the table `extra` is not the same on both sides"), "{error}");
}
