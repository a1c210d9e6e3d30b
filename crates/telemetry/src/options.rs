//! The settings of the log.

use std::time::Duration;

/// Settings; the defaults suit a laptop and a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// A write-ahead segment is closed at this size and becomes Parquet.
    pub segment_bytes: u64,
    /// Predictions reach the disk at most this long after they are accepted.
    pub sync_interval: Duration,
    /// How many ids of predictions that are no longer in the write-ahead log are remembered to recognise a repeat at once (about
    /// 48 bytes each).
    pub remembered_ids: usize,
    /// Memory for decoded outcome files.
    pub cache_bytes: usize,
    /// How much earlier than its prediction's event time an outcome may have been observed and still be found once both are in
    /// Parquet (truth that is stamped with a date only lies up to a day earlier).
    pub early_outcome_us: i64,
    /// Appends are refused when this many closed segments wait for the object store.
    pub max_waiting_segments: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            sync_interval: Duration::from_millis(100),
            remembered_ids: 1 << 20,
            cache_bytes: 32 << 20,
            early_outcome_us: 7 * kernel::clock::DAY_US,
            max_waiting_segments: 8,
        }
    }
}
