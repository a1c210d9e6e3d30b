//! A zip archive in memory: the central directory, stored and deflated entries. Stored entries are borrowed, not copied.
//!
//! Stricter than the format allows, because two readers of one file must not see two models: a name that occurs twice, a name with a
//! path in it, an entry outside the file or one whose checksum is wrong is refused.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

use crate::LoadError;

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
/// The comment at the end may be this long.
const MAX_COMMENT: usize = 65_535;

/// An opened archive.
pub(crate) struct Archive<'a> {
    file: &'a str,
    bytes: &'a [u8],
    entries: HashMap<&'a str, Entry>,
    /// Bytes that may still be inflated.
    budget: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    method: u16,
    crc: u32,
    packed: usize,
    size: usize,
    offset: usize,
}

impl<'a> Archive<'a> {
    /// Reads the directory. `budget` bounds all that is ever inflated from it.
    pub(crate) fn open(file: &'a str, bytes: &'a [u8], budget: usize) -> Result<Self, LoadError> {
        let mut archive = Self { file, bytes, entries: HashMap::new(), budget };
        let end = archive.end()?;
        let count = usize::from(archive.u16(end + 10)?);
        let mut at = archive.u32(end + 16)? as usize;
        for _ in 0..count {
            at = archive.directory_entry(at)?;
        }
        Ok(archive)
    }

    /// The contents of an entry, its checksum verified.
    pub(crate) fn read(&mut self, name: &str) -> Result<Cow<'a, [u8]>, LoadError> {
        let entry = *self.entries.get(name).ok_or_else(|| self.damaged(format!("there is no entry {name}")))?;
        let packed = self.packed(entry)?;
        let contents = match entry.method {
            0 if entry.packed == entry.size => Cow::Borrowed(packed),
            8 => {
                let left = self.budget.checked_sub(entry.size);
                self.budget = left.ok_or_else(|| {
                    LoadError::limit(self.file, format!("entry {name} unpacks to more than is granted"))
                })?;
                Cow::Owned(inflate(packed, entry.size).ok_or_else(|| self.damaged(format!("entry {name}")))?)
            }
            _ => return Err(self.damaged(format!("entry {name} is packed in a way that is not known"))),
        };
        let mut crc = flate2::Crc::new();
        crc.update(&contents);
        if crc.sum() != entry.crc {
            return Err(self.damaged(format!("entry {name} has a wrong checksum")));
        }
        Ok(contents)
    }

    fn damaged(&self, what: impl Into<String>) -> LoadError {
        LoadError::damaged(self.file, what)
    }

    fn slice(&self, at: usize, length: usize) -> Result<&'a [u8], LoadError> {
        let end = at.checked_add(length);
        end.and_then(|end| self.bytes.get(at..end)).ok_or_else(|| self.damaged("the zip archive is truncated"))
    }

    fn u16(&self, at: usize) -> Result<u16, LoadError> {
        let two = self.slice(at, 2)?;
        Ok(u16::from_le_bytes([two[0], two[1]]))
    }

    fn u32(&self, at: usize) -> Result<u32, LoadError> {
        let four = self.slice(at, 4)?;
        Ok(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
    }

    /// The end record, searched from the back because a comment may follow it.
    fn end(&self) -> Result<usize, LoadError> {
        let last =
            self.bytes.len().checked_sub(END_LENGTH).ok_or_else(|| self.damaged("the zip archive is truncated"))?;
        let first = last.saturating_sub(MAX_COMMENT);
        (first..=last)
            .rev()
            .find(|at| self.bytes[*at..].starts_with(END))
            .ok_or_else(|| self.damaged("the zip archive is truncated: no directory"))
    }

    fn directory_entry(&mut self, at: usize) -> Result<usize, LoadError> {
        if self.slice(at, 4)? != b"PK\x01\x02" {
            return Err(self.damaged("the directory of the zip archive is malformed"));
        }
        let name_length = usize::from(self.u16(at + 28)?);
        let name = self.slice(at + 46, name_length)?;
        let name = std::str::from_utf8(name).ok().filter(|name| plain(name));
        let name = name.ok_or_else(|| self.damaged("an entry's name is not a plain file name"))?;
        let entry = Entry {
            method: self.u16(at + 10)?,
            crc: self.u32(at + 16)?,
            packed: self.u32(at + 20)? as usize,
            size: self.u32(at + 24)? as usize,
            offset: self.u32(at + 42)? as usize,
        };
        if entry.size == u32::MAX as usize || entry.offset == u32::MAX as usize {
            return Err(LoadError::limit(self.file, "zip archives beyond 4 GiB are not read"));
        }
        if self.u16(at + 8)? & 1 != 0 {
            return Err(self.damaged(format!("entry {name} is encrypted")));
        }
        if self.entries.insert(name, entry).is_some() {
            return Err(self.damaged(format!("entry {name} is there twice")));
        }
        Ok(at + 46 + name_length + usize::from(self.u16(at + 30)?) + usize::from(self.u16(at + 32)?))
    }

    fn packed(&self, entry: Entry) -> Result<&'a [u8], LoadError> {
        if self.slice(entry.offset, 4)? != b"PK\x03\x04" {
            return Err(self.damaged("an entry of the zip archive is not where the directory says"));
        }
        let names = usize::from(self.u16(entry.offset + 26)?) + usize::from(self.u16(entry.offset + 28)?);
        self.slice(entry.offset + 30 + names, entry.packed)
    }
}

/// Letters, digits, `.`, `_`, `-`, and not only dots.
fn plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.bytes().all(allowed) && name.bytes().any(|byte| byte != b'.')
}

/// Inflates to exactly `size` bytes. Memory grows with what really comes out, not with what the header announces.
fn inflate(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut contents = Vec::new();
    let mut decoder = flate2::read::DeflateDecoder::new(packed).take(size as u64 + 1);
    decoder.read_to_end(&mut contents).ok()?;
    (contents.len() == size).then_some(contents)
}
