//! Universal Binary JSON, as XGBoost writes it: big-endian numbers, typed arrays with a count. Counts are checked against the bytes
//! that are left, so a short file cannot stand for a large value.

use std::borrow::Cow;

use crate::json::Json;

/// Models nest six deep.
const MAX_DEPTH: usize = 32;

/// Reads one value, which must be all there is. The error says what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<Json<'_>, String> {
    let mut source = Source { bytes, at: 0 };
    let kind = source.byte()?;
    let value = source.value(kind, 0)?;
    if source.at != bytes.len() {
        return Err(format!("{} bytes follow the end", bytes.len() - source.at));
    }
    Ok(value)
}

struct Source<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// What stands after the opening bracket of a container.
struct Opening {
    kind: Option<u8>,
    count: Option<usize>,
}

impl<'b> Source<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("truncated at byte {}", self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "truncated".to_owned())
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn int(&mut self, kind: u8) -> Result<i64, String> {
        Ok(match kind {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(self.byte()?),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            other => return Err(format!("byte {} is 0x{other:02x} where an integer should begin", self.at)),
        })
    }

    fn count(&mut self) -> Result<usize, String> {
        let kind = self.byte()?;
        let count = self.int(kind)?;
        usize::try_from(count).map_err(|_| format!("a count of {count}"))
    }

    fn text(&mut self) -> Result<Cow<'b, str>, String> {
        let count = self.count()?;
        let text = std::str::from_utf8(self.take(count)?);
        text.map(Cow::Borrowed).map_err(|_| format!("the text before byte {} is not UTF-8", self.at))
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<Json<'b>, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        Ok(match kind {
            b'Z' => Json::Null,
            b'T' => Json::Bool(true),
            b'F' => Json::Bool(false),
            b'd' => Json::Float(f64::from(f32::from_be_bytes(self.array()?))),
            b'D' => Json::Float(f64::from_be_bytes(self.array()?)),
            b'S' => Json::Text(self.text()?),
            b'[' => self.list(depth)?,
            b'{' => self.map(depth)?,
            other => Json::Int(self.int(other)?),
        })
    }

    fn opening(&mut self) -> Result<Opening, String> {
        let mut opening = Opening { kind: None, count: None };
        if self.peek() == Some(b'$') {
            self.at += 1;
            opening.kind = Some(self.byte()?);
        }
        if self.peek() == Some(b'#') {
            self.at += 1;
            opening.count = Some(self.count()?);
        } else if opening.kind.is_some() {
            return Err(format!("a type without a count at byte {}", self.at));
        }
        Ok(opening)
    }

    fn list(&mut self, depth: usize) -> Result<Json<'b>, String> {
        let Opening { kind, count } = self.opening()?;
        if let (Some(kind), Some(count)) = (kind, count) {
            return self.numbers(kind, count);
        }
        let mut members = Vec::new();
        while count.map_or(self.peek() != Some(b']'), |count| members.len() < count) {
            let kind = self.byte()?;
            members.push(self.value(kind, depth + 1)?);
        }
        if count.is_none() {
            self.at += 1;
        }
        Ok(Json::List(members))
    }

    fn numbers(&mut self, kind: u8, count: usize) -> Result<Json<'b>, String> {
        let size = match kind {
            b'i' | b'U' => 1,
            b'I' => 2,
            b'l' | b'd' => 4,
            b'L' | b'D' => 8,
            other => return Err(format!("an array of type 0x{other:02x}")),
        };
        let bytes = self.take(count.checked_mul(size).ok_or("a count beyond memory")?)?;
        let mut inner = Source { bytes, at: 0 };
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            numbers.push(match kind {
                b'd' => f64::from(f32::from_be_bytes(inner.array()?)),
                b'D' => f64::from_be_bytes(inner.array()?),
                kind => inner.int(kind)? as f64,
            });
        }
        Ok(Json::Numbers(numbers))
    }

    fn map(&mut self, depth: usize) -> Result<Json<'b>, String> {
        let Opening { kind, count } = self.opening()?;
        if kind.is_some() {
            return Err("an object of one type".to_owned());
        }
        let mut pairs = Vec::new();
        while count.map_or(self.peek() != Some(b'}'), |count| pairs.len() < count) {
            let key = self.text()?;
            let kind = self.byte()?;
            pairs.push((key, self.value(kind, depth + 1)?));
        }
        if count.is_none() {
            self.at += 1;
        }
        Ok(Json::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read() {
        let bytes = b"{i\x01a[$d#i\x02\x3f\x80\x00\x00\xbf\x80\x00\x00i\x01b[#U\x02i\xfeTi\x01c[SI\x00\x02hi]i\x01d{}}";
        let Json::Map(pairs) = read(bytes).unwrap() else { unreachable!() };
        assert_eq!(pairs[0].1.numbers().unwrap(), [1.0, -1.0]);
        assert!(matches!(&pairs[1].1, Json::List(list) if matches!(list[..], [Json::Int(-2), Json::Bool(true)])));
        assert!(matches!(&pairs[2].1, Json::List(list) if matches!(&list[..], [Json::Text(text)] if text == "hi")));
        assert!(matches!(&pairs[3].1, Json::Map(pairs) if pairs.is_empty()));
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn absurd_counts_and_depths_are_refused() {
        let huge = b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff";
        assert!(read(huge).unwrap_err().contains("beyond memory"));
        assert!(read(b"[$d#l\x7f\xff\xff\xff").unwrap_err().contains("truncated"));
        assert!(read(b"[$Z#l\x7f\xff\xff\xff").unwrap_err().contains("type 0x5a"));
        assert!(read(b"[#l\x7f\xff\xff\xff").unwrap_err().contains("truncated"));
        assert!(read(b"[$d#i\xff").unwrap_err().contains("count of -1"));
        assert!(read(&b"[".repeat(1_000_000)).unwrap_err().contains("deep"));
        assert!(read(b"i\x01i").unwrap_err().contains("follow"));
    }
}
