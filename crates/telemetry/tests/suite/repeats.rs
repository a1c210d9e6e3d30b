//! A prediction id that is sent again: the first one counts, in the answer and in the counts.

use rondo_telemetry::Options;

use crate::kit::{DAY, open, open_with, p, rows, send};

#[tokio::test]
async fn a_repeat_is_counted_once_in_a_batch_across_batches_flushes_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    send(&log, "d", "1", &[p("a", DAY), p("b", DAY + 1), p("a", DAY + 2)]).unwrap();
    for round in 0..4 {
        send(&log, "d", "2", &[p("a", DAY + 3), p(&format!("n{round}"), DAY + 10 + round)]).unwrap();
        send(&log, "d", "2", &[p("b", DAY + 4)]).unwrap();
        let read = rows(&log).await;
        assert_eq!(read.ids[..2], ["a", "b"], "round {round}");
        assert_eq!(read.event_time_us[..2], [DAY, DAY + 1], "the first one counts");
        assert_eq!(&*read.versions[0], "1");
        assert_eq!(read.len() as u64, 3 + round as u64);
        assert_eq!(log.counts("d").predictions, 3 + round as u64);
        match round {
            0 => log.flush().await.unwrap(),
            1 => {
                drop(log);
                log = open(dir.path());
            }
            _ => {
                log.flush().await.unwrap();
                drop(log);
                log = open(dir.path());
            }
        }
    }
}

#[tokio::test]
async fn a_repeat_beyond_the_remembered_ids_is_still_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_with(dir.path(), Options { remembered_ids: 2, ..Options::default() }).unwrap();
    let many: Vec<_> = (0..50).map(|n| p(&format!("{n:02}"), DAY + n)).collect();
    send(&log, "d", "1", &many).unwrap();
    log.flush().await.unwrap();
    send(&log, "d", "1", &[p("x", DAY + 100)]).unwrap();
    for one in &many {
        send(&log, "d", "2", std::slice::from_ref(one)).unwrap();
    }
    for _ in 0..2 {
        let read = rows(&log).await;
        assert_eq!(read.len(), 51);
        assert!(read.versions.iter().all(|version| &**version == "1"));
        log.flush().await.unwrap();
    }
}
