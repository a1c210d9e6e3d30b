//! One server on one data folder: a lock that the system releases when the process dies, however it dies.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

use crate::term::hinted;

/// Held as long as the server lives; the file says who holds it.
#[derive(Debug)]
pub(crate) struct DataLock(File);

impl DataLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("rondo.lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            file.read_to_string(&mut holder).with_context(|| format!("{} cannot be read", path.display()))?;
            let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
            return Err(hinted(
                format!("the data folder {} is in use by {holder}", data_dir.display()),
                "stop that server, or choose another folder with --data-dir",
            ));
        }
        let mut lock = Self(file);
        lock.write(&format!("process {}", std::process::id()))?;
        Ok(lock)
    }

    /// Adds the address to what the file says.
    pub(crate) fn write_address(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.write(&format!("process {} at http://{address}", std::process::id()))
    }

    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(text.as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_who_has_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = DataLock::take(dir.path()).unwrap();
        first.write_address("127.0.0.1:5000".parse().unwrap()).unwrap();
        let error = DataLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} at http://127.0.0.1:5000", std::process::id())), "{error}");
        drop(first);
        DataLock::take(dir.path()).unwrap();
    }
}
