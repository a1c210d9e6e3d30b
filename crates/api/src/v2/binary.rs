//! The `binary_tensor_data` extension: elements as little-endian bytes; texts with their length before them.

use serving::Error;
use serving::decode::Value;

use super::tensor::Datatype;

/// Hands out the elements of a binary tensor. `Err(None)` if the bytes are no whole elements of the type.
pub(super) fn read(
    bytes: &[u8],
    datatype: Datatype,
    mut give: impl FnMut(Value<'_>) -> Result<(), Error>,
) -> Result<(), Option<Error>> {
    let Some(width) = datatype.width() else { return texts(bytes, give) };
    if !bytes.len().is_multiple_of(width) {
        return Err(None);
    }
    bytes.chunks_exact(width).try_for_each(|element| give(value(element, datatype).ok_or(None)?).map_err(Some))
}

fn texts(mut bytes: &[u8], mut give: impl FnMut(Value<'_>) -> Result<(), Error>) -> Result<(), Option<Error>> {
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(None)?;
        give(Value::Text(std::str::from_utf8(text).map_err(|_| None)?))?;
        bytes = rest;
    }
    if bytes.is_empty() { Ok(()) } else { Err(None) }
}

fn value(element: &[u8], datatype: Datatype) -> Option<Value<'static>> {
    Some(match datatype {
        Datatype::Bool => Value::Bool(*element.first()? != 0),
        Datatype::Uint8 => Value::Int(i64::from(*element.first()?)),
        Datatype::Uint16 => Value::Int(i64::from(u16::from_le_bytes(element.try_into().ok()?))),
        Datatype::Uint32 => Value::Int(i64::from(u32::from_le_bytes(element.try_into().ok()?))),
        Datatype::Uint64 => Value::from(u64::from_le_bytes(element.try_into().ok()?)),
        Datatype::Int8 => Value::Int(i64::from(i8::from_le_bytes(element.try_into().ok()?))),
        Datatype::Int16 => Value::Int(i64::from(i16::from_le_bytes(element.try_into().ok()?))),
        Datatype::Int32 => Value::Int(i64::from(i32::from_le_bytes(element.try_into().ok()?))),
        Datatype::Int64 => Value::Int(i64::from_le_bytes(element.try_into().ok()?)),
        Datatype::Fp16 => number(half(u16::from_le_bytes(element.try_into().ok()?))),
        Datatype::Bf16 => {
            let high = u32::from(u16::from_le_bytes(element.try_into().ok()?));
            number(f64::from(f32::from_bits(high << 16)))
        }
        Datatype::Fp32 => number(f64::from(f32::from_le_bytes(element.try_into().ok()?))),
        Datatype::Fp64 => number(f64::from_le_bytes(element.try_into().ok()?)),
        Datatype::Bytes => return None,
    })
}

/// NaN is how a binary tensor says that a value is missing.
fn number(number: f64) -> Value<'static> {
    if number.is_nan() { Value::Null } else { Value::Float(number) }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_read_as_ieee_754_says() {
        let check = |bits: u16, expect: f64| assert_eq!(half(bits), expect, "{bits:#06x}");
        check(0x0000, 0.0);
        check(0x3c00, 1.0);
        check(0xc000, -2.0);
        check(0x7bff, 65504.0);
        check(0x0001, 5.960_464_477_539_063e-8);
        check(0x7c00, f64::INFINITY);
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let mut seen = Vec::new();
        let mut keep = |value: Value<'_>| {
            seen.push(format!("{value:?}"));
            Ok(())
        };
        assert!(read(&[2, 0, 0, 0, b'h', b'i', 0, 0, 0, 0], Datatype::Bytes, &mut keep).is_ok());
        assert!(matches!(read(&[9, 0, 0, 0, b'h'], Datatype::Bytes, &mut keep), Err(None)));
        assert!(matches!(read(&[1, 0, 0, 0, 0xff], Datatype::Bytes, &mut keep), Err(None)));
        assert!(matches!(read(&[1, 0, 0], Datatype::Bytes, &mut keep), Err(None)));
        assert!(matches!(read(&[0; 9], Datatype::Fp64, &mut keep), Err(None)));
        assert_eq!(seen, ["Text(\"hi\")", "Text(\"\")"]);
    }
}
