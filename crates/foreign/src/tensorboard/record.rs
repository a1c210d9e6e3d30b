//! TFRecord framing: length, its checksum, the data, its checksum. A file that breaks off in a record is one that is still being
//! written, or was when its writer died: what is whole counts.

use std::io::{BufReader, Read};
use std::path::Path;

use crate::Result;
use crate::error::at;

/// The records of a file.
#[derive(Debug)]
pub(super) struct Records {
    input: BufReader<std::fs::File>,
    left: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Record(Vec<u8>),
    /// The file ends, or breaks off.
    End,
    /// A checksum does not fit: nothing behind it can be trusted.
    Damaged,
}

impl Records {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(at(path))?;
        let left = file.metadata().map_err(at(path))?.len();
        Ok(Self { input: BufReader::new(file), left })
    }

    pub(super) fn next(&mut self) -> Next {
        let Some(head) = self.take(12) else { return Next::End };
        let (length, sum) = head.split_at(8);
        if checksum(length) != number(sum) {
            return Next::Damaged;
        }
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        let (Some(data), Some(sum)) = (self.take(length), self.take(4)) else { return Next::End };
        if checksum(&data) == number(&sum) { Next::Record(data) } else { Next::Damaged }
    }

    /// So many bytes, if the file has them.
    fn take(&mut self, length: u64) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(length)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.input.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap_or_default())
}

/// CRC-32C, masked as TensorFlow does.
fn checksum(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(!0_u32, |crc, byte| {
        let index = (crc ^ u32::from(*byte)) & 0xff;
        TABLE.get(index as usize).copied().unwrap_or_default() ^ (crc >> 8)
    });
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0_u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32c() {
        // RFC 3720, B.4: 32 bytes of zeros have the CRC 8a9136aa.
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn what_is_whole_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let record = |data: &[u8]| {
            let length = (data.len() as u64).to_le_bytes();
            [&length[..], &checksum(&length).to_le_bytes(), data, &checksum(data).to_le_bytes()].concat()
        };
        let whole = [record(b"one"), record(b"two")].concat();
        let check = |bytes: &[u8], expect: &[Next]| {
            std::fs::write(&path, bytes).unwrap();
            let mut records = Records::open(&path).unwrap();
            for next in expect {
                assert_eq!(records.next(), *next);
            }
        };
        let one = || Next::Record(b"one".to_vec());
        check(&whole, &[one(), Next::Record(b"two".to_vec()), Next::End]);
        for length in 19..whole.len() {
            check(&whole[..length], &[one(), Next::End]);
        }
        let mut wrong = whole.clone();
        wrong[19 + 13] ^= 1;
        check(&wrong, &[one(), Next::Damaged]);
        let endless = u64::MAX.to_le_bytes();
        check(&[&endless[..], &checksum(&endless).to_le_bytes()].concat(), &[Next::End]);
    }
}
