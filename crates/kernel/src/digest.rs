//! Content digests: BLAKE3, written as 64 lower-case hexadecimal digits.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The digest of some bytes.
pub fn of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The digest of bytes that come one after the other, as [`of`] has it of all at once.
#[derive(Debug, Default)]
pub struct Stream(blake3::Hasher);

impl Stream {
    /// Adds what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of what came.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// A digest built piece by piece. Pieces are length-prefixed, so `("ab", "c")` and `("a", "bc")` differ.
#[derive(Debug, Default)]
pub struct Builder(blake3::Hasher);

impl Builder {
    /// Adds one piece.
    pub fn piece(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The digest of the pieces so far.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// The digest of a file is that of its bytes; that of a folder covers the names and contents below it. Links to files count
/// as the files; links to folders count as the text of the link, so that there are no circles. Blocking.
pub fn of_path(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_dir() {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        return Ok(hasher.finalize().to_hex().to_string());
    }
    let mut names: Vec<_> = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    let mut folder = Builder::default();
    folder.piece(b"folder");
    for entry in names {
        let inner = entry.path();
        folder.piece(entry.file_name().as_encoded_bytes());
        if entry.file_type()?.is_symlink() && !fs::metadata(&inner).is_ok_and(|meta| meta.is_file()) {
            folder.piece(fs::read_link(&inner)?.as_os_str().as_encoded_bytes());
        } else {
            folder.piece(of_path(&inner)?.as_bytes());
        }
    }
    Ok(folder.finish())
}
