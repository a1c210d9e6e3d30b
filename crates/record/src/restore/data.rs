//! The data of a run, checked by its digest, and put where the restored code looks for it.

use std::fs;
use std::io;
use std::path::Path;

use crate::capture::check_data;
use crate::manifest::Data;
use crate::{Error, Result};

/// Checks every file and folder, and puts those that lay within the code into the restored folder. Data outside of the code is
/// used where it is. Datasets that the command reported have no content that could be checked before the run.
pub fn restore(data: &[Data], into: &Path) -> Result<()> {
    for data in data.iter().filter(|data| matches!(data.kind.as_str(), "file" | "folder")) {
        let Some(relative) = &data.relative else {
            complain(check_data(data, Path::new(&data.location)))?;
            continue;
        };
        let place = into.join(relative);
        // What Git tracks is there already.
        if place.exists() && check_data(data, &place).is_none() {
            continue;
        }
        let original = Path::new(&data.location);
        complain(check_data(data, original))?;
        put(original, &place).map_err(Error::file("put data at", &place))?;
        complain(check_data(data, &place))?;
    }
    Ok(())
}

fn complain(wrong: Option<String>) -> Result<()> {
    wrong.map_or(Ok(()), |wrong| Err(Error::Missing(wrong)))
}

/// Copies, so that nothing the command does reaches the original. Where the file system can share blocks, that costs no room.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if fs::metadata(from)?.is_file() {
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (inner, place) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_symlink() && !fs::metadata(&inner).is_ok_and(|meta| meta.is_file()) {
            std::os::unix::fs::symlink(fs::read_link(&inner)?, &place)?;
        } else {
            put(&inner, &place)?;
        }
    }
    Ok(())
}
