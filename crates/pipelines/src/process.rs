//! A group of processes that cannot outlive us: spawned, ended politely, ended by force, and found again after a crash.
//!
//! The leader of each group is a small shell that holds the reading end of a pipe and ignores polite signals. The writing end is
//! ours alone. When we die, however we die, the kernel closes it, the shell wakes up and kills its whole group. The step runs as
//! a member of that group. As the leader exists before the step does, its identity is stored before anything can be left over.
//!
//! A process can leave its group (`setsid`). Those are found by three variables in their environment, where the system shows
//! environments (`/proc`); elsewhere only the group is ended.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};
use tokio::process::{Child, ChildStdin, Command};

/// Waits for its standard input to end, then kills its group. `read` is built into the shell: no second process.
const WATCH: &str = "trap '' TERM HUP INT QUIT; read -r _; kill -KILL 0";

/// Who the leader of a group is: a number alone may be given to another process once it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The number of the group.
    pub pgid: i64,
    /// When its leader started, as the system tells it; empty where it does not.
    pub started: String,
}

/// A group of processes with its watching leader.
#[derive(Debug)]
pub struct Group {
    leader: Child,
    /// Dropping this is what ends the group.
    _hold: Option<ChildStdin>,
    pid: Pid,
    identity: Identity,
}

impl Group {
    /// Starts an empty group.
    pub fn open() -> io::Result<Self> {
        let mut leader = Command::new("/bin/sh")
            .args(["-c", WATCH])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let gone = || io::Error::other("the leader of a process group ended at once");
        let raw = leader.id().and_then(|id| i32::try_from(id).ok()).ok_or_else(gone)?;
        let pid = Pid::from_raw(raw).ok_or_else(gone)?;
        let identity = Identity { pgid: i64::from(raw), started: started(raw).unwrap_or_default() };
        let hold = leader.stdin.take();
        Ok(Self { leader, _hold: hold, pid, identity })
    }

    /// Who its leader is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Starts a program as a member of the group.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        command.process_group(self.pid.as_raw_nonzero().get()).spawn()
    }

    /// Asks every member to end.
    pub fn terminate(&self) {
        // The leader is a child that we have not waited for: the number is still its own.
        let _ = kill_process_group(self.pid, Signal::TERM);
    }

    /// Sends every member a signal. The leader ignores the polite ones.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    /// Ends every member, the leader too, and waits for the leader.
    pub async fn kill(mut self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
        drop(self.leader.wait().await);
    }
}

/// Ends what is left of a group whose server died, and what is left of the attempt anywhere; returns when nothing is.
///
/// Blocking: a few milliseconds as a rule.
pub fn kill_leftovers(identity: Option<&Identity>, run_id: &str, step: &str, attempt: i64) {
    if let Some(identity) = identity
        && let Ok(raw) = i32::try_from(identity.pgid)
        && let Some(pid) = Pid::from_raw(raw)
        && started(raw).is_some_and(|now| now == identity.started)
    {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    for _ in 0..500 {
        let alive = members(run_id, step, attempt);
        if alive.is_empty() {
            return;
        }
        for pid in alive {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    tracing::warn!(run.id = run_id, step.name = step, "processes of a step do not die; going on without them");
}

/// The living processes with the environment of that attempt, wherever they went.
fn members(run_id: &str, step: &str, attempt: i64) -> Vec<Pid> {
    let of = [
        format!("RONDO_PIPELINE_RUN={run_id}"),
        format!("RONDO_STEP={step}"),
        // Another server on this machine may be at the next attempt already.
        format!("RONDO_ATTEMPT={attempt}"),
    ];
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    let belongs = |entry: std::fs::DirEntry| {
        let raw: i32 = entry.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let has = |variable: &String| environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes());
        (u32::try_from(raw).ok()? != own && of.iter().all(has)).then(|| Pid::from_raw(raw))?
    };
    entries.flatten().filter_map(belongs).collect()
}

/// When a process started: the boot it belongs to and the ticks since then. `None` when there is no such living process.
fn started(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name of the program is in parentheses and may contain anything; fields are counted after the last one.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let (state, ticks) = (fields.first()?, fields.get(19)?);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    (*state != "Z").then(|| format!("{}/{ticks}", boot.trim()))
}
