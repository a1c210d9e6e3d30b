//! Random weights: pure functions of a seed and a position ([`kernel::seed`]), the same on every machine.

pub(crate) use kernel::seed::{key, mix};

/// 65536 times the distribution function of Poisson(1): a 16-bit number is a weight of as many as it reaches. The mean is exactly 1.
const POISSON: [u16; 8] = [24_109, 48_219, 60_273, 64_292, 65_296, 65_497, 65_531, 65_535];

/// A Poisson(1) weight from 16 random bits.
#[inline]
pub(crate) fn poisson(bits: u16) -> u16 {
    let mut weight = 0;
    for reached in POISSON {
        weight += u16::from(bits >= reached);
    }
    weight
}

/// Fills `weights` with Poisson(1) weights of one resample; `stream` and `start` name the resample and the place of the first row
/// (a multiple of four).
#[inline]
pub(crate) fn fill(weights: &mut [u16], stream: u64, start: usize) {
    for (block, four) in (start as u64 / 4..).zip(weights.chunks_mut(4)) {
        let bits = mix(stream.wrapping_add(block.wrapping_mul(0xd134_2543_de82_ef95)));
        for (lane, weight) in four.iter_mut().enumerate() {
            *weight = (bits >> (16 * lane)) as u16;
        }
    }
    for weight in weights {
        *weight = poisson(*weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_poisson_with_mean_one() {
        let mut seen = [0_u32; 10];
        for bits in 0..=u16::MAX {
            seen[usize::from(poisson(bits))] += 1;
        }
        let mean: u32 = seen.iter().enumerate().map(|(weight, count)| weight as u32 * count).sum();
        assert_eq!(mean, 65_536);
        for (weight, expect) in [(0, 0.367_879), (1, 0.367_879), (2, 0.183_940), (3, 0.061_313), (4, 0.015_328)] {
            assert!((f64::from(seen[weight]) / 65_536.0 - expect).abs() < 2e-5, "{weight}: {}", seen[weight]);
        }
    }

    #[test]
    fn a_weight_depends_on_its_place_only() {
        let mut whole = [0; 64];
        fill(&mut whole, 7, 0);
        let mut part = [0; 16];
        fill(&mut part, 7, 32);
        assert_eq!(part, whole[32..48]);
        let mut other = [0; 64];
        fill(&mut other, 8, 0);
        assert_ne!(other, whole);
    }
}
