//! The one clock. Everything that asks for the time asks here, so that tests decide what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Microseconds of one second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds of one day.
pub const DAY_US: i64 = 86_400 * SECOND_US;

/// A source of wall-clock time; cheap to clone, every clone shows the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { manual: None }
    }

    /// A clock that stands at `start_us` (microseconds since the epoch) until it is moved.
    pub fn manual(start_us: i64) -> Self {
        Self { manual: Some(Arc::new(AtomicI64::new(start_us))) }
    }

    /// Microseconds since the Unix epoch.
    pub fn now_us(&self) -> i64 {
        match &self.manual {
            Some(now) => now.load(Ordering::SeqCst),
            None => jiff::Timestamp::now().as_microsecond(),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_us() / 1_000
    }

    /// Moves a manual clock forward; the machine's clock is not ours to move and stays.
    pub fn advance_us(&self, by_us: i64) {
        if let Some(now) = &self.manual {
            now.fetch_add(by_us, Ordering::SeqCst);
        }
    }
}

/// Microseconds since the epoch as RFC 3339 text in UTC, for people and for JSON.
pub fn rfc3339(at_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_us).map_or_else(|_| at_us.to_string(), |at| at.to_string())
}

/// Reads a point in time written as RFC 3339 text (`2013-03-01T05:00:00Z`), a date (`2013-03-01`, UTC midnight) or a number of
/// seconds since the epoch, and returns microseconds since the epoch.
pub fn parse_us(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_microsecond());
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        return Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond());
    }
    let seconds = text.parse::<f64>().ok().filter(|value| value.is_finite() && value.abs() < 9e11)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the line above")]
    Some((seconds * 1e6).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(5);
        let other = clock.clone();
        clock.advance_us(10);
        assert_eq!(other.now_us(), 15);
    }

    #[test]
    fn points_in_time_are_read_in_every_accepted_form() {
        let check = |text: &str, expect: Option<i64>| assert_eq!(parse_us(text), expect, "{text}");
        check("1970-01-01T00:00:01Z", Some(1_000_000));
        check("1970-01-01T01:00:01+01:00", Some(1_000_000));
        check("1970-01-02", Some(DAY_US));
        check("1970-01-01T00:00:02", Some(2_000_000));
        check("1.5", Some(1_500_000));
        check("yesterday", None);
        check("1e300", None);
    }
}
