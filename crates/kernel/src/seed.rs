//! Randomness without a random number generator: pure functions of a seed and a position, the same on every machine.

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64 bits that looks random.
#[inline]
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The number of a name: a hash of it (FNV-1a, mixed).
pub fn key(name: &str) -> u64 {
    mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_close_names_are_far_apart() {
        assert_ne!(key("a") & 0xffff, key("b") & 0xffff);
        assert_eq!(key("flight-1"), key("flight-1"));
    }
}
