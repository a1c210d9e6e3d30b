//! The cost of one row and of a thousand: boosting of the size that people deploy, and a pipeline with text.
//!
//! `RONDO_BENCH_MODELS` names a directory with further joblib files of models over numbers, which are measured too.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kernel::frame::{Column, Frame};
use rondo_inference::{Model, Package};

/// Models of the caller's own.
fn more() -> Vec<(String, Model)> {
    let Some(directory) = std::env::var_os("RONDO_BENCH_MODELS") else { return Vec::new() };
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|ending| ending == "joblib"));
    let model = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let model = rondo_inference::load(&Package::new([(name.clone(), std::fs::read(path).unwrap())])).unwrap();
        (name, model)
    };
    files.map(model).collect()
}

fn golden(file: &str) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/new").join(file);
    rondo_inference::load(&Package::new([(file, std::fs::read(path).unwrap())])).unwrap()
}

fn rows(count: usize, columns: usize) -> Vec<f64> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 * 4.0 - 2.0
    };
    (0..count * columns).map(|_| next()).collect()
}

fn dense(criterion: &mut Criterion, name: &str, model: &Model) {
    let columns = model.inputs().len();
    let rows = rows(1000, columns);
    let mut group = criterion.benchmark_group(name);
    let mut next = 0;
    group.bench_function("one row", |bencher| {
        bencher.iter(|| {
            next = (next + 1) % 1000;
            let row = &rows[next * columns..(next + 1) * columns];
            model.predict_dense(black_box(row), 1).unwrap()
        });
    });
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1000 rows", |bencher| bencher.iter(|| model.predict_dense(black_box(&rows), 1000).unwrap()));
    group.finish();
}

fn frame(criterion: &mut Criterion, name: &str, model: &Model) {
    let columns = model.inputs().iter().map(|input| match input.kind {
        kernel::frame::ColumnKind::Number => Column::Number(vec![1.5]),
        kernel::frame::ColumnKind::Text => Column::Text(vec![Some("UA".into())]),
    });
    let names = model.inputs().iter().map(|input| input.name.clone()).collect();
    let frame = Frame::new(names, columns.collect()).unwrap();
    criterion.bench_function(name, |bencher| bencher.iter(|| model.predict(black_box(&frame)).unwrap()));
}

fn kernels(criterion: &mut Criterion) {
    dense(criterion, "gbr of 200 trees", &golden("bench_gbr.zlib.joblib"));
    for (name, model) in more() {
        dense(criterion, &name, &model);
    }
    frame(criterion, "logistic pipeline with text, one row", &golden("pipe_logistic.joblib"));
}

criterion_group!(benches, kernels);
criterion_main!(benches);
