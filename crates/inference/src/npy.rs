//! numpy's `.npy` format: a header that is a Python dict literal, then the bytes. Object arrays would be pickles and are refused.

use std::borrow::Cow;

use crate::array::{Array, Data, Dtype, Field};

const MAGIC: &[u8] = b"\x93NUMPY";
const MAX_DEPTH: usize = 6;
/// scikit-learn's widest record has about twenty.
const MAX_FIELDS: usize = 64;

/// Reads one array. The error says what is wrong.
pub(crate) fn read(bytes: Cow<'_, [u8]>) -> Result<Array<'_>, String> {
    let (header, start) = header(&bytes).ok_or("no npy header")?;
    let mut parser = Parser { rest: header.trim() };
    let literal = parser.value(0).ok_or("the npy header is malformed")?;
    let Literal::Dict(pairs) = literal else { return Err("the npy header is malformed".to_owned()) };
    let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let dtype = get("descr").and_then(dtype).ok_or("the element type of the npy file is not supported")?;
    if dtype.kind == b'O' {
        return Err("the npy file holds pickled objects, which are not read".to_owned());
    }
    let fortran = matches!(get("fortran_order"), Some(Literal::Bool(true)));
    let Some(Literal::Sequence(sides)) = get("shape") else { return Err("the npy header has no shape".to_owned()) };
    let shape = sides.iter().map(|side| match side {
        Literal::Int(side) => Ok(*side),
        _ => Err("the npy header has a malformed shape".to_owned()),
    });
    let shape = shape.collect::<Result<Vec<usize>, String>>()?;
    let data = match bytes {
        Cow::Borrowed(all) => Cow::Borrowed(&all[start..]),
        Cow::Owned(mut all) => Cow::Owned(all.split_off(start)),
    };
    Array::new(dtype, shape, fortran, Data::Bytes(data)).ok_or_else(|| "the npy file does not fit its shape".to_owned())
}

fn header(bytes: &[u8]) -> Option<(String, usize)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, start) = match rest.first()? {
        1 => (usize::from(u16::from_le_bytes(rest.get(2..4)?.try_into().ok()?)), 10),
        2 | 3 => (u32::from_le_bytes(rest.get(2..6)?.try_into().ok()?) as usize, 12),
        _ => return None,
    };
    let end = start + length;
    let header = std::str::from_utf8(bytes.get(start..end)?).ok()?;
    Some((header.to_owned(), end))
}

fn dtype(literal: &Literal<'_>) -> Option<Dtype> {
    match literal {
        Literal::Text(text) => Dtype::parse(text),
        Literal::Sequence(fields) => structured(fields),
        _ => None,
    }
}

/// A structured type is a list of (name, type); unnamed voids are padding.
fn structured(members: &[Literal<'_>]) -> Option<Dtype> {
    let mut record = Dtype { kind: b'V', ..Dtype::default() };
    if members.len() > MAX_FIELDS {
        return None;
    }
    for member in members {
        let Literal::Sequence(pair) = member else { return None };
        let [Literal::Text(name), Literal::Text(text)] = &pair[..] else { return None };
        let dtype = Dtype::parse(text)?;
        let offset = record.size;
        record.size = record.size.checked_add(dtype.size)?;
        if !name.is_empty() {
            record.fields.push(Field { name: (*name).to_owned(), offset, dtype });
        }
    }
    Some(record)
}

#[derive(Debug)]
enum Literal<'h> {
    Text(&'h str),
    Int(usize),
    Bool(bool),
    Sequence(Vec<Literal<'h>>),
    Dict(Vec<(&'h str, Literal<'h>)>),
}

struct Parser<'h> {
    rest: &'h str,
}

impl<'h> Parser<'h> {
    fn skip(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn text(&mut self) -> Option<&'h str> {
        self.rest = self.rest.trim_start();
        let quote = self.rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (text, rest) = self.rest[1..].split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    fn value(&mut self, depth: usize) -> Option<Literal<'h>> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.skip('{') {
            return self.dict(depth);
        }
        for (open, close) in [('(', ')'), ('[', ']')] {
            if self.skip(open) {
                return self.sequence(close, depth);
            }
        }
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(['\'', '"']) {
            return self.text().map(Literal::Text);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" => Some(Literal::Bool(true)),
            "False" => Some(Literal::Bool(false)),
            // Python 2 wrote long integers as 12L
            digits => digits.trim_end_matches('L').parse().ok().map(Literal::Int),
        }
    }

    fn sequence(&mut self, close: char, depth: usize) -> Option<Literal<'h>> {
        let mut members = Vec::new();
        while !self.skip(close) {
            members.push(self.value(depth + 1)?);
            if !self.skip(',') {
                return self.skip(close).then_some(Literal::Sequence(members));
            }
        }
        Some(Literal::Sequence(members))
    }

    fn dict(&mut self, depth: usize) -> Option<Literal<'h>> {
        let mut pairs = Vec::new();
        while !self.skip('}') {
            let key = self.text()?;
            self.skip(':').then_some(())?;
            pairs.push((key, self.value(depth + 1)?));
            if !self.skip(',') {
                return self.skip('}').then_some(Literal::Dict(pairs));
            }
        }
        Some(Literal::Dict(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn plain_and_structured() {
        let bytes = npy(
            "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }  \n",
            &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!(read(Cow::Owned(bytes)).unwrap().f64s().unwrap(), [1.0, 2.0]);
        let header = "{'descr': [('a', '|u1'), ('', '|V3'), ('b', '<i4')], 'fortran_order': False, 'shape': (1,)}";
        let array = npy(header, &[7, 0, 0, 0, 9, 0, 0, 0]);
        let array = read(Cow::Owned(array)).unwrap();
        assert_eq!(array.field_ints("a").unwrap(), [7]);
        assert_eq!(array.field_ints("b").unwrap(), [9]);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for header in [
            "",
            "{",
            "{'descr': '<f8'",
            "{'descr': '|O', 'shape': (1,)}",
            "{'descr': '<f8', 'shape': (99999999999999,)}",
            "{'descr': '<f8', 'shape': ((((((((((1,))))))))))}",
            "((((((((((((((((",
            "{'descr': '<f8', 'shape': (-1,)}",
        ] {
            assert!(read(Cow::Owned(npy(header, &[0; 8]))).is_err(), "{header}");
        }
    }
}
