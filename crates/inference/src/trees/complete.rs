//! Shallow trees, padded to complete ones: node `i` has children `2i` and `2i + 1`, so a node needs no pointers and a walk no
//! branches. A tree of depth `D` is an array of `1 << D` splits (the first unused) and one of `1 << D` leaves, so that masked indices
//! need no bounds checks. Eight walks run interleaved (eight trees of one row, or eight rows of one tree) to hide latency.

use super::exact::plus;
use super::{Tree, floor32};

const LANES: usize = 8;
const MISSING_LEFT: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Split {
    threshold: f32,
    /// The feature; the top bit says that a missing value goes left.
    feature: u32,
}

/// Never right: pads below a leaf.
const PAD: Split = Split { threshold: f32::INFINITY, feature: MISSING_LEFT };

/// A row of features, padded to a width that the kernel knows, or of any width.
pub(crate) trait Width {
    /// The value of a feature; the caller checked the index at load.
    fn feature(&self, index: u32) -> f32;
}

impl Width for [f32; 64] {
    #[inline]
    fn feature(&self, index: u32) -> f32 {
        self[index as usize & 63]
    }
}

impl Width for &[f32] {
    #[inline]
    fn feature(&self, index: u32) -> f32 {
        self[index as usize]
    }
}

/// Complete trees of one depth, one value a leaf.
#[derive(Debug)]
pub(super) struct Complete {
    depth: usize,
    outputs: usize,
    splits: Vec<Split>,
    leaves: Vec<f64>,
}

impl Complete {
    pub(super) fn new(trees: &[Tree], depth: usize, outputs: usize, scale: f64) -> Self {
        let width = 1 << depth;
        let mut splits = vec![PAD; trees.len() * width];
        let mut leaves = vec![0.0; trees.len() * width];
        for (tree, (splits, leaves)) in trees.iter().zip(splits.chunks_mut(width).zip(leaves.chunks_mut(width))) {
            // (node, place): place is the index in the complete tree, counted from 1
            let mut open = vec![(0_usize, 1_usize)];
            while let Some((node, place)) = open.pop() {
                if let Some((left, right)) = tree.children(node) {
                    let flag = if tree.missing_left(node) { MISSING_LEFT } else { 0 };
                    let feature = tree.raw.feature[node] as u32 | flag;
                    splits[place] = Split { threshold: floor32(tree.raw.threshold[node]), feature };
                    open.push((left, 2 * place));
                    open.push((right, 2 * place + 1));
                } else {
                    // every leaf below the place carries the value
                    let below = depth - place.ilog2() as usize;
                    let first = (place << below) - width;
                    leaves[first..first + (1 << below)].fill(scale * tree.value(node)[0]);
                }
            }
        }
        Self { depth, outputs, splits, leaves }
    }

    pub(super) fn memory(&self) -> usize {
        self.splits.len() * size_of::<Split>() + self.leaves.len() * size_of::<f64>()
    }

    pub(super) fn add<R: Width, const SINGLE: bool>(&self, rows: &[R], missing: bool, out: &mut [f64]) {
        match self.depth {
            1 => self.run::<R, 1, 2, SINGLE>(rows, missing, out),
            2 => self.run::<R, 2, 4, SINGLE>(rows, missing, out),
            3 => self.run::<R, 3, 8, SINGLE>(rows, missing, out),
            4 => self.run::<R, 4, 16, SINGLE>(rows, missing, out),
            5 => self.run::<R, 5, 32, SINGLE>(rows, missing, out),
            _ => self.run::<R, 6, 64, SINGLE>(rows, missing, out),
        }
    }

    fn run<R: Width, const D: usize, const N: usize, const SINGLE: bool>(
        &self,
        rows: &[R],
        missing: bool,
        out: &mut [f64],
    ) {
        let trees = self.splits.as_chunks::<N>().0;
        let leaves = self.leaves.as_chunks::<N>().0;
        if missing {
            for (row, sums) in rows.iter().zip(out.chunks_exact_mut(self.outputs)) {
                for (turn, (tree, leaves)) in trees.iter().zip(leaves).enumerate() {
                    plus::<SINGLE>(&mut sums[turn % self.outputs], leaves[walk_missing::<R, D, N>(tree, row)]);
                }
            }
        } else if rows.len() < LANES {
            for (row, sums) in rows.iter().zip(out.chunks_exact_mut(self.outputs)) {
                one_row::<R, D, N, SINGLE>(trees, leaves, row, sums);
            }
        } else {
            for (turn, (tree, leaves)) in trees.iter().zip(leaves).enumerate() {
                many_rows::<R, D, N, SINGLE>(tree, leaves, rows, out, self.outputs, turn % self.outputs);
            }
        }
    }
}

/// Eight trees at a time over one row.
#[inline]
fn one_row<R: Width, const D: usize, const N: usize, const SINGLE: bool>(
    trees: &[[Split; N]],
    leaves: &[[f64; N]],
    row: &R,
    sums: &mut [f64],
) {
    let (groups, rest) = trees.as_chunks::<LANES>();
    let (leaf_groups, leaf_rest) = leaves.as_chunks::<LANES>();
    let mut turn = 0;
    let outputs = sums.len();
    let mut add = |value: f64| {
        plus::<SINGLE>(&mut sums[turn], value);
        turn += 1;
        if turn == outputs {
            turn = 0;
        }
    };
    for (group, leaves) in groups.iter().zip(leaf_groups) {
        let mut at = [1_usize; LANES];
        for _ in 0..D {
            for lane in 0..LANES {
                at[lane] = step(&group[lane], at[lane], row);
            }
        }
        for lane in 0..LANES {
            add(leaves[lane][at[lane] & (N - 1)]);
        }
    }
    for (tree, leaves) in rest.iter().zip(leaf_rest) {
        add(leaves[walk::<R, D, N>(tree, row)]);
    }
}

/// One tree over eight rows at a time.
#[inline]
fn many_rows<R: Width, const D: usize, const N: usize, const SINGLE: bool>(
    tree: &[Split; N],
    leaves: &[f64; N],
    rows: &[R],
    out: &mut [f64],
    outputs: usize,
    output: usize,
) {
    let (groups, rest) = rows.as_chunks::<LANES>();
    let mut sums = out.chunks_exact_mut(outputs);
    for group in groups {
        let mut at = [1_usize; LANES];
        for _ in 0..D {
            for lane in 0..LANES {
                at[lane] = step(tree, at[lane], &group[lane]);
            }
        }
        for (at, sums) in at.iter().zip(sums.by_ref()) {
            plus::<SINGLE>(&mut sums[output], leaves[at & (N - 1)]);
        }
    }
    for (row, sums) in rest.iter().zip(sums) {
        plus::<SINGLE>(&mut sums[output], leaves[walk::<R, D, N>(tree, row)]);
    }
}

#[inline]
fn step<R: Width, const N: usize>(tree: &[Split; N], at: usize, row: &R) -> usize {
    let split = tree[at & (N - 1)];
    let right = row.feature(split.feature & !MISSING_LEFT) > split.threshold;
    2 * at + usize::from(right)
}

#[inline]
fn walk<R: Width, const D: usize, const N: usize>(tree: &[Split; N], row: &R) -> usize {
    let mut at = 1;
    for _ in 0..D {
        at = step(tree, at, row);
    }
    at & (N - 1)
}

fn walk_missing<R: Width, const D: usize, const N: usize>(tree: &[Split; N], row: &R) -> usize {
    let mut at = 1;
    for _ in 0..D {
        let split = tree[at & (N - 1)];
        let x = row.feature(split.feature & !MISSING_LEFT);
        let right = if x.is_nan() { split.feature & MISSING_LEFT == 0 } else { x > split.threshold };
        at = 2 * at + usize::from(right);
    }
    at & (N - 1)
}
