//! From a value to the index of its category.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use kernel::frame::ColumnKind;

use crate::view::Plain;

/// The categories of one column. The keys are fixed at load, so a fast hash is safe: a caller can only look up.
#[derive(Debug)]
pub(crate) struct Lookup {
    keys: Keys,
    /// The category that stands for a missing value.
    missing: Option<u32>,
}

#[derive(Debug)]
enum Keys {
    Texts(HashMap<Box<str>, u32, BuildHasherDefault<Fnv>>),
    /// Sorted by the number.
    Numbers(Vec<(f64, u32)>),
}

impl Lookup {
    /// Categories in scikit-learn's order; `None` if texts and numbers are mixed.
    pub(crate) fn new(categories: &[Plain]) -> Option<Self> {
        let mut missing = None;
        let mut texts = HashMap::default();
        let mut numbers = Vec::new();
        for (index, category) in categories.iter().enumerate() {
            let index = u32::try_from(index).ok()?;
            match category {
                Plain::Text(text) => {
                    texts.insert(text.as_str().into(), index);
                }
                other if other.is_missing() => missing = missing.or(Some(index)),
                other => numbers.push((other.as_f64()?, index)),
            }
        }
        if !texts.is_empty() && !numbers.is_empty() {
            return None;
        }
        numbers.sort_by(|a, b| a.0.total_cmp(&b.0));
        let keys = if numbers.is_empty() && !texts.is_empty() { Keys::Texts(texts) } else { Keys::Numbers(numbers) };
        Some(Self { keys, missing })
    }

    /// What kind of column it reads; `None` if it knows only the missing value.
    pub(crate) fn kind(&self) -> Option<ColumnKind> {
        match &self.keys {
            Keys::Texts(_) => Some(ColumnKind::Text),
            Keys::Numbers(numbers) if numbers.is_empty() => None,
            Keys::Numbers(_) => Some(ColumnKind::Number),
        }
    }

    #[inline]
    pub(crate) fn text(&self, text: Option<&str>) -> Option<u32> {
        match (text, &self.keys) {
            (None, _) => self.missing,
            (Some(text), Keys::Texts(texts)) => texts.get(text).copied(),
            (Some(_), Keys::Numbers(_)) => None,
        }
    }

    #[inline]
    pub(crate) fn number(&self, number: f64) -> Option<u32> {
        if number.is_nan() {
            return self.missing;
        }
        match &self.keys {
            Keys::Numbers(numbers) => {
                // -0.0 equals 0.0 for numpy, but not for total_cmp
                let number = number + 0.0;
                let at = numbers.partition_point(|(key, _)| *key < number);
                numbers.get(at).filter(|(key, _)| *key == number).map(|(_, index)| *index)
            }
            Keys::Texts(_) => None,
        }
    }

    pub(crate) fn memory(&self) -> usize {
        match &self.keys {
            Keys::Texts(texts) => {
                texts.capacity() * (size_of::<(Box<str>, u32)>() + 1) + texts.keys().map(|key| key.len()).sum::<usize>()
            }
            Keys::Numbers(numbers) => numbers.capacity() * size_of::<(f64, u32)>(),
        }
    }
}

/// The FNV-1a hash, for short texts.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_numbers_and_the_missing() {
        let texts =
            Lookup::new(&[Plain::Text(String::new()), Plain::Text("a".to_owned()), Plain::Float(f64::NAN)]).unwrap();
        assert_eq!((texts.text(Some("")), texts.text(Some("a")), texts.text(None)), (Some(0), Some(1), Some(2)));
        assert_eq!(texts.text(Some("b")), None);
        let numbers = Lookup::new(&[Plain::Int(-3), Plain::Int(0), Plain::Float(2.5)]).unwrap();
        assert_eq!((numbers.number(-3.0), numbers.number(-0.0), numbers.number(2.5)), (Some(0), Some(1), Some(2)));
        assert_eq!((numbers.number(1.0), numbers.number(f64::NAN), numbers.number(f64::INFINITY)), (None, None, None));
        assert!(Lookup::new(&[Plain::Int(1), Plain::Text("a".to_owned())]).is_none());
    }
}
