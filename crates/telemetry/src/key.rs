//! Prediction ids as 128-bit keys, and maps over them.
//!
//! Two SipHash-1-3 values with fixed keys, so that a key means the same after a restart. Two different ids of one log share a key
//! with a chance of about 2^-128 a pair.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

/// A hashed prediction id.
pub(crate) type Key = u128;
/// A map by key.
pub(crate) type KeyMap<V> = HashMap<Key, V, BuildHasherDefault<Fold>>;
/// A set of keys.
pub(crate) type KeySet = HashSet<Key, BuildHasherDefault<Fold>>;

/// The key of an id.
pub(crate) fn of(id: &str) -> Key {
    let mut first = DefaultHasher::new();
    first.write(id.as_bytes());
    let mut second = first.clone();
    second.write_u8(1);
    (u128::from(first.finish()) << 64) | u128::from(second.finish())
}

/// The hasher of keys, which are hashed already.
#[derive(Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}
