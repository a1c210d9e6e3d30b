//! The cost of logging on the prediction path: one row, and a batch of a thousand. Run with `cargo bench -p rondo-telemetry`.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::sync::Arc;

use blob::Blob;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kernel::clock::Clock;
use kernel::frame::{Column, ColumnKind, Frame};
use rondo_telemetry::{Log, Options, PredictionBatch, Scan, Schema};

const FEATURES: usize = 20;

struct Batch {
    ids: Vec<String>,
    at: Vec<i64>,
    scores: Vec<f64>,
    frame: Frame,
}

fn batch(rows: usize, first: u64) -> Batch {
    let names: Vec<Arc<str>> = (0..FEATURES).map(|n| format!("f{n}").into()).collect();
    let columns = (0..FEATURES).map(|n| Column::Number((0..rows).map(|row| (row * n) as f64).collect())).collect();
    Batch {
        ids: (0..rows as u64).map(|row| format!("0190b5a4-7c3e-7000-8000-{:012}", first + row)).collect(),
        at: (0..rows as i64).map(|row| first as i64 + row).collect(),
        scores: vec![0.5; rows],
        frame: Frame::new(names, columns).unwrap(),
    }
}

fn append(log: &Log, schema: &Arc<Schema>, batch: &Batch) {
    let batch = PredictionBatch {
        deployment: "d",
        model: "m",
        version: "1",
        schema,
        ids: &batch.ids,
        event_times_us: &batch.at,
        frame: &batch.frame,
        scores: &batch.scores,
        received_us: 1,
        latency_us: 1,
    };
    log.append_predictions(&batch).unwrap();
}

fn benches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), Blob::memory(), Clock::system(), Options::default()).unwrap();
    let features = (0..FEATURES).map(|n| (format!("f{n}").into(), ColumnKind::Number)).collect();
    let schema = Arc::new(Schema { features });
    let mut next = 0;
    for rows in [1, 1000] {
        let mut group = criterion.benchmark_group("append");
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("{rows} rows of {FEATURES} numbers"), |bencher| {
            bencher.iter_batched_ref(
                || {
                    next += rows as u64;
                    batch(rows, next)
                },
                |batch| append(&log, &schema, batch),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
    runtime.block_on(log.flush()).unwrap();
    let one_window = Scan { deployment: "d".to_owned(), from_us: 0, until_us: 1000, ..Scan::default() };
    append(&log, &schema, &batch(1000, 0));
    criterion.bench_function("scan of a window of 1000 rows in memory and Parquet", |bencher| {
        bencher.iter(|| runtime.block_on(log.scan(one_window.clone())).unwrap());
    });
}

criterion_group!(all, benches);
criterion_main!(all);
