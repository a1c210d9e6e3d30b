//! A copy of a SQLite file while it is in use, by SQLite's online backup.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use crate::Error;

/// Copies a database file that others may be writing to, and returns the bytes of the copy. The copy is one moment's state,
/// checked, on disk, and appears under its name only when it is whole. It must not exist before.
pub fn backup(source: &Path, target: &Path) -> Result<u64, Error> {
    let refused = |reason: String| Error::Copy { reason };
    if target.exists() {
        return Err(refused(format!("{} exists already", target.display())));
    }
    let part = target.with_extension("part");
    let copied = copy(source, &part).and_then(|()| finish(&part, target));
    copied.map_err(|reason| {
        let _may_not_exist = fs::remove_file(&part);
        refused(reason)
    })
}

fn copy(source: &Path, part: &Path) -> Result<(), String> {
    let told = |error: rusqlite::Error| error.to_string();
    let _may_not_exist = fs::remove_file(part);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(source, flags)
        .map_err(|error| format!("{} cannot be opened: {error}", source.display()))?;
    from.busy_timeout(Duration::from_secs(10)).map_err(told)?;
    let mut into = Connection::open(part).map_err(|error| format!("{} cannot be made: {error}", part.display()))?;
    // All pages in one step: a snapshot in the write-ahead log holds up no writer, and steps would begin anew at each commit.
    Backup::new(&from, &mut into).and_then(|backup| backup.step(-1)).map_err(told)?;
    // One file, not three, until it is opened again.
    into.pragma_update(None, "journal_mode", "DELETE").map_err(told)?;
    let sound: String = into.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(told)?;
    if sound == "ok" { Ok(()) } else { Err(format!("the copy is not sound: {sound}")) }
}

fn finish(part: &Path, target: &Path) -> Result<u64, String> {
    let told = |error: std::io::Error| format!("{} cannot be kept: {error}", target.display());
    let file = File::open(part).map_err(told)?;
    file.sync_all().map_err(told)?;
    fs::rename(part, target).map_err(told)?;
    if let Some(directory) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(told)?;
    }
    Ok(file.metadata().map_err(told)?.len())
}
