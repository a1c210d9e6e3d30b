//! Protobuf messages as they are on the wire, field by field: what the logs of other tools are made of. Unknown fields are passed
//! over, a message that breaks off is an error.

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    /// An integer, a boolean or an enum.
    Integer(u64),
    /// Eight bytes: a double.
    Double(f64),
    /// A text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes: a float.
    Float(f32),
}

impl<'a> Field<'a> {
    /// Its bytes; none if it is a number.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// Its text.
    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// Its number; 0 if it is none.
    pub(crate) fn number(self) -> f64 {
        match self {
            Self::Integer(value) => value as i64 as f64,
            Self::Double(value) => value,
            Self::Float(value) => f64::from(value),
            Self::Bytes(_) => 0.0,
        }
    }

    /// Its whole number; 0 if it is none.
    pub(crate) fn integer(self) -> i64 {
        match self {
            Self::Integer(value) => value as i64,
            _ => 0,
        }
    }
}

/// The fields of a message with their numbers, in order.
pub(crate) fn fields(message: &[u8]) -> Result<Vec<(u64, Field<'_>)>, String> {
    let mut rest = message;
    let mut found = Vec::new();
    while !rest.is_empty() {
        found.push(field(&mut rest).ok_or_else(|| "a message breaks off".to_owned())?);
    }
    Ok(found)
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Field::Integer(varint(rest)?),
        1 => Field::Double(f64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Field::Bytes(take(rest, length)?)
        }
        5 => Field::Float(f32::from_le_bytes(take(rest, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((key >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// Packed doubles.
pub(crate) fn doubles(packed: &[u8]) -> Vec<f64> {
    packed.chunks_exact(8).filter_map(|chunk| Some(f64::from_le_bytes(chunk.try_into().ok()?))).collect()
}

/// Packed varints.
pub(crate) fn integers(mut packed: &[u8]) -> Vec<i64> {
    let mut found = Vec::new();
    while let Some(value) = varint(&mut packed) {
        found.push(value as i64);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_off_is_an_error() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f];
        let expect = vec![(1, Field::Integer(150)), (2, Field::Bytes(b"hi")), (3, Field::Float(1.0))];
        assert_eq!(fields(&message), Ok(expect));
        for length in [1, 2, 4, 5, 6, 8, 11] {
            assert!(fields(&message[..length]).is_err(), "{length}");
        }
        assert!(fields(&[0xff; 12]).is_err());
        assert!(fields(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }
}
