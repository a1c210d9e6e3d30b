//! When a cron expression comes round, in a time zone.

use std::str::FromStr;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A cron expression with its time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// Why a schedule cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The expression is wrong; what about it.
    Expression(String),
    /// There is no such time zone.
    Timezone,
}

impl Schedule {
    /// Reads an expression of five fields (or six, seconds first) and the name of a time zone.
    pub fn parse(expression: &str, timezone: &str) -> Result<Self, Problem> {
        let zone = TimeZone::get(timezone).map_err(|_| Problem::Timezone)?;
        let wrong = |error| Problem::Expression(format!("`{expression}` is not a cron expression: {error}"));
        let cron = Cron::from_str(expression).map_err(wrong)?;
        Ok(Self { cron, zone })
    }

    /// The last time it came round at or before `at_us`.
    pub fn latest_us(&self, at_us: i64) -> Option<i64> {
        self.cron.find_previous_occurrence(&self.zoned(at_us)?, true).ok().map(|at| at.timestamp().as_microsecond())
    }

    /// The next time it comes round after `at_us`.
    pub fn next_us(&self, at_us: i64) -> Option<i64> {
        self.cron.find_next_occurrence(&self.zoned(at_us)?, false).ok().map(|at| at.timestamp().as_microsecond())
    }

    fn zoned(&self, at_us: i64) -> Option<Zoned> {
        Timestamp::from_microsecond(at_us).ok().map(|at| at.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::clock::{parse_us, rfc3339};

    #[test]
    fn a_schedule_keeps_the_wall_clock_of_its_zone() {
        let nightly = Schedule::parse("0 3 * * *", "America/New_York").unwrap();
        let check = |at: &str, latest: &str, next: &str| {
            let at_us = parse_us(at).unwrap();
            assert_eq!(nightly.latest_us(at_us).map(rfc3339).as_deref(), Some(latest), "latest at {at}");
            assert_eq!(nightly.next_us(at_us).map(rfc3339).as_deref(), Some(next), "next after {at}");
        };
        check("2013-01-15T12:00:00Z", "2013-01-15T08:00:00Z", "2013-01-16T08:00:00Z");
        check("2013-01-15T08:00:00Z", "2013-01-15T08:00:00Z", "2013-01-16T08:00:00Z");
        check("2013-03-09T23:00:00Z", "2013-03-09T08:00:00Z", "2013-03-10T07:00:00Z");
        check("2013-03-10T12:00:00Z", "2013-03-10T07:00:00Z", "2013-03-11T07:00:00Z");
    }

    #[test]
    fn what_is_no_schedule_says_so() {
        assert_eq!(Schedule::parse("0 3 * * *", "Mars").unwrap_err(), Problem::Timezone);
        for text in ["", "0 3 * *", "61 * * * *", "often"] {
            assert!(matches!(Schedule::parse(text, "UTC"), Err(Problem::Expression(_))), "{text}");
        }
    }
}
