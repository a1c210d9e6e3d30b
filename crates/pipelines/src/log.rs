//! What a step wrote: one file for each attempt, standard output and standard error together, written by the step itself.
//!
//! As no one stands between the step and the file, nothing is lost when the server dies, and a reader who asks again with the
//! position of the last answer streams it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Error;

/// A piece of a log.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Chunk {
    /// The text; bytes that are not UTF-8 are shown as U+FFFD.
    pub text: String,
    /// Where to go on reading.
    pub next: u64,
    /// How long the log is by now.
    pub size: u64,
}

/// The file of one attempt.
pub fn path(logs_dir: &Path, run_id: &str, step: &str, attempt: i64) -> PathBuf {
    logs_dir.join(run_id).join(format!("{step}.{attempt}.log"))
}

/// Opens the file of an attempt for the step to append to.
pub(crate) fn create(path: &Path) -> Result<File, Error> {
    let fail = |source| Error::File { doing: "write", path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(fail)?;
    }
    File::options().create(true).append(true).open(path).map_err(fail)
}

/// Reads at most `limit` bytes from `offset` on. A log that does not exist yet is empty. Blocking.
pub fn read(path: &Path, offset: u64, limit: u64) -> Result<Chunk, Error> {
    let fail = |source| Error::File { doing: "read", path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Chunk { text: String::new(), next: 0, size: 0 });
        }
        Err(error) => return Err(fail(error)),
    };
    let size = file.metadata().map_err(fail)?.len();
    let from = offset.min(size);
    file.seek(SeekFrom::Start(from)).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(fail)?;
    // A letter may be cut in two by the limit or by the writer; its beginning waits for the next answer.
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
        && error.valid_up_to() > 0
    {
        bytes.truncate(error.valid_up_to());
    }
    let next = from + bytes.len() as u64;
    Ok(Chunk { text: String::from_utf8_lossy(&bytes).into_owned(), next, size: size.max(next) })
}

/// The last `bytes` of a log, beginning at a line. Blocking.
pub fn tail(path: &Path, bytes: u64) -> Result<Chunk, Error> {
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    let from = size.saturating_sub(bytes);
    let mut chunk = read(path, from, bytes.saturating_add(1 << 16))?;
    if from > 0
        && let Some(newline) = chunk.text.find('\n')
    {
        chunk.text.drain(..=newline);
    }
    Ok(chunk)
}

/// The last line that says something, for the error of a failed step.
pub(crate) fn last_line(path: &Path) -> Option<String> {
    let text = tail(path, 4_096).ok()?.text;
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_on_from_where_the_last_answer_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path(), "run", "train", 1);
        assert_eq!(read(&path, 0, 100).unwrap(), Chunk { text: String::new(), next: 0, size: 0 });
        drop(create(&path).unwrap());
        std::fs::write(&path, "ab\u{e9}cd\n").unwrap();
        let first = read(&path, 0, 3).unwrap();
        assert_eq!((first.text.as_str(), first.next, first.size), ("ab", 2, 7), "half a letter waits");
        let second = read(&path, first.next, 100).unwrap();
        assert_eq!((second.text.as_str(), second.next), ("\u{e9}cd\n", 7));
        assert_eq!(read(&path, 99, 100).unwrap().next, 7, "an offset past the end is the end");
    }

    #[test]
    fn the_tail_begins_at_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        std::fs::write(&path, "first line\nsecond line\nlast\n\n").unwrap();
        assert_eq!(tail(&path, 15).unwrap().text, "last\n\n");
        assert_eq!(tail(&path, 1_000).unwrap().text, "first line\nsecond line\nlast\n\n");
        assert_eq!(last_line(&path).as_deref(), Some("last"));
    }
}
