//! The server as a child process: started, killed, started again on the same port and folder.

use std::fs::File;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::house::Folder;
use crate::cli::Demo;
use crate::term::hinted;

/// It must be ready by then; with a long log to read after a kill, too.
const PATIENCE: Duration = Duration::from_mins(1);

/// The child and its address.
#[derive(Debug)]
pub(super) struct Server {
    folder: Folder,
    url: String,
    child: Mutex<Child>,
    kills: AtomicU32,
    slowest_start: Mutex<Duration>,
}

impl Server {
    /// Starts the server and waits until it is ready.
    pub(super) async fn start(demo: &Demo, folder: &Folder) -> anyhow::Result<Self> {
        let (child, url) = spawn(folder, &demo.listen).await?;
        Ok(Self {
            folder: folder.clone(),
            url,
            child: Mutex::new(child),
            kills: AtomicU32::new(0),
            slowest_start: Mutex::new(Duration::ZERO),
        })
    }

    /// Its address, which stays the same across restarts.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Starts it again if it has died. Who calls while another restarts it waits for that.
    pub(super) async fn revive(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        if child.try_wait().context("the server")?.is_none() {
            return Ok(());
        }
        let begun = Instant::now();
        let listen = self.url.trim_start_matches("http://");
        (*child, _) = spawn(&self.folder, listen).await.context("the server does not come back")?;
        let mut slowest = self.slowest_start.lock().await;
        *slowest = begun.elapsed().max(*slowest);
        Ok(())
    }

    /// Kills it: no handler runs, nothing is flushed.
    pub(super) async fn kill(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        child.start_kill().context("the server cannot be killed")?;
        child.wait().await.context("the killed server")?;
        self.kills.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How often it was killed, and the longest time it took to be ready again.
    pub(super) async fn kills(&self) -> (u32, Duration) {
        (self.kills.load(Ordering::Relaxed), *self.slowest_start.lock().await)
    }

    /// Asks it to end and waits until it has.
    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _gone_already = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(Duration::from_secs(30), child.wait()).await.is_err() {
            child.start_kill().context("the server cannot be killed")?;
        }
        Ok(())
    }
}

/// Runs `rondo up` and waits for the line that says that it is ready.
async fn spawn(folder: &Folder, listen: &str) -> anyhow::Result<(Child, String)> {
    let log_path = folder.server_log();
    let log = File::options().create(true).append(true).open(&log_path);
    let log = log.with_context(|| format!("{} cannot be written", log_path.display()))?;
    let program = std::env::current_exe().context("the path of this program")?;
    let mut child = Command::new(program)
        .args(["up", "--listen", listen, "--data-dir"])
        .arg(folder.data())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("the server cannot be started")?;
    let stdout = child.stdout.take().context("the output of the server")?;
    let mut lines = BufReader::new(stdout).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, rest)) = line.split_once("ready at ") {
                return Ok(rest.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
        bail!("it ended")
    };
    if let Ok(Ok(url)) = tokio::time::timeout(PATIENCE, ready).await {
        return Ok((child, url));
    }
    let text = std::fs::read_to_string(&log_path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(3)..].join(" / ");
    Err(hinted(
        format!("the server does not start: {tail}"),
        format!("everything it wrote is in {}", log_path.display()),
    ))
}
