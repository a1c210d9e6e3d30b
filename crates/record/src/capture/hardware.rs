//! The machine, as far as it tells.

use std::fs;
use std::process::Command;

use crate::manifest::{Gpu, Hardware};
use crate::program;

pub(super) fn capture() -> Hardware {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |text: &str, names: &[&str]| {
        let value = |line: &str| {
            let (name, value) = line.split_once(':')?;
            names.contains(&name.trim()).then(|| value.trim().to_owned())
        };
        text.lines().find_map(value).unwrap_or_default()
    };
    let kilobytes = field(&memory, &["MemTotal"]);
    let total: u64 = kilobytes.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Hardware {
        system: system(),
        architecture: std::env::consts::ARCH.to_owned(),
        cpu: field(&cpu, &["model name", "Model"]),
        cpu_flags: field(&cpu, &["flags", "Features"]).split_whitespace().map(str::to_owned).collect(),
        cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        memory: total * 1_024,
        gpus: gpus(),
        timezone: timezone(),
    }
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let described = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = described.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    format!("{name}, kernel {}", release.trim())
}

fn timezone() -> String {
    if let Ok(zone) = std::env::var("TZ") {
        return zone;
    }
    let link = fs::read_link("/etc/localtime").unwrap_or_default();
    link.to_string_lossy().split_once("zoneinfo/").map_or_else(|| "UTC".to_owned(), |(_, zone)| zone.to_owned())
}

/// What NVIDIA's own program says, where it is.
fn gpus() -> Vec<Gpu> {
    let Some(program) = program::find("nvidia-smi") else { return Vec::new() };
    let mut ask = Command::new(program);
    ask.args(["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"]);
    let answer = program::text(&mut ask).unwrap_or_default();
    let one = |line: &str| {
        let mut fields = line.split(',').map(str::trim);
        let (name, driver) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        Some(Gpu { name, driver, memory: fields.next()?.parse::<u64>().ok()? << 20 })
    };
    answer.lines().filter_map(one).collect()
}
