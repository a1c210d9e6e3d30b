//! numpy arrays as inert data: element type, shape, bytes. Decoding checks every size against the bytes that are there.

use std::borrow::Cow;

use crate::node::Id;

/// numpy's element type.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dtype {
    /// numpy's kind letter: `f i u b U S V O M m`.
    pub(crate) kind: u8,
    /// Bytes of one element.
    pub(crate) size: usize,
    pub(crate) big_endian: bool,
    /// Fields of a structured type.
    pub(crate) fields: Vec<Field>,
}

/// A field of a structured type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) offset: usize,
    pub(crate) dtype: Dtype,
}

/// An array.
#[derive(Clone, Debug)]
pub(crate) struct Array<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) fortran: bool,
    pub(crate) data: Data<'a>,
}

/// The elements: bytes, or nodes for numpy's `object` type.
#[derive(Clone, Debug)]
pub(crate) enum Data<'a> {
    Bytes(Cow<'a, [u8]>),
    Objects(Vec<Id>),
}

/// A number as stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Bool(bool),
    Int(i64),
    Float(f64),
}

impl Number {
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Bool(value) => f64::from(u8::from(value)),
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl Dtype {
    /// From numpy's text: `<f8`, `|b1`, `V64`, `O`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (big_endian, rest) = match text.as_bytes().first()? {
            b'<' | b'|' | b'=' => (false, &text[1..]),
            b'>' => (true, &text[1..]),
            _ => (false, text),
        };
        let kind = *rest.as_bytes().first()?;
        if !b"fiubUSVOMm".contains(&kind) {
            return None;
        }
        // dates carry their unit in brackets: M8[ns]
        let digits = rest[1..].split('[').next()?;
        let count: usize = if digits.is_empty() { usize::from(kind == b'O') * 8 } else { digits.parse().ok()? };
        let size = if kind == b'U' { count.checked_mul(4)? } else { count };
        Some(Self { kind, size, big_endian, fields: Vec::new() })
    }

    fn number(&self, bytes: &[u8]) -> Option<Number> {
        let mut buffer = [0_u8; 8];
        let size = self.size;
        if size == 0 || size > 8 || bytes.len() != size {
            return None;
        }
        buffer[..size].copy_from_slice(bytes);
        if self.big_endian {
            buffer[..size].reverse();
        }
        let raw = u64::from_le_bytes(buffer);
        Some(match (self.kind, size) {
            (b'f', 8) => Number::Float(f64::from_bits(raw)),
            (b'f', 4) => Number::Float(f64::from(f32::from_bits(raw as u32))),
            (b'i', 1) => Number::Int(i64::from(raw as u8 as i8)),
            (b'i', 2) => Number::Int(i64::from(raw as u16 as i16)),
            (b'i', 4) => Number::Int(i64::from(raw as u32 as i32)),
            (b'i', 8) => Number::Int(raw as i64),
            (b'u', 1 | 2 | 4) => Number::Int(raw as i64),
            (b'u', 8) => Number::Int(i64::try_from(raw).ok()?),
            (b'b', 1) => Number::Bool(raw != 0),
            _ => return None,
        })
    }

    fn text(&self, bytes: &[u8]) -> Option<String> {
        match self.kind {
            b'U' => {
                let mut text = String::with_capacity(bytes.len() / 4);
                for four in bytes.chunks_exact(4) {
                    let four: [u8; 4] = four.try_into().ok()?;
                    let code = if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
                    text.push(char::from_u32(code)?);
                }
                text.truncate(text.trim_end_matches('\0').len());
                Some(text)
            }
            _ => None,
        }
    }
}

impl<'a> Array<'a> {
    /// An array whose bytes must be exactly as many as its shape says.
    pub(crate) fn new(dtype: Dtype, shape: Vec<usize>, fortran: bool, data: Data<'a>) -> Option<Self> {
        let count = shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side))?;
        let fits = match &data {
            Data::Bytes(bytes) => dtype.kind != b'O' && count.checked_mul(dtype.size)? == bytes.len(),
            Data::Objects(ids) => ids.len() == count,
        };
        (fits && shape.len() <= 32).then_some(Self { dtype, shape, fortran, data })
    }

    /// Heap bytes, without what is borrowed from the file.
    pub(crate) fn weight(&self) -> usize {
        let data = match &self.data {
            Data::Bytes(Cow::Owned(bytes)) => bytes.len(),
            Data::Bytes(Cow::Borrowed(_)) => 0,
            Data::Objects(ids) => ids.len() * size_of::<Id>(),
        };
        data + self.dtype.fields.len() * size_of::<Field>() + size_of::<Self>()
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Positions in storage order, walked in C order.
    fn order(&self) -> Order<'_> {
        if self.fortran && self.shape.len() > 1 {
            Order { shape: &self.shape, next: 0, end: self.len() }
        } else {
            Order { shape: &[], next: 0, end: self.len() }
        }
    }

    fn element(&self, position: usize) -> Option<&[u8]> {
        let Data::Bytes(bytes) = &self.data else { return None };
        let start = position.checked_mul(self.dtype.size)?;
        bytes.get(start..start.checked_add(self.dtype.size)?)
    }

    /// Numbers in C order; `None` if the elements are not numbers.
    pub(crate) fn numbers(&self) -> Option<Vec<Number>> {
        matches!(self.data, Data::Bytes(_)).then_some(())?;
        self.order().map(|position| self.dtype.number(self.element(position)?)).collect()
    }

    /// Numbers as `f64` in C order.
    pub(crate) fn f64s(&self) -> Option<Vec<f64>> {
        if let (Data::Bytes(bytes), b'f', 8, false, false) =
            (&self.data, self.dtype.kind, self.dtype.size, self.dtype.big_endian, self.fortran)
        {
            return Some(bytes.as_chunks::<8>().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect());
        }
        Some(self.numbers()?.into_iter().map(Number::as_f64).collect())
    }

    /// Texts in C order.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        (self.dtype.kind == b'U').then_some(())?;
        self.order().map(|position| self.dtype.text(self.element(position)?)).collect()
    }

    /// Members of an object array in C order.
    pub(crate) fn objects(&self) -> Option<Vec<Id>> {
        let Data::Objects(ids) = &self.data else { return None };
        self.order().map(|position| ids.get(position).copied()).collect()
    }

    /// One field of a structured array as integers; missing or of another kind: `None`.
    pub(crate) fn field_ints(&self, name: &str) -> Option<Vec<i64>> {
        self.field(name, |number| match number {
            Number::Int(value) => Some(value),
            Number::Bool(value) => Some(i64::from(value)),
            Number::Float(_) => None,
        })
    }

    /// One field of a structured array as floats.
    pub(crate) fn field_f64s(&self, name: &str) -> Option<Vec<f64>> {
        self.field(name, |number| Some(number.as_f64()))
    }

    fn field<T>(&self, name: &str, convert: impl Fn(Number) -> Option<T>) -> Option<Vec<T>> {
        let field = self.dtype.fields.iter().find(|field| field.name == name)?;
        let end = field.offset.checked_add(field.dtype.size)?;
        let Data::Bytes(bytes) = &self.data else { return None };
        if self.dtype.size == 0 || end > self.dtype.size {
            return None;
        }
        bytes
            .chunks_exact(self.dtype.size)
            .map(|record| convert(field.dtype.number(record.get(field.offset..end)?)?))
            .collect()
    }
}

/// Walks an array in C order, yielding positions in Fortran order (or in order, for an empty shape).
struct Order<'s> {
    shape: &'s [usize],
    next: usize,
    end: usize,
}

impl Iterator for Order<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.next >= self.end {
            return None;
        }
        let mut rest = self.next;
        self.next += 1;
        if self.shape.is_empty() {
            return Some(rest);
        }
        let mut stride = self.end;
        let mut position = 0;
        for &side in self.shape.iter().rev() {
            stride /= side;
            position += (rest % side) * stride;
            rest /= side;
        }
        Some(position)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f64]) -> Data<'static> {
        Data::Bytes(Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()))
    }

    #[test]
    fn fortran_order_reads_in_c_order() {
        let dtype = Dtype::parse("<f8").unwrap();
        let array = Array::new(dtype, vec![2, 3], true, floats(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0])).unwrap();
        assert_eq!(array.f64s().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn a_shape_that_does_not_fit_its_bytes_is_refused() {
        let dtype = Dtype::parse("<f8").unwrap();
        assert!(Array::new(dtype.clone(), vec![3], false, floats(&[1.0, 2.0])).is_none());
        assert!(Array::new(dtype, vec![usize::MAX, usize::MAX], false, floats(&[1.0])).is_none());
    }

    #[test]
    fn dtypes() {
        assert_eq!(Dtype::parse("<U3").unwrap().size, 12);
        assert_eq!(Dtype::parse("|b1").unwrap().kind, b'b');
        assert!(Dtype::parse(">i4").unwrap().big_endian);
        assert_eq!(Dtype::parse("x8"), None);
        assert_eq!(Dtype::parse(""), None);
        assert_eq!(Dtype::parse("U99999999999999999999"), None);
    }
}
