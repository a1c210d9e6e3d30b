//! The process itself, under the names that every Prometheus client library uses. Linux only; elsewhere these are left out.

use conductor::House;

use super::text::{Kind, Page};

const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: f64 = 4096.0;

pub(super) fn write(house: &House, page: &mut Page) {
    page.family("rondo_build_info", Kind::Gauge, "Always 1; the version is in the label.").sample(
        "rondo_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1.0,
    );
    let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok() else { return };
    let Some(numbers) = Stat::parse(&stat) else { return };
    page.family("process_cpu_seconds_total", Kind::Counter, "User and system CPU time spent, in seconds.").sample(
        "process_cpu_seconds_total",
        &[],
        numbers.cpu_ticks / TICKS_PER_SECOND,
    );
    page.family("process_resident_memory_bytes", Kind::Gauge, "Resident memory.").sample(
        "process_resident_memory_bytes",
        &[],
        numbers.resident_pages * PAGE_BYTES,
    );
    page.family("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory.").sample(
        "process_virtual_memory_bytes",
        &[],
        numbers.virtual_bytes,
    );
    page.family("process_threads", Kind::Gauge, "Operating system threads.").sample(
        "process_threads",
        &[],
        numbers.threads,
    );
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.family("process_open_fds", Kind::Gauge, "Open file descriptors.").sample(
            "process_open_fds",
            &[],
            open.count() as f64,
        );
    }
    if let Some(uptime) = uptime() {
        let started = house.clock.now_us() as f64 / 1e6 - uptime + numbers.started_ticks / TICKS_PER_SECOND;
        page.family("process_start_time_seconds", Kind::Gauge, "Start of the process, in seconds since the epoch.")
            .sample("process_start_time_seconds", &[], started);
    }
}

/// Seconds since the machine started.
fn uptime() -> Option<f64> {
    std::fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()
}

/// What is read out of `/proc/self/stat`; see proc(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    started_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    /// The name of the process stands in parentheses and may hold anything, so fields are counted from the last one; the first after
    /// it is field 3.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_last_parenthesis() {
        let text =
            "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 9 0 12345 1000000 77 18446744073709551615 1 1";
        let expect = Stat {
            cpu_ticks: 300.0,
            threads: 9.0,
            started_ticks: 12345.0,
            virtual_bytes: 1_000_000.0,
            resident_pages: 77.0,
        };
        assert_eq!(Stat::parse(text), Some(expect));
        assert_eq!(Stat::parse("nonsense"), None);
    }
}
