//! Which format a model file is in, and the compressions that joblib writes around a pickle.

use std::borrow::Cow;
use std::io::Read;

use crate::LoadError;

/// Uncompressed models may be this many times larger than their file; real ones reach about ten.
const RATIO: usize = 100;
const FLOOR: usize = 4 << 20;

/// How a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Zip,
    Plain,
    Zlib,
    Gzip,
    /// A compression of joblib that we do not unpack.
    Foreign(&'static str),
}

/// Looks at the first bytes.
pub(crate) fn sniff(bytes: &[u8]) -> Shape {
    match bytes {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Shape::Zip,
        [0x78, second, ..] if u16::from_be_bytes([0x78, *second]).is_multiple_of(31) => Shape::Zlib,
        [0x1f, 0x8b, ..] => Shape::Gzip,
        [b'B', b'Z', b'h', ..] => Shape::Foreign("bz2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Shape::Foreign("xz"),
        [0x5d, 0, 0, ..] => Shape::Foreign("lzma"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Shape::Foreign("lz4"),
        [b'Z', b'F', ..] => Shape::Foreign("joblib 0.9 or older"),
        _ => Shape::Plain,
    }
}

/// What may be unpacked from a file of this length.
pub(crate) fn budget(packed: usize) -> usize {
    packed.saturating_mul(RATIO).saturating_add(FLOOR)
}

/// The pickle inside, uncompressed.
pub(crate) fn unpack<'a>(file: &str, bytes: &'a [u8], shape: Shape) -> Result<Cow<'a, [u8]>, LoadError> {
    match shape {
        Shape::Plain | Shape::Zip => Ok(Cow::Borrowed(bytes)),
        Shape::Zlib => read_bounded(file, flate2::read::ZlibDecoder::new(bytes), bytes.len()),
        Shape::Gzip => read_bounded(file, flate2::read::MultiGzDecoder::new(bytes), bytes.len()),
        Shape::Foreign(name) => Err(LoadError::unsupported(
            "joblib",
            file,
            format!("compression {name} (use compress=('zlib', 3), or none)"),
        )),
    }
}

fn read_bounded(file: &str, decoder: impl Read, packed: usize) -> Result<Cow<'static, [u8]>, LoadError> {
    let limit = budget(packed);
    let mut contents = Vec::new();
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut contents)
        .map_err(|error| LoadError::damaged(file, format!("truncated or corrupt compression: {error}")))?;
    if contents.len() > limit {
        return Err(LoadError::limit(file, format!("it unpacks to more than {RATIO} times its size")));
    }
    Ok(Cow::Owned(contents))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        assert_eq!(sniff(b"PK\x03\x04"), Shape::Zip);
        assert_eq!(sniff(&[0x78, 0x9c, 0]), Shape::Zlib);
        assert_eq!(sniff(&[0x80, 5]), Shape::Plain);
        assert_eq!(sniff(b""), Shape::Plain);
        assert_eq!(sniff(b"BZh9"), Shape::Foreign("bz2"));
    }
}
