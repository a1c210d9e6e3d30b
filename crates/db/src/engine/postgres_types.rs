//! Values on the wire of PostgreSQL: bound by the type that the statement expects, read by the type of the column.

use std::error::Error as StdError;

use ::postgres::types::private::BytesMut;
use ::postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::Value;
use crate::row::Cell;

type Refusal = Box<dyn StdError + Sync + Send>;

/// A parameter, converted to the type that the statement asks for.
#[derive(Debug)]
pub(crate) struct Param<'a>(pub(crate) &'a Value);

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Refusal> {
        match self.0 {
            value if value.is_null() => Ok(IsNull::Yes),
            Value::I64(Some(value)) => match *ty {
                Type::INT8 => value.to_sql(ty, out),
                Type::INT4 => i32::try_from(*value)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*value)?.to_sql(ty, out),
                Type::FLOAT8 => (*value as f64).to_sql(ty, out),
                Type::FLOAT4 => (*value as f32).to_sql(ty, out),
                Type::NUMERIC => {
                    write_numeric(*value, out);
                    Ok(IsNull::No)
                }
                _ => Err(mismatch("an integer", ty)),
            },
            Value::F64(Some(value)) => match *ty {
                Type::FLOAT8 => value.to_sql(ty, out),
                Type::FLOAT4 => (*value as f32).to_sql(ty, out),
                _ => Err(mismatch("a float", ty)),
            },
            Value::Bool(Some(value)) if *ty == Type::BOOL => value.to_sql(ty, out),
            Value::Bool(_) => Err(mismatch("a boolean", ty)),
            Value::Text(Some(value)) if <&str as ToSql>::accepts(ty) => value.as_str().to_sql(ty, out),
            Value::Text(_) => Err(mismatch("text", ty)),
            Value::Bytes(Some(value)) if *ty == Type::BYTEA => value.as_slice().to_sql(ty, out),
            Value::Bytes(_) => Err(mismatch("bytes", ty)),
            Value::I64(None) | Value::F64(None) => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn mismatch(given: &str, ty: &Type) -> Refusal {
    format!("{given} was bound where the statement expects {ty}").into()
}

/// The value of a column.
pub(crate) fn cell(row: &::postgres::Row, index: usize) -> Result<Cell, ::postgres::Error> {
    Ok(row.try_get::<_, Option<Cell>>(index)?.unwrap_or(Cell::Null))
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Refusal> {
        Ok(match *ty {
            Type::INT8 => Self::I64(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::I64(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Self::I64(i16::from_sql(ty, raw)?.into()),
            Type::OID => Self::I64(u32::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => Self::F64(f64::from_sql(ty, raw)?),
            Type::FLOAT4 => Self::F64(f32::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Bool(bool::from_sql(ty, raw)?),
            Type::BYTEA => Self::Bytes(raw.to_vec()),
            Type::NUMERIC => read_numeric(raw)?,
            Type::VOID => Self::Null,
            _ if <String as FromSql<'_>>::accepts(ty) => Self::Text(String::from_sql(ty, raw)?),
            _ => return Err(format!("the type {ty} is outside the portable subset").into()),
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Sums of integers come as NUMERIC: a header of four 16-bit words (number of digits, weight, sign, scale), then digits to the
/// base 10,000, the most significant first (`numeric_send` in PostgreSQL's `numeric.c`).
fn read_numeric(raw: &[u8]) -> Result<Cell, Refusal> {
    let words: Vec<u16> = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let [count, weight, sign, scale, digits @ ..] = words.as_slice() else {
        return Err("a NUMERIC is too short".into());
    };
    let negative = match sign {
        0x0000 => "",
        0x4000 => "-",
        0xC000 => return Ok(Cell::F64(f64::NAN)),
        0xD000 => return Ok(Cell::F64(f64::INFINITY)),
        0xF000 => return Ok(Cell::F64(f64::NEG_INFINITY)),
        _ => return Err("a NUMERIC has an unknown sign".into()),
    };
    let exponent = 4 * (i32::from(*weight as i16) + 1 - i32::from(*count));
    let mut text = format!("{negative}0");
    text.extend(digits.iter().map(|digit| format!("{digit:04}")));
    if *scale == 0 && exponent >= 0 {
        let whole = format!("{text}{}", "0".repeat(exponent as usize));
        if let Ok(value) = whole.parse() {
            return Ok(Cell::I64(value));
        }
    }
    Ok(Cell::F64(format!("{text}e{exponent}").parse()?))
}

fn write_numeric(value: i64, out: &mut BytesMut) {
    let mut digits = Vec::new();
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        digits.push((rest % 10_000) as u16);
        rest /= 10_000;
    }
    let count = digits.len() as u16;
    let sign = if value < 0 { 0x4000 } else { 0 };
    for word in [count, count.saturating_sub(1), sign, 0].into_iter().chain(digits.into_iter().rev()) {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numerics_survive_the_wire() {
        for value in [0, 1, -1, 9_999, 10_000, 123_456_789_012_345, i64::MAX, -i64::MAX] {
            let mut out = BytesMut::new();
            write_numeric(value, &mut out);
            assert_eq!(read_numeric(&out).unwrap(), Cell::I64(value), "{value}");
        }
    }

    #[test]
    fn broken_numerics_become_floats() {
        // 12.5: digits 12 and 5000, weight 0, scale 1
        let raw: Vec<u8> = [2_u16, 0, 0, 1, 12, 5000].into_iter().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read_numeric(&raw).unwrap(), Cell::F64(12.5));
    }
}
