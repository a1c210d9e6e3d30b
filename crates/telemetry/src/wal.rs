//! Segment files of the write-ahead log: making, writing, recovering and removing them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::codec::{self, Record};
use crate::framing::{self, Next};

const MAGIC: &[u8; 8] = b"rondowl1";

/// A segment that is written to.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) length: u64,
}

impl Segment {
    /// Makes a new segment, empty but for its magic bytes.
    pub(crate) fn create(dir: &Path, number: u64) -> Result<Self, Error> {
        let path = path_of(dir, number);
        let file = OpenOptions::new().create(true).truncate(true).write(true).read(true).open(&path);
        let file = file.map_err(io_error("making", &path))?;
        let made = file.write_all_at(MAGIC, 0).and_then(|()| sync_dir(dir));
        made.map_err(io_error("making", &path))?;
        Ok(Self { number, path, file: Arc::new(file), length: MAGIC.len() as u64 })
    }

    /// Opens a segment that is about to be recovered.
    pub(crate) fn peek(number: u64, path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().write(true).read(true).open(path).map_err(io_error("opening", path))?;
        Ok(Self { number, path: path.to_owned(), file: Arc::new(file), length: 0 })
    }

    /// Goes on writing at the end of what was recovered, which is on the disk then.
    pub(crate) fn resume(&mut self, length: u64) -> Result<(), Error> {
        self.length = length;
        self.file.sync_all().map_err(io_error("syncing", &self.path))
    }

    /// Appends whole frames. After a failure nothing of them stays.
    pub(crate) fn append(&mut self, frames: &[u8]) -> Result<(), WriteFailed> {
        match self.file.write_all_at(frames, self.length) {
            Ok(()) => {
                self.length += frames.len() as u64;
                Ok(())
            }
            Err(error) => {
                let undone = self.file.set_len(self.length).is_ok();
                Err(WriteFailed { error, undone })
            }
        }
    }
}

/// A failed write.
#[derive(Debug)]
pub(crate) struct WriteFailed {
    pub(crate) error: io::Error,
    /// False: a part of a frame may stand at the end, so nothing may be written behind it.
    pub(crate) undone: bool,
}

/// The segments of a directory, ascending.
pub(crate) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("listing", dir))? {
        let path = entry.map_err(io_error("listing", dir))?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "wal");
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (true, Some(number)) = (is_segment, number) {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Reads a segment record by record and returns the length of what is good. A torn tail is cut; what follows damage is moved aside, and said.
pub(crate) fn recover(path: &Path, mut visit: impl FnMut(Record)) -> Result<u64, Error> {
    let bytes = read_file(path)?;
    let mut at = MAGIC.len();
    if !bytes.starts_with(MAGIC) {
        if !MAGIC.starts_with(&bytes) && bytes.iter().any(|&byte| byte != 0) {
            set_aside(path, &bytes)?;
        }
        // Made, and nothing written yet (or nothing readable): begin it anew.
        fs::write(path, MAGIC).map_err(io_error("cutting", path))?;
        return Ok(at as u64);
    }
    let rest_is_damaged = loop {
        match framing::next(&bytes, at) {
            Next::Frame(payload, after) => match codec::read(payload) {
                Some(record) => (visit(record), at = after).0,
                None => break true,
            },
            Next::End => return Ok(at as u64),
            Next::Torn => break false,
            Next::Corrupt => break true,
        }
    };
    if rest_is_damaged {
        set_aside(path, &bytes[at..])?;
    } else {
        tracing::warn!(telemetry.segment = %path.display(), cut_bytes = bytes.len() - at, "cut an unfinished frame off a telemetry segment");
    }
    let file = OpenOptions::new().write(true).open(path).map_err(io_error("opening", path))?;
    file.set_len(at as u64).and_then(|()| file.sync_all()).map_err(io_error("cutting", path))?;
    Ok(at as u64)
}

fn set_aside(path: &Path, rest: &[u8]) -> Result<(), Error> {
    let mut aside = path.with_extension("corrupt");
    for copy in 1.. {
        if !aside.exists() {
            break;
        }
        aside = path.with_extension(format!("{copy}.corrupt"));
    }
    fs::write(&aside, rest).map_err(io_error("writing", &aside))?;
    File::open(&aside).and_then(|file| file.sync_all()).map_err(io_error("syncing", &aside))?;
    tracing::error!(
        telemetry.segment = %path.display(),
        telemetry.aside = %aside.display(),
        aside_bytes = rest.len(),
        "a telemetry segment is damaged: what stands before the damage was kept, the rest was moved aside for inspection"
    );
    Ok(())
}

/// Removes a segment; one that is gone already is fine.
pub(crate) fn remove(dir: &Path, number: u64) -> Result<(), Error> {
    let path = path_of(dir, number);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("removing", &path)(error)),
        _ => sync_dir(dir).map_err(io_error("syncing", dir)),
    }
}

/// Makes what was created or removed in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A whole file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(io_error("reading", path))
}

/// Wraps an I/O error with what we were doing to which file.
pub(crate) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { doing, path, source }
}

fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.wal"))
}
