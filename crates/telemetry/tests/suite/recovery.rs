//! What a crash leaves: everything acknowledged, nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use kernel::error::{Classified as _, Kind};
use rondo_telemetry::{Log, Options};

use crate::kit::{DAY, all, files, open, open_with, outcome, p, rows, send, shown, told};

const CHILD: &str = "RONDO_TELEMETRY_TEST_CHILD";

fn small() -> Options {
    Options { segment_bytes: 8_000, max_waiting_segments: 1000, ..Options::default() }
}

/// Not a test of its own: the process that `killed_at_any_moment` kills. Says each acknowledged thing on a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper process"]
async fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (dir, round) = told.rsplit_once('|').unwrap();
    let log = open_with(Path::new(dir), small()).unwrap();
    for n in 0.. {
        let ids = [format!("{round}-{n}-a"), format!("{round}-{n}-b")];
        let at = DAY + n * 3_600_000_000;
        send(&log, "d", "1", &[p(&ids[0], at), p(&ids[1], at + 1)]).unwrap();
        println!("predicted {}\npredicted {}", ids[0], ids[1]);
        if n % 3 == 0 {
            log.append_outcomes(vec![outcome(&ids[0], n as f64, at + 9)]).await.unwrap();
            println!("outcome {} {n}", ids[0]);
        }
        if n % 7 == 0 {
            log.advance_watermark("d", at).await.unwrap();
            println!("watermark {at}");
        }
        if n % 50 == 49 {
            log.flush().await.unwrap();
        }
    }
}

#[derive(Default)]
struct Acknowledged {
    predictions: BTreeSet<String>,
    outcomes: BTreeMap<String, f64>,
    watermark: i64,
}

impl Acknowledged {
    /// Lets the child work and kills it after so many lines.
    fn of_child(&mut self, dir: &Path, round: u32, lines: usize) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "recovery::child", "--ignored", "--nocapture"])
            .env(CHILD, format!("{}|{round}", dir.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ours = |line: &String| ["predicted ", "outcome ", "watermark "].iter().any(|start| line.starts_with(start));
        let mut seen: Vec<_> = output.by_ref().map(Result::unwrap).filter(ours).take(lines).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        // A line that was still in the pipe was acknowledged too; the last one may be cut.
        let rest: Vec<_> = output.map_while(Result::ok).collect();
        seen.extend(rest.iter().take(rest.len().saturating_sub(1)).cloned());
        assert!(seen.len() >= lines, "the child ended early");
        for line in seen {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["predicted", id] => _ = self.predictions.insert(id.to_owned()),
                ["outcome", id, value] => _ = self.outcomes.insert(id.to_owned(), value.parse().unwrap()),
                ["watermark", at] => self.watermark = self.watermark.max(at.parse().unwrap()),
                _ => {}
            }
        }
    }

    async fn check(&self, log: &Log, round: u32) {
        let read = rows(log).await;
        let ids: BTreeSet<_> = read.ids.iter().cloned().collect();
        assert_eq!(ids.len(), read.len(), "round {round}: an id twice");
        let lost: Vec<_> = self.predictions.difference(&ids).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        let have: BTreeMap<_, _> = told(&read).into_iter().collect();
        for (id, value) in &self.outcomes {
            assert_eq!(have[id.as_str()], Some(*value), "round {round}: outcome of {id}");
        }
        assert!(log.watermark("d").declared_us >= Some(self.watermark), "round {round}: the watermark moved back");
        let counts = log.counts("d");
        assert_eq!(counts.predictions as usize, read.len(), "round {round}: counts");
        let labelled = have.values().flatten().count();
        assert_eq!(counts.outcomes as usize, labelled, "round {round}: outcomes counted");
    }
}

#[tokio::test]
async fn killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..12 {
        acknowledged.of_child(dir.path(), round, 20 + (round as usize * 97) % 400);
        let log = open_with(dir.path(), small()).unwrap();
        acknowledged.check(&log, round).await;
        if round % 3 == 2 {
            log.flush().await.unwrap();
            acknowledged.check(&log, round).await;
        }
    }
}

/// A log with three frames in its one segment, closed; and the lengths of the segment after each.
async fn three_frames(dir: &Path) -> (std::path::PathBuf, Vec<u64>) {
    let log = open(dir);
    let segment = files(dir, ".wal").remove(0);
    let mut lengths = Vec::new();
    for id in ["a", "b", "c"] {
        send(&log, "d", "1", &[p(id, DAY)]).unwrap();
        log.append_outcomes(vec![outcome(id, 1.0, DAY)]).await.unwrap();
        lengths.push(std::fs::metadata(&segment).unwrap().len());
    }
    (segment, lengths)
}

#[tokio::test]
async fn a_torn_tail_is_cut_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, lengths) = three_frames(dir.path()).await;
    let whole = std::fs::read(&segment).unwrap();
    for cut in lengths[1]..lengths[2] {
        std::fs::write(&segment, &whole[..cut as usize]).unwrap();
        let log = open(dir.path());
        let read = rows(&log).await;
        assert!(read.ids.starts_with(&["a".to_owned(), "b".to_owned()]), "cut at {cut}: {:?}", read.ids);
        // Writing goes on behind the cut.
        send(&log, "d", "1", &[p("z", DAY + 1)]).unwrap();
        drop(log);
        assert_eq!(rows(&open(dir.path())).await.ids.last().unwrap(), "z", "cut at {cut}");
    }
    assert_eq!(files(dir.path(), ".corrupt"), Vec::<std::path::PathBuf>::new(), "a torn tail is not damage");
}

#[tokio::test]
async fn damage_in_the_middle_keeps_what_is_before_and_moves_the_rest_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, lengths) = three_frames(dir.path()).await;
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[lengths[0] as usize + 30] ^= 0x40;
    std::fs::write(&segment, &bytes).unwrap();
    let log = open(dir.path());
    assert_eq!(rows(&log).await.ids, ["a"]);
    let aside = files(dir.path(), ".corrupt");
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read(&aside[0]).unwrap(), bytes[lengths[0] as usize..]);
}

#[tokio::test]
async fn a_directory_has_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let error = open_with(dir.path(), Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Precondition);
    assert!(error.to_string().contains("in use"), "{error}");
    drop(log);
    open(dir.path());
}

#[tokio::test]
async fn a_watermark_is_kept_and_never_moves_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    log.advance_watermark("d", 100).await.unwrap();
    log.advance_watermark("d", 50).await.unwrap();
    log.advance_watermark("quiet", 7).await.unwrap();
    send(&log, "d", "1", &[p("a", 80), p("b", 60)]).unwrap();
    for flush in [false, true, false] {
        if flush {
            log.flush().await.unwrap();
        }
        drop(log);
        log = open(dir.path());
        let mark = log.watermark("d");
        assert_eq!((mark.declared_us, mark.max_event_us), (Some(100), Some(80)));
        assert_eq!(log.watermark("quiet").declared_us, Some(7));
        assert_eq!(log.watermark("nobody"), rondo_telemetry::Watermark::default());
        assert_eq!(log.deployments(), ["d", "quiet"]);
    }
}

#[tokio::test]
async fn a_conversion_that_was_interrupted_is_done_again_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let segment = files(dir.path(), ".wal").remove(0);
    send(&log, "d", "1", &[p("a", DAY), p("b", DAY + 1)]).unwrap();
    log.append_outcomes(vec![outcome("a", 1.0, DAY)]).await.unwrap();
    let (bytes, manifest) = (std::fs::read(&segment).unwrap(), dir.path().join("telemetry/manifest"));
    log.flush().await.unwrap();
    let expect = shown(&rows(&log).await);
    drop(log);
    let entered = std::fs::read(&manifest).unwrap();
    // Killed after the objects and before the manifest entry; then after the entry and before the removal.
    for manifest_then in [&b""[..], &entered[..entered.len() / 2], &entered[..]] {
        std::fs::write(&manifest, manifest_then).unwrap();
        std::fs::write(&segment, &bytes).unwrap();
        let log = open(dir.path());
        assert_eq!(shown(&rows(&log).await), expect);
        log.flush().await.unwrap();
        assert_eq!(shown(&rows(&log).await), expect);
        let counts = log.counts("d");
        assert_eq!((counts.predictions, counts.outcomes), (2, 1));
        assert_eq!(log.scan(all("d")).await.unwrap().len(), 2);
    }
}
