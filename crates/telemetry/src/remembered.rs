//! The ids of converted segments, kept beside the manifest so that a repeat is recognised after a restart too. Losing such a file
//! loses nothing but that.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::codec::{Input, put_text, put_u32};
use crate::framing::{self, Next};
use crate::key::Key;
use crate::wal::io_error;

/// The ids of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Deployment and the predictions.
    pub(crate) predictions: Vec<(String, Vec<Key>)>,
    /// Predictions that an outcome came for.
    pub(crate) outcomes: Vec<Key>,
}

/// Writes the ids of a segment.
pub(crate) fn write(dir: &Path, segment: u64, ids: &Ids) -> Result<(), Error> {
    let mut buffer = Vec::new();
    let start = framing::begin(&mut buffer);
    put_u32(&mut buffer, ids.predictions.len() as u32);
    for (deployment, keys) in &ids.predictions {
        put_text(&mut buffer, deployment);
        put_keys(&mut buffer, keys);
    }
    put_keys(&mut buffer, &ids.outcomes);
    framing::end(&mut buffer, start);
    let path = dir.join("ids").join(format!("{segment:012}.ids"));
    fs::write(&path, &buffer).map_err(io_error("writing", &path))
}

/// Reads the newest id lists up to a number of ids, oldest first. A list whose segment is not converted is left out: that segment
/// will be replayed, and must find its ids unknown.
pub(crate) fn read(dir: &Path, limit: usize, converted: &BTreeSet<u64>) -> Result<Vec<Ids>, Error> {
    let mut lists = Vec::new();
    let number = |path: &Path| path.file_stem()?.to_str()?.parse().ok();
    for path in within(dir, limit)?.0 {
        if number(&path).is_none_or(|segment: u64| !converted.contains(&segment)) {
            continue;
        }
        let bytes = fs::read(&path).map_err(io_error("reading", &path))?;
        let Next::Frame(payload, _) = framing::next(&bytes, 0) else {
            tracing::warn!(telemetry.ids = %path.display(), "an id list is damaged: repeats of its predictions are found at reading only");
            continue;
        };
        lists.extend(decode(payload));
    }
    lists.reverse();
    Ok(lists)
}

/// Removes the id lists beyond a number of ids.
pub(crate) fn prune(dir: &Path, limit: usize) -> Result<(), Error> {
    within(dir, limit)?.1.iter().try_for_each(|path| fs::remove_file(path).map_err(io_error("removing", path)))
}

/// The files newest first, split where the bound is reached.
fn within(dir: &Path, limit: usize) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Error> {
    let dir = dir.join("ids");
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir).map_err(io_error("listing", &dir))? {
        let entry = entry.map_err(io_error("listing", &dir))?;
        let size = entry.metadata().map_err(io_error("reading", &dir))?.len();
        files.push((entry.path(), size as usize / size_of::<Key>()));
    }
    files.sort();
    files.reverse();
    let mut total = 0;
    let (mut inside, mut beyond) = (Vec::new(), Vec::new());
    for (path, ids) in files {
        if total < limit {
            inside.push(path);
        } else {
            beyond.push(path);
        }
        total += ids;
    }
    Ok((inside, beyond))
}

fn put_keys(out: &mut Vec<u8>, keys: &[Key]) {
    put_u32(out, keys.len() as u32);
    for key in keys {
        out.extend_from_slice(&key.to_le_bytes());
    }
}

fn decode(payload: &[u8]) -> Option<Ids> {
    let mut input = Input(payload);
    let mut ids = Ids::default();
    for _ in 0..input.count(8)? {
        let deployment = input.text()?;
        ids.predictions.push((deployment, keys(&mut input)?));
    }
    ids.outcomes = keys(&mut input)?;
    Some(ids)
}

fn keys(input: &mut Input<'_>) -> Option<Vec<Key>> {
    let n = input.count(size_of::<Key>())?;
    (0..n).map(|_| input.array().map(Key::from_le_bytes)).collect()
}
