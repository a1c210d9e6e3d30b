//! Counters of a deployment: plain atomics, read by whoever exports them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use kernel::error::Kind;

/// Upper bounds of the latency buckets, in seconds; the last bucket is open.
pub const BOUNDS: [f64; 16] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    1.0, 10.0,
];

/// Error classes that are counted, with the name each has in the metric.
pub const CODES: [(Kind, &str); 10] = [
    (Kind::Invalid, "invalid"),
    (Kind::NotFound, "not_found"),
    (Kind::AlreadyExists, "already_exists"),
    (Kind::Precondition, "precondition"),
    (Kind::PermissionDenied, "permission_denied"),
    (Kind::TooLarge, "too_large"),
    (Kind::Overloaded, "overloaded"),
    (Kind::Unavailable, "unavailable"),
    (Kind::NotImplemented, "not_implemented"),
    (Kind::Internal, "internal"),
];

/// What one version of a model has answered under one deployment.
#[derive(Debug)]
pub struct VersionStats {
    /// The registered model.
    pub model: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    predictions: AtomicU64,
    requests: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
    last_us: AtomicI64,
}

/// What is read out of [`VersionStats`].
#[derive(Clone, Debug, PartialEq)]
pub struct VersionCounts {
    /// The registered model.
    pub model: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// Rows answered.
    pub predictions: u64,
    /// Requests per latency bucket, not cumulated; one more than [`BOUNDS`].
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Seconds spent on all requests together.
    pub seconds: f64,
    /// When the newest request came, microseconds since the epoch; 0 if none has.
    pub last_us: i64,
}

impl VersionStats {
    pub(crate) fn new(model: Arc<str>, version: Arc<str>) -> Self {
        Self {
            model,
            version,
            predictions: AtomicU64::new(0),
            requests: std::array::from_fn(|_| AtomicU64::new(0)),
            nanoseconds: AtomicU64::new(0),
            last_us: AtomicI64::new(0),
        }
    }

    pub(crate) fn predicted(&self, rows: usize, received_us: i64) {
        self.last_us.store(received_us, Ordering::Relaxed);
        self.predictions.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.requests.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanoseconds.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    /// The numbers now.
    pub fn read(&self) -> VersionCounts {
        VersionCounts {
            model: self.model.clone(),
            version: self.version.clone(),
            predictions: self.predictions.load(Ordering::Relaxed),
            buckets: std::array::from_fn(|at| self.requests.get(at).map_or(0, |count| count.load(Ordering::Relaxed))),
            seconds: self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9,
            last_us: self.last_us.load(Ordering::Relaxed),
        }
    }
}

/// Requests of one deployment that got no answer, by class.
#[derive(Debug, Default)]
pub struct ErrorStats([AtomicU64; CODES.len()]);

impl ErrorStats {
    pub(crate) fn failed(&self, kind: Kind) {
        let at = CODES.iter().position(|(each, _)| *each == kind);
        if let Some(count) = at.and_then(|at| self.0.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The numbers now, with the name of each class; classes that never happened are left out.
    pub fn read(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        CODES.iter().map(|(_, name)| *name).zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_lands_in_the_bucket_that_holds_its_latency() {
        let stats = VersionStats::new(Arc::from("m"), Arc::from("1"));
        let check = |micros: u64, bucket: usize| {
            let before = stats.read().buckets[bucket];
            stats.answered(Duration::from_micros(micros));
            assert_eq!(stats.read().buckets[bucket], before + 1, "{micros} us");
        };
        check(0, 0);
        check(10, 0);
        check(11, 1);
        check(1_000, 6);
        check(10_000_000, 15);
        check(10_000_001, 16);
    }

    #[test]
    fn errors_are_counted_by_class() {
        let stats = ErrorStats::default();
        stats.failed(Kind::Invalid);
        stats.failed(Kind::Invalid);
        stats.failed(Kind::Overloaded);
        assert_eq!(stats.read(), vec![("invalid", 2), ("overloaded", 1)]);
    }
}
