//! Points of one series as bytes: a version, then for each point the distance of its timestamp and of its step from the point
//! before (zigzag, base 128), then its value as eight bytes, the least significant first; NaN is the NaN of eight bytes.
//!
//! Points that were logged together are mostly evenly spaced, so one of them takes 10 to 12 bytes.

use super::points::Point;

const VERSION: u8 = 1;

/// The bytes of some points, in their order.
pub(super) fn encode(points: &[Point]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + points.len() * 12);
    out.push(VERSION);
    let (mut timestamp, mut step) = (0, 0);
    for point in points {
        put_number(&mut out, point.timestamp_ms.wrapping_sub(timestamp));
        put_number(&mut out, point.step.wrapping_sub(step));
        out.extend_from_slice(&point.value().to_le_bytes());
        (timestamp, step) = (point.timestamp_ms, point.step);
    }
    out
}

/// The points of some bytes, added to `points`; `None` if these are not the bytes of points.
pub(super) fn decode(bytes: &[u8], points: &mut Vec<Point>) -> Option<()> {
    let (version, mut rest) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (mut timestamp, mut step) = (0_i64, 0_i64);
    while !rest.is_empty() {
        timestamp = timestamp.wrapping_add(take_number(&mut rest)?);
        step = step.wrapping_add(take_number(&mut rest)?);
        let (value, behind) = rest.split_first_chunk::<8>()?;
        rest = behind;
        points.push(Point::new(timestamp, step, f64::from_le_bytes(*value)));
    }
    Some(())
}

pub(super) fn put_number(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(super) fn take_number(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_survive() {
        let points: Vec<Point> = [
            (0, 0, 0.0),
            (i64::MAX, i64::MIN, f64::MAX),
            (1_700_000_000_000, i64::MAX, f64::MIN_POSITIVE),
            (1_700_000_000_001, -1, f64::NAN),
            (5, 7, -0.1),
        ]
        .into_iter()
        .map(|(timestamp, step, value)| Point::new(timestamp, step, value))
        .collect();
        let mut back = Vec::new();
        assert_eq!(decode(&encode(&points), &mut back), Some(()));
        assert_eq!(back, points);
    }

    #[test]
    fn evenly_spaced_points_are_small() {
        let points: Vec<Point> = (0..1_000).map(|step| Point::new(1_700_000_000_000 + 10 * step, step, 0.5)).collect();
        assert!(encode(&points).len() < 10_020);
    }

    #[test]
    fn broken_bytes_are_refused() {
        let whole = encode(&[Point::new(1_700_000_000_000, 300, 0.5)]);
        for end in [0, 2, 5, whole.len() - 1] {
            assert_eq!(decode(&whole[..end], &mut Vec::new()), None, "{end}");
        }
        assert_eq!(decode(&[2, 0], &mut Vec::new()), None, "another version");
        assert_eq!(
            decode(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &mut Vec::new()),
            None
        );
    }
}
