//! Who this server is among those that share a database.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use conductor::{House, leadership};
use kernel::task::{Shutdown, Stopper};
use tokio::task::JoinHandle;

use crate::term;

/// The id of the server with this data folder: the same after a restart, another one for a copy of the folder.
pub(super) fn id(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join("replica");
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let mut words = stored.split_whitespace();
    if let (Some(id), Some(place), Ok(now)) = (words.next(), words.next(), place(&path))
        && place == now
    {
        return Ok(id.to_owned());
    }
    let shown = path.display();
    let id = kernel::id::random_hex();
    // The number of the file tells a copy from the original, and it is known once the file is there.
    std::fs::write(&path, "").with_context(|| format!("{shown} cannot be written"))?;
    let text = format!("{id} {}\n", place(&path)?);
    std::fs::write(&path, text).with_context(|| format!("{shown} cannot be written"))?;
    Ok(id)
}

fn place(path: &Path) -> anyhow::Result<String> {
    let file = std::fs::metadata(path).with_context(|| format!("{} cannot be looked at", path.display()))?;
    Ok(format!("{}-{}", file.dev(), file.ino()))
}

/// Where this server answers, as the others may show it: with the name of the machine if it listens on all addresses.
pub(super) fn address(listens: SocketAddr) -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        name if listens.ip().is_unspecified() && !name.is_empty() => format!("http://{name}:{}", listens.port()),
        _ => format!("http://{listens}"),
    }
}

/// Joins the servers of the database, or says why this one may not.
pub(super) async fn arrive(house: &House, failover: Duration) -> anyhow::Result<()> {
    let Some(who) = house.newcomer() else { return Ok(()) };
    leadership::arrive(house, who, failover).await?;
    let (alive, _) = leadership::present(house).await?;
    let others: Vec<&str> = alive.iter().filter(|one| one.id != who.id).map(|one| one.address.as_str()).collect();
    if !others.is_empty() {
        term::line(format!("this database is shared with {}", others.join(", ")));
        term::line(term::dim(
            "each server keeps its own prediction log, and monitors see that of the server that turns the loop",
        ));
    }
    Ok(())
}

/// Keeps saying that this server is there, and leaves at the shutdown. Stops the server if it may not stay.
pub(super) fn attend(house: &House, failover: Duration, shutdown: Shutdown, oust: Stopper) -> JoinHandle<()> {
    let house = house.clone();
    kernel::task::spawn("attendance", async move {
        let Some(who) = house.newcomer().cloned() else { return };
        if let Err(error) = leadership::attend(&house, who, failover, shutdown.clone()).await {
            if shutdown.is_stopping() {
                tracing::warn!(%error, "the other servers could not be told that this one goes");
            } else {
                tracing::error!(%error, "this server was away too long and must not stay; it stops");
                oust.stop();
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_all_addresses_is_shown_by_name() {
        assert_eq!(address("127.0.0.1:5000".parse().unwrap()), "http://127.0.0.1:5000");
        let shown = address("0.0.0.0:5000".parse().unwrap());
        assert!(shown.ends_with(":5000") && !shown.contains("0.0.0.0"), "{shown}");
    }

    #[test]
    fn a_folder_keeps_its_id_and_a_copy_gets_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let first = id(dir.path()).unwrap();
        assert_eq!(first.len(), 32);
        assert_eq!(id(dir.path()).unwrap(), first);
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(dir.path().join("replica"), copy.path().join("replica")).unwrap();
        let other = id(copy.path()).unwrap();
        assert_ne!(other, first);
        assert_eq!(id(copy.path()).unwrap(), other);
        std::fs::write(dir.path().join("replica"), "torn").unwrap();
        assert_eq!(id(dir.path()).unwrap().len(), 32);
    }
}
