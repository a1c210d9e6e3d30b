//! What a tree of processes uses, under the names that MLflow gives to its system metrics.
//!
//! MLflow measures the machine; this measures the run: its share of all cores, and the memory that its processes hold. Graphics
//! processors are measured as a whole, as NVIDIA's program tells no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::program;

/// Ticks of the kernel's clock in one second, on every Linux.
const TICKS: f64 = 100.0;

/// Measures one tree, again and again.
#[derive(Debug)]
pub struct Sampler {
    root: u32,
    cores: f64,
    memory: f64,
    gpu: bool,
    before: Option<(Instant, u64)>,
}

/// One process.
struct Process {
    parent: u32,
    group: u32,
    ticks: u64,
}

impl Sampler {
    /// For a process, all that it started, and its group.
    pub fn new(root: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kilobytes(&text, "MemTotal:"));
        let gpu = program::find("nvidia-smi").is_some();
        Self { root, cores: cores as f64, memory: total.unwrap_or(0) as f64 * 1_024.0, gpu, before: None }
    }

    /// The metrics of now; those of a tree that has ended are absent. The share of the processor needs two samples.
    pub fn sample(&mut self) -> Vec<(String, f64)> {
        let processes = processes();
        let members = members(&processes, self.root);
        let mut metrics = Vec::new();
        if members.is_empty() {
            return metrics;
        }
        let now = Instant::now();
        let ticks = members.iter().filter_map(|pid| processes.get(pid)).map(|process| process.ticks).sum::<u64>();
        if let Some((then, before)) = self.before {
            let seconds = now.duration_since(then).as_secs_f64().max(1e-3);
            let used = ticks.saturating_sub(before) as f64 / TICKS;
            metrics
                .push(("system/cpu_utilization_percentage".to_owned(), rounded(100.0 * used / seconds / self.cores)));
        }
        self.before = Some((now, ticks));
        let resident: u64 = members.iter().filter_map(|pid| resident(*pid)).sum();
        let bytes = resident as f64 * 1_024.0;
        metrics.push(("system/system_memory_usage_megabytes".to_owned(), rounded(bytes / 1e6)));
        if self.memory > 0.0 {
            metrics.push(("system/system_memory_usage_percentage".to_owned(), rounded(100.0 * bytes / self.memory)));
        }
        if self.gpu {
            metrics.extend(gpus());
        }
        metrics
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((pid, process(&stat)?))
    };
    entries.filter_map(one).collect()
}

/// Reads a line of `/proc/PID/stat`. The name of the program is in parentheses and may contain anything.
fn process(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // Own time and that of children that were waited for, each in the program and in the kernel.
    let ticks = (11..15).map(number).sum::<Option<u64>>()?;
    Some(Process { parent: u32::try_from(number(1)?).ok()?, group: u32::try_from(number(2)?).ok()?, ticks })
}

/// The root, whatever descends from it, and whatever is in its group.
fn members(processes: &BTreeMap<u32, Process>, root: u32) -> BTreeSet<u32> {
    let mut found: BTreeSet<u32> = BTreeSet::new();
    if let Some(process) = processes.get(&root) {
        let own_group = process.group;
        let ours = processes.get(&std::process::id()).map(|process| process.group);
        found.insert(root);
        if Some(own_group) != ours {
            found.extend(processes.iter().filter(|(_, other)| other.group == own_group).map(|(pid, _)| *pid));
        }
    }
    loop {
        let more: Vec<u32> = processes
            .iter()
            .filter(|(pid, process)| found.contains(&process.parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Kilobytes that a process holds in memory.
fn resident(pid: u32) -> Option<u64> {
    kilobytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn gpus() -> Vec<(String, f64)> {
    let mut ask = Command::new("nvidia-smi");
    ask.args(["--query-gpu=utilization.gpu,memory.used,memory.total,power.draw", "--format=csv,noheader,nounits"]);
    let answer = program::text(&mut ask).unwrap_or_default();
    answer.lines().enumerate().flat_map(|(number, line)| gpu(number, line)).collect()
}

fn gpu(number: usize, line: &str) -> Vec<(String, f64)> {
    let fields: Vec<Option<f64>> = line.split(',').map(|field| field.trim().parse().ok()).collect();
    let field = |at: usize| fields.get(at).copied().flatten();
    let used = field(1).map(|mib| mib * 1.048_576);
    let percentage = field(1).zip(field(2)).filter(|(_, total)| *total > 0.0).map(|(used, total)| 100.0 * used / total);
    let named = [
        ("utilization_percentage", field(0)),
        ("memory_usage_megabytes", used),
        ("memory_usage_percentage", percentage),
        ("power_usage_watts", field(3)),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some((format!("system/gpu_{number}_{name}"), rounded(value?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_measured() {
        let mut child = Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let mut sampler = Sampler::new(child.id());
        let first: Vec<String> = sampler.sample().into_iter().map(|(name, _)| name).collect();
        assert!(first.contains(&"system/system_memory_usage_megabytes".to_owned()), "{first:?}");
        let second = sampler.sample();
        let cpu = second.iter().find(|(name, _)| name == "system/cpu_utilization_percentage").unwrap();
        assert!((0.0..=100.0).contains(&cpu.1), "{cpu:?}");
        let processes = processes();
        for pid in members(&processes, child.id()) {
            drop(Command::new("kill").arg(pid.to_string()).status());
        }
        child.wait().unwrap();
        assert!(sampler.sample().is_empty(), "a tree that has ended uses nothing");
    }

    #[test]
    fn a_line_of_the_kernel_and_of_nvidia_is_read() {
        let stat = "7 (a) b (c) S 5 6 6 0 -1 0 0 0 0 0 10 2 3 4 20 0 1 0 99 0 0";
        let process = process(stat).unwrap();
        assert_eq!((process.parent, process.group, process.ticks), (5, 6, 19));
        let expect = [
            ("system/gpu_0_utilization_percentage", 37.0),
            ("system/gpu_0_memory_usage_megabytes", 1_073.74),
            ("system/gpu_0_memory_usage_percentage", 12.5),
        ];
        let expect: Vec<(String, f64)> = expect.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(gpu(0, "37, 1024, 8192, [N/A]"), expect);
    }
}
