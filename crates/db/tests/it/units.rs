//! Units of work: what commits, what rolls back, what is refused.

use std::time::Duration;

use db::{Db, Engine, Error, Failure, Sql, Tx, Value};
use futures_util::future::join_all;
use kernel::error::{Classified as _, Kind};
use testkit::on_both;

use super::SCHEMA;

fn insert(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    tx.execute("INSERT INTO rows (id) VALUES ($1)", &[id.into()]).map(drop)
}

async fn ids(db: &Db) -> Result<Vec<String>, Error> {
    db.read(|tx| tx.query("SELECT id FROM rows ORDER BY id", &[])?.iter().map(|row| row.text("id")).collect()).await
}

#[tokio::test]
async fn a_unit_commits_as_a_whole_or_not_at_all() {
    on_both(SCHEMA, |db| async move {
        db.write(|tx| insert(tx, "kept")).await?;
        let refused: Result<(), Error> = db
            .write(|tx| {
                insert(tx, "lost")?;
                Err(Error::Closed)
            })
            .await;
        assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
        assert_eq!(ids(&db).await?, ["kept"]);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn one_of_many_fails_alone() {
    on_both(SCHEMA, |db| async move {
        let all = join_all((0..100).map(|number| {
            db.write(move |tx| {
                insert(tx, &format!("{number:03}"))?;
                if number % 10 == 3 { Err(Error::Closed) } else { Ok(number) }
            })
        }));
        let answers = all.await;
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_ok(), number % 10 != 3, "{number}: {answer:?}");
        }
        let stored = ids(&db).await?;
        assert_eq!(stored.len(), 90);
        assert!(stored.iter().all(|id| !id.ends_with('3')), "{stored:?}");
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_panic_rolls_back_and_the_next_unit_runs() {
    on_both(SCHEMA, |db| async move {
        let died: Result<(), Error> = db
            .write(|tx| {
                insert(tx, "lost")?;
                panic!("on purpose")
            })
            .await;
        assert!(matches!(&died, Err(Error::Panicked { reason }) if reason == "on purpose"), "{died:?}");
        db.write(|tx| insert(tx, "after")).await?;
        let died: Result<(), Error> = db.read(|_| panic!("on purpose")).await;
        assert!(matches!(&died, Err(Error::Panicked { .. })), "{died:?}");
        assert_eq!(ids(&db).await?, ["after"]);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_failed_statement_dooms_its_unit() {
    on_both(SCHEMA, |db| async move {
        db.write(|tx| insert(tx, "a")).await?;
        let swallowed: Result<(), Error> = db
            .write(|tx| {
                insert(tx, "b")?;
                assert!(insert(tx, "a").unwrap_err().is_unique_violation());
                let later = insert(tx, "c").unwrap_err();
                assert!(matches!(later, Error::Doomed { .. }), "{later:?}");
                Ok(())
            })
            .await;
        assert!(matches!(swallowed, Err(Error::Doomed { .. })), "{swallowed:?}");
        assert_eq!(ids(&db).await?, ["a"]);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn refusals_have_the_same_names_on_both_engines() {
    on_both(SCHEMA, |db| async move {
        db.write(|tx| insert(tx, "a")).await?;
        let check = async |sql: &'static str, expect: Failure, kind: Kind| {
            let error = db.write(move |tx| tx.execute(sql, &[])).await.unwrap_err();
            assert!(matches!(&error, Error::Statement { failure, .. } if *failure == expect), "{sql}: {error:?}");
            assert_eq!(error.kind(), kind, "{sql}");
        };
        check("INSERT INTO rows (id) VALUES ('a')", Failure::Unique, Kind::AlreadyExists).await;
        check("INSERT INTO children (id, parent) VALUES ('c', 'z')", Failure::ForeignKey, Kind::Internal).await;
        check("INSERT INTO children (id) VALUES ('c')", Failure::Constraint, Kind::Internal).await;
        check("SELECT nonsense FROM nowhere", Failure::Other, Kind::Internal).await;
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_read_cannot_write() {
    on_both(SCHEMA, |db| async move {
        let error = db.read(|tx| insert(tx, "a")).await.unwrap_err();
        assert!(matches!(error, Error::Statement { failure: Failure::ReadOnly, .. }), "{error:?}");
        assert_eq!(ids(&db).await?, Vec::<String>::new());
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_read_sees_one_snapshot() {
    on_both(SCHEMA, |db| async move {
        let (started, reading) = std::sync::mpsc::channel();
        let (go_on, written) = std::sync::mpsc::channel();
        let count = |tx: &mut Tx<'_>| {
            let row = tx.query_opt("SELECT count(*) AS n FROM rows", &[])?;
            row.unwrap().i64("n")
        };
        let reader = db.read(move |tx| {
            let before = count(tx)?;
            started.send(()).unwrap();
            written.recv().unwrap();
            Ok::<_, Error>((before, count(tx)?))
        });
        let writer = async {
            tokio::task::spawn_blocking(move || reading.recv().unwrap()).await.unwrap();
            let done = db.write(|tx| insert(tx, "a")).await;
            go_on.send(()).unwrap();
            done
        };
        let (seen, done) = futures_util::future::join(reader, writer).await;
        done?;
        assert_eq!(seen?, (0, 0));
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    on_both(SCHEMA, |db| async move {
        let (go_on, gate) = std::sync::mpsc::channel::<()>();
        let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
        let blocked = (0..20).map(|_| {
            let gate = std::sync::Arc::clone(&gate);
            db.write(move |_| {
                // Every unit waits until the sender is gone.
                let _ = gate.lock().unwrap().recv();
                Ok::<_, Error>(())
            })
        });
        let flood = (0..2000).map(|_| db.write(|_| Ok::<_, Error>(())));
        let blocked = join_all(blocked);
        let flood = async {
            let all = join_all(flood);
            let release = async {
                drop(go_on);
            };
            futures_util::future::join(all, release).await.0
        };
        let (_, answers) = futures_util::future::join(blocked, flood).await;
        let refused: Vec<&Error> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert!(!refused.is_empty(), "2000 units were accepted");
        assert!(refused.iter().all(|error| error.kind() == Kind::Overloaded), "{:?}", refused.first());
        assert!(answers.iter().any(Result::is_ok));
        db.write(|tx| insert(tx, "after")).await
    })
    .await;
}

#[tokio::test]
async fn a_dropped_request_leaves_its_work_whole() {
    on_both(SCHEMA, |db| async move {
        let (started, has_started) = std::sync::mpsc::channel();
        let work = db.write(move |tx| {
            insert(tx, "a")?;
            started.send(()).unwrap();
            insert(tx, "b")
        });
        let mut work = Box::pin(work);
        let waker = std::task::Waker::noop();
        assert!(work.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
        drop(work);
        // The writers take turns: on SQLite this runs after it; on PostgreSQL the row lock of the conflict makes it wait.
        db.write(|tx| tx.execute("INSERT INTO rows (id) VALUES ('a') ON CONFLICT (id) DO NOTHING", &[])).await?;
        assert_eq!(ids(&db).await?, ["a", "b"]);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn counters_have_no_gaps_under_concurrency() {
    on_both(SCHEMA, |db| async move {
        let all = join_all((0..60).map(|number| {
            db.write(move |tx| {
                let taken = tx.next("runs")?;
                insert(tx, &format!("{taken:03}"))?;
                if number % 7 == 0 { Err(Error::Closed) } else { Ok(taken) }
            })
        }));
        let mut taken: Vec<i64> = all.await.into_iter().filter_map(Result::ok).collect();
        taken.sort_unstable();
        let expect: Vec<i64> = (0..taken.len() as i64).collect();
        assert_eq!(taken, expect);
        assert_eq!(db.write(|tx| tx.next("others")).await?, 0);
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn statements_are_put_together_and_run() {
    on_both(SCHEMA, |db| async move {
        let mut fill = Sql::new();
        fill.push("INSERT INTO rows (id, number) VALUES ");
        for (position, id) in ["a", "b", "A"].into_iter().enumerate() {
            fill.push(if position == 0 { "" } else { ", " });
            fill.bind_list([Value::from(id), Value::from(position as i64)]);
        }
        assert_eq!(db.write(move |tx| tx.execute_built(&fill)).await?, 3);
        let find = |like: &'static str, ids: Vec<&'static str>| {
            let mut sql = Sql::new();
            sql.push("SELECT id FROM rows WHERE id LIKE ")
                .bind(like)
                .push(" AND id IN ")
                .bind_list(ids)
                .push(" ORDER BY id");
            db.read(move |tx| tx.query_built(&sql)?.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, Error>>())
        };
        assert_eq!(find("a%", vec!["a", "b", "A"]).await?, ["a"], "LIKE minds the case");
        assert_eq!(find("%", vec!["a", "b", "A"]).await?, ["A", "a", "b"], "texts sort by their bytes");
        assert_eq!(find("%", vec![]).await?, Vec::<String>::new());
        Ok::<_, Error>(())
    })
    .await;
}

#[tokio::test]
async fn many_waiting_units_share_a_commit() {
    // Only SQLite groups commits: a server has its own group commit.
    let database = testkit::TestDb::sqlite().unwrap();
    let db = database.open(&[SCHEMA]).await.unwrap();
    assert_eq!(db.engine(), Engine::Sqlite);
    let (go_on, gate) = std::sync::mpsc::channel::<()>();
    let mut news = db.subscribe();
    let ctx = kernel::ctx::Ctx::new(kernel::ctx::Principal::System("test"), 0);
    let mut units = vec![];
    let mut gate = Some(gate);
    for number in 0..50 {
        let (gate, ctx) = (gate.take(), ctx.clone());
        units.push(db.write(move |tx| {
            if let Some(gate) = gate {
                let _ = gate.recv();
            }
            let payload = serde_json::json!({});
            let event =
                kernel::event::NewEvent { kind: "test", subject: format!("row/{number}"), model: None, payload };
            db::events::emit(tx, &ctx, event)
        }));
    }
    let release = async {
        drop(go_on);
        tokio::time::timeout(Duration::from_secs(10), news.changed()).await.expect("the commit is announced").unwrap();
        *news.borrow_and_update()
    };
    let (answers, first_news) = futures_util::future::join(join_all(units), release).await;
    assert!(answers.iter().all(Result::is_ok));
    // The first commit told of more than the first unit.
    assert!(first_news > 0, "every unit was committed alone");
}
