//! One append-only file of entries: its one writer, and its one reader that remembers what the server has.

use std::fs::{self, File};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::Entry;
use crate::{Error, Result};

/// How much is read at once.
const PIECE: u64 = 4 << 20;

/// The writing end.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Writer {
    /// Opens a lane. Half a line at its end, left by a writer that was killed, is cut off: nobody was told that it is there.
    pub fn open(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(format!("{name}.jsonl"));
        let mut file =
            File::options().create(true).read(true).append(true).open(&path).map_err(Error::file("open", &path))?;
        let length = whole_lines(&mut file).map_err(Error::file("read", &path))?;
        file.set_len(length).map_err(Error::file("write", &path))?;
        Ok(Self { path, file, length })
    }

    /// Appends an entry and answers with the position after it. When this returns, the entry outlives the process; a second
    /// later also the machine.
    pub fn append(&mut self, entry: &Entry) -> Result<u64> {
        let line = serde_json::to_string(entry)
            .map_err(|error| Error::Corrupt { what: "an entry".to_owned(), reason: error.to_string() })?;
        self.append_line(&line)
    }

    pub(super) fn append_line(&mut self, line: &str) -> Result<u64> {
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(Error::file("write", &self.path))?;
        self.length += bytes.len() as u64;
        Ok(self.length)
    }

    /// Makes what was appended outlive the machine.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::file("write", &self.path))
    }
}

/// How long the file is up to the end of its last whole line.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(1 << 16);
        let mut piece = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The reading end.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    sent_path: PathBuf,
    sent: u64,
}

impl Reader {
    /// Opens a lane where the server's knowledge of it ends.
    pub fn open(dir: &Path, name: &str) -> Result<Self> {
        let sent_path = dir.join(format!("{name}.sent"));
        let sent = match fs::read_to_string(&sent_path) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::file("read", &sent_path)(error)),
        };
        Ok(Self { path: dir.join(format!("{name}.jsonl")), sent_path, sent })
    }

    /// The next entries that the server does not have, at most `limit`, each with the position after it. A line that is no
    /// entry is passed over with the next one that is.
    pub fn pending(&self, limit: usize) -> Result<Vec<(u64, Entry)>> {
        let mut found = Vec::new();
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(Error::file("read", &self.path)(error)),
        };
        let fail = |error| Error::file("read", &self.path)(error);
        file.seek(SeekFrom::Start(self.sent)).map_err(fail)?;
        let mut size = PIECE;
        loop {
            let mut bytes = Vec::new();
            Read::by_ref(&mut file).take(size).read_to_end(&mut bytes).map_err(fail)?;
            let mut at = self.sent;
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                if found.len() == limit || line.last() != Some(&b'\n') {
                    break;
                }
                at += line.len() as u64;
                if let Ok(entry) = serde_json::from_slice(line) {
                    found.push((at, entry));
                }
            }
            if !found.is_empty() || (bytes.len() as u64) < size {
                return Ok(found);
            }
            // A line longer than a piece.
            size *= 4;
            file.seek(SeekFrom::Start(self.sent)).map_err(fail)?;
        }
    }

    /// Whether the server has everything.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.pending(1)?.is_empty())
    }

    /// Notes that the server has everything up to a position. Of fixed width, so that a kill leaves the old or the new one.
    pub fn advance(&mut self, to: u64) -> Result<()> {
        let write = || {
            let mut file = File::options().create(true).truncate(false).write(true).open(&self.sent_path)?;
            file.write_all(format!("{to:020}\n").as_bytes())
        };
        write().map_err(Error::file("write", &self.sent_path))?;
        self.sent = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn post(number: u64) -> Entry {
        Entry::Post { post: "/runs/log-metric".to_owned(), body: json!({ "value": number }) }
    }

    #[test]
    fn what_was_appended_is_read_until_it_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), "a").unwrap();
        let mut reader = Reader::open(dir.path(), "a").unwrap();
        assert!(reader.is_empty().unwrap());
        for number in 0..3 {
            writer.append(&post(number)).unwrap();
        }
        let pending = reader.pending(2).unwrap();
        assert_eq!(pending.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>(), [post(0), post(1)]);
        reader.advance(pending[0].0).unwrap();
        let again = Reader::open(dir.path(), "a").unwrap().pending(9).unwrap();
        assert_eq!(again.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>(), [post(1), post(2)]);
    }

    #[test]
    fn half_a_line_was_never_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), "a").unwrap();
        writer.append(&post(0)).unwrap();
        let path = dir.path().join("a.jsonl");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], br#"{"post":"/runs/log-me"#].concat()).unwrap();
        assert_eq!(Reader::open(dir.path(), "a").unwrap().pending(9).unwrap().len(), 1);
        let mut writer = Writer::open(dir.path(), "a").unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
        writer.append(&post(1)).unwrap();
        assert_eq!(Reader::open(dir.path(), "a").unwrap().pending(9).unwrap().len(), 2);
    }

    #[test]
    fn a_line_may_be_longer_than_a_piece() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), "a").unwrap();
        let long = Entry::Post { post: "/x".to_owned(), body: json!("y".repeat(9 << 20)) };
        writer.append(&long).unwrap();
        writer.append(&post(1)).unwrap();
        let pending = Reader::open(dir.path(), "a").unwrap().pending(9).unwrap();
        assert_eq!((pending.len(), pending[0].1 == long), (2, true));
    }
}
