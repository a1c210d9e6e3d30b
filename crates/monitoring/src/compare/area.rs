//! Resampling of the area under the ROC curve. Both models are ranked once; a resample adds its weights to the ranks and walks over
//! them, in integers, so each resample has its exact area.

use super::{RESAMPLES, Resampled, Rows, stream};
use crate::quality::auc;

/// The place of each row among the distinct scores.
struct Ranks {
    of_row: Vec<u32>,
    distinct: usize,
}

impl Ranks {
    fn of(scores: &[f64]) -> Self {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.sort_unstable_by(|a, b| scores[*a as usize].total_cmp(&scores[*b as usize]));
        let mut of_row = vec![0; scores.len()];
        let mut distinct = 0;
        for group in order.chunk_by(|a, b| scores[*a as usize] == scores[*b as usize]) {
            for row in group {
                of_row[*row as usize] = distinct;
            }
            distinct += 1;
        }
        Self { of_row, distinct: distinct as usize }
    }
}

/// `None` if there is one class only.
pub(super) fn of(rows: &Rows<'_>, seed: u64) -> Option<Resampled> {
    let (new, old) = (auc(rows.candidate, rows.truths)?, auc(rows.champion, rows.truths)?);
    let sides = [Ranks::of(rows.candidate), Ranks::of(rows.champion)];
    let positive: Vec<u8> = rows.truths.iter().map(|y| u8::from(*y >= 0.5)).collect();
    let mut weights = vec![0_u16; positive.len()];
    let mut tallies = sides.each_ref().map(|side| vec![[0_u32; 2]; side.distinct]);
    let mut differences = Vec::with_capacity(RESAMPLES);
    for resample in 0..RESAMPLES {
        crate::seed::fill(&mut weights, stream(seed, resample), 0);
        let [new, old] = [0, 1].map(|side| area(&sides[side], &positive, &weights, &mut tallies[side]));
        differences.push(new - old);
    }
    Some(Resampled { candidate: new.value, champion: old.value, difference: new.value - old.value, differences })
}

/// The weighted area; `NaN` if a class has no weight in this resample. Leaves `tally` as zeros.
fn area(ranks: &Ranks, positive: &[u8], weights: &[u16], tally: &mut [[u32; 2]]) -> f64 {
    for ((rank, class), weight) in ranks.of_row.iter().zip(positive).zip(weights) {
        tally[*rank as usize][usize::from(*class)] += u32::from(*weight);
    }
    let (mut negatives, mut positives, mut halves) = (0_u64, 0_u64, 0_u64);
    for here in tally {
        let [negative, positive] = here.map(u64::from);
        halves += positive * (2 * negatives + negative);
        negatives += negative;
        positives += positive;
        *here = [0; 2];
    }
    halves as f64 / 2.0 / (negatives as f64 * positives as f64)
}
