//! Content digests: BLAKE3, written as 64 lower-case hexadecimal digits.

/// The digest of some bytes.
pub fn of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
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
