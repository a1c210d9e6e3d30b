//! Frames: `[length u32][crc32 u32][payload]`, little-endian, the checksum over the length and the payload.
//!
//! Knows nothing of what a payload means. Used by the write-ahead segments, the manifest and the id lists.

/// Bytes in front of a payload.
pub(crate) const HEADER: usize = 8;
/// The largest payload.
pub(crate) const MAX_PAYLOAD: usize = 256 << 20;

/// Starts a frame at the end of `buffer`; give the result to [`end`].
pub(crate) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEADER]);
    start
}

/// Completes the frame that [`begin`] started.
pub(crate) fn end(buffer: &mut [u8], start: usize) {
    let length = ((buffer.len() - start - HEADER) as u32).to_le_bytes();
    let crc = checksum(length, &buffer[start + HEADER..]).to_le_bytes();
    buffer[start..start + 4].copy_from_slice(&length);
    buffer[start + 4..start + HEADER].copy_from_slice(&crc);
}

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A whole frame, and the offset behind it.
    Frame(&'a [u8], usize),
    /// The end.
    End,
    /// The rest is the beginning of a frame that was never finished (or zeros that a file system left).
    Torn,
    /// Something that was once written whole and is not what it was.
    Corrupt,
}

/// The frame at an offset.
pub(crate) fn next(bytes: &[u8], at: usize) -> Next<'_> {
    let rest = &bytes[at.min(bytes.len())..];
    if rest.is_empty() {
        return Next::End;
    }
    if let Some(payload) = whole(rest) {
        return Next::Frame(payload, at + HEADER + payload.len());
    }
    let unfinished = length(rest).is_none_or(|length| length <= MAX_PAYLOAD && rest.len() < HEADER + length);
    let zeros = rest.iter().all(|&byte| byte == 0);
    let more = (1..rest.len()).any(|skip| whole(&rest[skip..]).is_some());
    if (unfinished || zeros) && !more { Next::Torn } else { Next::Corrupt }
}

fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let length = length(bytes).filter(|&length| (1..=MAX_PAYLOAD).contains(&length))?;
    let payload = bytes.get(HEADER..HEADER + length)?;
    let crc = u32::from_le_bytes(bytes.get(4..HEADER)?.try_into().ok()?);
    (checksum((length as u32).to_le_bytes(), payload) == crc).then_some(payload)
}

fn length(bytes: &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize)
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length);
    crc.update(payload);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for payload in payloads {
            let start = begin(&mut bytes);
            bytes.extend_from_slice(payload);
            end(&mut bytes, start);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Next<'_>) {
        let (mut payloads, mut at) = (Vec::new(), 0);
        loop {
            match next(bytes, at) {
                Next::Frame(payload, after) => (payloads.push(payload.to_vec()), at = after).0,
                other => return (payloads, other),
            }
        }
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..60), 1..8)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(payloads in payloads()) {
            let (bytes, _) = write(&payloads);
            prop_assert_eq!(read(&bytes), (payloads, Next::End));
        }

        #[test]
        fn a_cut_at_any_byte_keeps_every_frame_before_it(payloads in payloads(), cut in any::<prop::sample::Index>()) {
            let (bytes, ends) = write(&payloads);
            let cut = cut.index(bytes.len());
            let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
            let expect = if ends.contains(&cut) { Next::End } else { Next::Torn };
            prop_assert_eq!(read(&bytes[..cut]), (payloads[..whole].to_vec(), expect));
        }

        #[test]
        fn a_flipped_bit_is_never_read_and_never_taken_for_a_torn_tail_when_frames_follow(
            payloads in payloads(), at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let (mut bytes, ends) = write(&payloads);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let hit = ends.iter().filter(|&&end| end <= at).count() - 1;
            let (got, last) = read(&bytes);
            prop_assert_eq!(&got[..], &payloads[..hit]);
            if hit + 1 < payloads.len() {
                prop_assert_eq!(last, Next::Corrupt);
            } else {
                prop_assert!(matches!(last, Next::Corrupt | Next::Torn));
            }
        }
    }

    #[test]
    fn zeros_behind_the_last_frame_are_a_torn_tail() {
        let (mut bytes, _) = write(&[vec![1, 2, 3]]);
        bytes.extend_from_slice(&[0; 4096]);
        assert_eq!(read(&bytes), (vec![vec![1, 2, 3]], Next::Torn));
    }
}
