//! The framing of a `.wandb` file: LevelDB's log format (blocks of 32 KiB, records in pieces), with a header of its own and CRC-32.

use std::path::Path;

use crate::error::at;
use crate::{Error, Result};

const HEADER: [u8; 7] = *b":W&B\xe1\xbe\x00";
const BLOCK: usize = 32 << 10;
const PIECE: usize = 7;

/// Calls `take` with each whole record. A log that breaks off ends there; true if a checksum did not fit.
pub(super) fn records(path: &Path, mut take: impl FnMut(&[u8])) -> Result<bool> {
    let bytes = std::fs::read(path).map_err(at(path))?;
    if bytes.is_empty() {
        return Ok(false);
    }
    if !bytes.starts_with(&HEADER) {
        return Err(Error::NotOne { path: path.to_owned(), what: "log of Weights & Biases of a known version" });
    }
    let mut whole = Vec::new();
    let mut position = HEADER.len();
    loop {
        // What is too short for a piece at the end of a block is filled up with zeros.
        let left = BLOCK - position % BLOCK;
        if left < PIECE {
            position += left;
        }
        let Some(head) = bytes.get(position..position + PIECE) else { return Ok(false) };
        let (sum, rest) = head.split_at(4);
        let length =
            usize::from(u16::from_le_bytes([rest.first().copied().unwrap_or(0), rest.get(1).copied().unwrap_or(0)]));
        let kind = rest.get(2).copied().unwrap_or(0);
        if kind == 0 && length == 0 {
            position += left;
            continue;
        }
        let Some(data) = bytes.get(position + PIECE..position + PIECE + length) else { return Ok(false) };
        let mut crc = crc32fast::Hasher::new();
        crc.update(&[kind]);
        crc.update(data);
        if crc.finalize().to_le_bytes() != *sum {
            return Ok(true);
        }
        position += PIECE + length;
        // 1 is whole; 2, 3 and 4 are the first, a middle and the last piece.
        if matches!(kind, 1 | 2) {
            whole.clear();
        }
        whole.extend_from_slice(data);
        if matches!(kind, 1 | 4) {
            take(&whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(kind: u8, data: &[u8]) -> Vec<u8> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&[kind]);
        crc.update(data);
        let length = u16::try_from(data.len()).unwrap().to_le_bytes();
        [&crc.finalize().to_le_bytes()[..], &length, &[kind], data].concat()
    }

    #[test]
    fn records_are_put_together_and_a_broken_end_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.wandb");
        let check = |bytes: &[u8], expect: &[&[u8]], damaged: bool| {
            std::fs::write(&path, bytes).unwrap();
            let mut found = Vec::new();
            assert_eq!(records(&path, |record| found.push(record.to_vec())).unwrap(), damaged);
            assert_eq!(found, expect);
        };
        let whole = [&HEADER[..], &piece(1, b"one"), &piece(2, b"t"), &piece(3, b"w"), &piece(4, b"o")].concat();
        check(&whole, &[b"one", b"two"], false);
        for length in 17..whole.len() {
            check(&whole[..length], &[b"one"], false);
        }
        let mut wrong = whole.clone();
        wrong[15] ^= 1;
        check(&wrong, &[], true);
        let long = vec![7; BLOCK - HEADER.len() - 2 * PIECE + 3];
        let filled = [&HEADER[..], &piece(1, &long), &[0; 4], &piece(1, b"next")].concat();
        check(&filled, &[&long, b"next"], false);
        std::fs::write(&path, b"something else").unwrap();
        assert!(records(&path, |_| ()).is_err());
    }
}
