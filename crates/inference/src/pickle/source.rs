//! The bytes of a pickle, taken from the front. Every length is checked against what is left before anything is made of it.

use crate::LoadError;

pub(super) struct Source<'a> {
    file: &'a str,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a str, bytes: &'a [u8]) -> Self {
        Self { file, bytes, position: 0 }
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> LoadError {
        LoadError::damaged(self.file, format!("{} (at byte {})", what.into(), self.position))
    }

    pub(super) fn limit(&self, what: &str) -> LoadError {
        LoadError::limit(self.file, format!("{what} (at byte {})", self.position))
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], LoadError> {
        let end = self.position.checked_add(length).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            let left = self.bytes.len() - self.position;
            return Err(self.damaged(format!("truncated: {length} bytes wanted, {left} are left")));
        };
        let taken = &self.bytes[self.position..end];
        self.position = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, LoadError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.damaged("truncated"))
    }

    pub(super) fn length32(&mut self) -> Result<usize, LoadError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    pub(super) fn length64(&mut self) -> Result<usize, LoadError> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| self.damaged("truncated"))
    }

    /// The bytes up to the next line feed, which is dropped.
    pub(super) fn raw_line(&mut self) -> Result<&'a [u8], LoadError> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| self.damaged("truncated"))?;
        Ok(&self.take(length + 1)?[..length])
    }

    /// The same as text.
    pub(super) fn line(&mut self) -> Result<&'a str, LoadError> {
        std::str::from_utf8(self.raw_line()?).map_err(|_| self.damaged("a line is not UTF-8"))
    }
}

/// The text of a quoted Python 2 string; only the escapes that occur in names are undone.
pub(super) fn unquote(line: &str) -> String {
    let inner = line.trim().trim_matches(|quote| quote == '\'' || quote == '"');
    inner.replace("\\n", "\n").replace("\\'", "'").replace("\\\\", "\\")
}

/// Undoes Python's raw-unicode-escape: Latin-1 with `\uXXXX` and `\UXXXXXXXX`; protocol 0 writes bytes as such texts.
pub(super) fn raw_unicode_escape(line: &[u8]) -> String {
    let line: String = line.iter().map(|byte| char::from(*byte)).collect();
    let line = line.as_str();
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let digits = match escape.as_bytes().first() {
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => 0,
        };
        let code = (digits > 0).then(|| escape.get(1..=digits)).flatten();
        if let Some(character) = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32) {
            text.push(character);
            rest = &escape[1 + digits..];
        } else {
            text.push('\\');
            rest = escape;
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(raw_unicode_escape(b"a\\u000ab\\\\c\\U0001f600"), "a\nb\\\\c\u{1f600}");
        assert_eq!(raw_unicode_escape(b"end\xe9\\u00"), "end\u{e9}\\u00");
        assert_eq!(unquote("'it\\'s'"), "it's");
    }
}
