//! What the load generators share: where an answer ends, and a quantile of the latencies.

use anyhow::{Context as _, Result};

/// The length of the body that the head of an answer announces, bytes.
pub fn content_length(head: &str) -> Result<usize> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = lengths.next().context("an answer without content-length")?;
    Ok(length.trim().parse()?)
}

/// The latency in milliseconds below which a share of the requests lies; the latencies are sorted, in microseconds.
pub fn quantile_ms(latencies_us: &[u32], share: f64) -> f64 {
    let at = (share * latencies_us.len().saturating_sub(1) as f64) as usize;
    f64::from(latencies_us.get(at).copied().unwrap_or_default()) / 1e3
}
