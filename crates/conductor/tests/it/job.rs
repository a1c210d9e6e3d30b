//! Jobs: a key makes one, lanes keep their order, failures come back later.

use kernel::ctx::{Ctx, Principal};
use rondo_conductor::Error;
use rondo_conductor::job::{self, Kind};

fn at(now_us: i64) -> Ctx {
    Ctx::new(Principal::System("conductor"), now_us)
}

#[tokio::test]
async fn the_same_key_makes_one_job_and_a_lane_keeps_its_order() {
    testkit::on_both_with(&rondo_conductor::TABLES, |db| async move {
        db.write(|tx| {
            for (kind, key, what) in [
                (Kind::Admit, "7", "first"),
                (Kind::Admit, "7", "again"),
                (Kind::Evaluate, "7", "other"),
                (Kind::Admit, "8", "second"),
            ] {
                job::enqueue(tx, &at(10), kind, key, &what)?;
            }
            let next = job::next(tx, Kind::Admit, 10)?.unwrap();
            assert_eq!((next.key.as_str(), next.payload::<String>()?.as_str()), ("admit/7", "first"));
            job::finish(tx, &at(11), &next.key)?;
            job::enqueue(tx, &at(12), Kind::Admit, "7", &"after the end")?;
            assert_eq!(job::next(tx, Kind::Admit, 12)?.unwrap().key, "admit/8");
            assert_eq!(job::waiting(tx, &at(0))?, ["evaluate/7", "admit/8"]);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_postponed_job_comes_back_when_it_is_due_and_webhooks_do_not_keep_the_loop_busy() {
    testkit::on_both_with(&rondo_conductor::TABLES, |db| async move {
        db.write(|tx| {
            job::enqueue(tx, &at(10), Kind::Webhook, "1", &"call")?;
            job::postpone(tx, "webhook/1", 500, "nobody there")?;
            assert!(job::next(tx, Kind::Webhook, 499)?.is_none());
            assert_eq!(job::next(tx, Kind::Webhook, 500)?.unwrap().attempts, 1);
            assert!(job::waiting(tx, &at(0))?.is_empty());
            job::fail(tx, &at(600), "webhook/1", "nobody there")?;
            assert!(job::next(tx, Kind::Webhook, i64::MAX)?.is_none());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    })
    .await;
}
