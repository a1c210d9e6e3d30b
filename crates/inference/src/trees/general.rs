//! Trees of any shape: siblings stand side by side, so the next node is `left + (x > threshold)`, without a branch. A leaf points to
//! itself and its threshold is a NaN that carries the index of its value: no number is above NaN, so a walk that has arrived stays.
//! Eight walks run interleaved until all have arrived.
//!
//! Trees of up to 65,536 nodes over up to 32,768 features use nodes of 8 bytes, larger ones of 12.

use super::complete::Width;
use super::exact::plus;
use super::{Payload, Tree, floor32};

const LANES: usize = 8;
/// A quiet NaN; the 22 bits below are free.
const LEAF_BITS: u32 = 0x7fc0_0000;
const LEAF_MASK: u32 = 0x003f_ffff;

/// One node.
trait Node: Copy {
    fn new(threshold: f32, feature: u32, left: u32, missing_left: bool) -> Self;
    fn threshold(self) -> f32;
    fn feature(self) -> u32;
    fn left(self) -> usize;
    fn missing_left(self) -> bool;
}

#[derive(Clone, Copy, Debug)]
struct Small {
    threshold: f32,
    feature: u16,
    left: u16,
}

#[derive(Clone, Copy, Debug)]
struct Large {
    threshold: f32,
    feature: u32,
    left: u32,
}

impl Node for Small {
    fn new(threshold: f32, feature: u32, left: u32, missing_left: bool) -> Self {
        Self { threshold, feature: feature as u16 | (u16::from(missing_left) << 15), left: left as u16 }
    }
    #[inline]
    fn threshold(self) -> f32 {
        self.threshold
    }
    #[inline]
    fn feature(self) -> u32 {
        u32::from(self.feature & 0x7fff)
    }
    #[inline]
    fn left(self) -> usize {
        usize::from(self.left)
    }
    #[inline]
    fn missing_left(self) -> bool {
        self.feature & 0x8000 != 0
    }
}

impl Node for Large {
    fn new(threshold: f32, feature: u32, left: u32, missing_left: bool) -> Self {
        Self { threshold, feature: feature | (u32::from(missing_left) << 31), left }
    }
    #[inline]
    fn threshold(self) -> f32 {
        self.threshold
    }
    #[inline]
    fn feature(self) -> u32 {
        self.feature & 0x7fff_ffff
    }
    #[inline]
    fn left(self) -> usize {
        self.left as usize
    }
    #[inline]
    fn missing_left(self) -> bool {
        self.feature >> 31 != 0
    }
}

/// Trees of any shape.
#[derive(Debug)]
pub(super) struct General {
    nodes: Nodes,
    /// Where each tree's nodes and leaves begin; one more than there are trees.
    starts: Vec<(usize, usize)>,
    depths: Vec<usize>,
    /// Leaves x values.
    leaves: Vec<f64>,
    /// Values a leaf.
    width: usize,
    outputs: usize,
    payload: Payload,
}

#[derive(Debug)]
enum Nodes {
    Small(Vec<Small>),
    Large(Vec<Large>),
}

impl General {
    pub(super) fn new(trees: &[Tree], outputs: usize, payload: Payload, scale: f64) -> Result<Self, String> {
        let small = trees
            .iter()
            .all(|tree| tree.nodes() <= 1 << 16 && tree.raw.feature.iter().all(|feature| *feature < 1 << 15));
        let mut general = Self {
            nodes: Nodes::Small(Vec::new()),
            starts: vec![(0, 0)],
            depths: trees.iter().map(|tree| tree.depth).collect(),
            leaves: Vec::new(),
            width: if payload == Payload::Vector { outputs } else { 1 },
            outputs,
            payload,
        };
        if small {
            general.nodes = Nodes::Small(general.lay_out(trees, scale)?);
        } else {
            general.nodes = Nodes::Large(general.lay_out(trees, scale)?);
        }
        Ok(general)
    }

    fn lay_out<N: Node>(&mut self, trees: &[Tree], scale: f64) -> Result<Vec<N>, String> {
        let mut nodes = Vec::with_capacity(trees.iter().map(Tree::nodes).sum());
        for tree in trees {
            let start = nodes.len();
            let mut leaf = 0_u32;
            // breadth first, so that siblings are neighbours
            let mut queue = std::collections::VecDeque::from([0_usize]);
            let mut next = 1_u32;
            while let Some(node) = queue.pop_front() {
                let here = (nodes.len() - start) as u32;
                if let Some((left, right)) = tree.children(node) {
                    let threshold = floor32(tree.raw.threshold[node]);
                    nodes.push(N::new(threshold, tree.raw.feature[node] as u32, next, tree.missing_left(node)));
                    next += 2;
                    queue.extend([left, right]);
                } else {
                    if leaf > LEAF_MASK {
                        return Err("a tree has more than four million leaves".to_owned());
                    }
                    nodes.push(N::new(f32::from_bits(LEAF_BITS | leaf), 0, here, true));
                    leaf += 1;
                    self.leaves.extend(tree.value(node).iter().map(|value| scale * value));
                }
            }
            let (_, before) = self.starts.last().copied().unwrap_or_default();
            self.starts.push((nodes.len(), before + leaf as usize));
        }
        Ok(nodes)
    }

    pub(super) fn memory(&self) -> usize {
        let nodes = match &self.nodes {
            Nodes::Small(nodes) => nodes.capacity() * size_of::<Small>(),
            Nodes::Large(nodes) => nodes.capacity() * size_of::<Large>(),
        };
        nodes + self.leaves.capacity() * size_of::<f64>() + self.starts.len() * 3 * size_of::<usize>()
    }

    pub(super) fn add<R: Width, const SINGLE: bool>(&self, rows: &[R], missing: bool, out: &mut [f64]) {
        match &self.nodes {
            Nodes::Small(nodes) => self.run::<_, R, SINGLE>(nodes, rows, missing, out),
            Nodes::Large(nodes) => self.run::<_, R, SINGLE>(nodes, rows, missing, out),
        }
    }

    fn run<N: Node, R: Width, const SINGLE: bool>(&self, nodes: &[N], rows: &[R], missing: bool, out: &mut [f64]) {
        let count = self.depths.len();
        if missing {
            for turn in 0..count {
                let tree = self.tree(nodes, turn);
                for (row, sums) in rows.iter().zip(out.chunks_exact_mut(self.outputs)) {
                    self.sum::<N, SINGLE>(turn, walk_missing(&tree, row), &tree, sums);
                }
            }
        } else if rows.len() < LANES {
            for (row, sums) in rows.iter().zip(out.chunks_exact_mut(self.outputs)) {
                self.one_row::<N, R, SINGLE>(nodes, row, sums);
            }
        } else {
            for turn in 0..count {
                self.many_rows::<N, R, SINGLE>(turn, &self.tree(nodes, turn), rows, out);
            }
        }
    }

    fn tree<'t, N: Node>(&'t self, nodes: &'t [N], turn: usize) -> TreeSlice<'t, N> {
        let (from, to) = (self.starts[turn], self.starts[turn + 1]);
        TreeSlice {
            nodes: &nodes[from.0..to.0],
            leaves: &self.leaves[from.1 * self.width..to.1 * self.width],
            depth: self.depths[turn],
        }
    }

    #[inline]
    fn sum<N: Node, const SINGLE: bool>(&self, turn: usize, leaf: usize, tree: &TreeSlice<'_, N>, sums: &mut [f64]) {
        match self.payload {
            Payload::Turns => plus::<SINGLE>(&mut sums[turn % self.outputs], tree.leaves[leaf]),
            Payload::Vector => {
                let values = &tree.leaves[leaf * self.outputs..(leaf + 1) * self.outputs];
                for (sum, value) in sums.iter_mut().zip(values) {
                    plus::<SINGLE>(sum, *value);
                }
            }
        }
    }

    fn one_row<N: Node, R: Width, const SINGLE: bool>(&self, nodes: &[N], row: &R, sums: &mut [f64]) {
        let count = self.depths.len();
        let mut turn = 0;
        while turn + LANES <= count {
            let group: [TreeSlice<'_, N>; LANES] = std::array::from_fn(|lane| self.tree(nodes, turn + lane));
            let mut at = [0_usize; LANES];
            let depth = group.iter().map(|tree| tree.depth).max().unwrap_or(0);
            for _ in 0..depth {
                for lane in 0..LANES {
                    at[lane] = step(group[lane].nodes, at[lane], row);
                }
            }
            for lane in 0..LANES {
                self.sum::<N, SINGLE>(turn + lane, leaf_of(group[lane].nodes[at[lane]]), &group[lane], sums);
            }
            turn += LANES;
        }
        for turn in turn..count {
            let tree = self.tree(nodes, turn);
            self.sum::<N, SINGLE>(turn, walk(&tree, row), &tree, sums);
        }
    }

    fn many_rows<N: Node, R: Width, const SINGLE: bool>(
        &self,
        turn: usize,
        tree: &TreeSlice<'_, N>,
        rows: &[R],
        out: &mut [f64],
    ) {
        let (groups, rest) = rows.as_chunks::<LANES>();
        let mut sums = out.chunks_exact_mut(self.outputs);
        for group in groups {
            let mut at = [0_usize; LANES];
            for _ in 0..tree.depth {
                for lane in 0..LANES {
                    at[lane] = step(tree.nodes, at[lane], &group[lane]);
                }
            }
            for (at, sums) in at.iter().zip(sums.by_ref()) {
                self.sum::<N, SINGLE>(turn, leaf_of(tree.nodes[*at]), tree, sums);
            }
        }
        for (row, sums) in rest.iter().zip(sums) {
            self.sum::<N, SINGLE>(turn, walk(tree, row), tree, sums);
        }
    }
}

struct TreeSlice<'t, N> {
    nodes: &'t [N],
    leaves: &'t [f64],
    depth: usize,
}

#[inline]
fn step<N: Node, R: Width>(nodes: &[N], at: usize, row: &R) -> usize {
    let node = nodes[at];
    node.left() + usize::from(row.feature(node.feature()) > node.threshold())
}

fn leaf_of<N: Node>(node: N) -> usize {
    (node.threshold().to_bits() & LEAF_MASK) as usize
}

fn walk<N: Node, R: Width>(tree: &TreeSlice<'_, N>, row: &R) -> usize {
    let mut at = 0;
    for _ in 0..tree.depth {
        at = step(tree.nodes, at, row);
    }
    leaf_of(tree.nodes[at])
}

fn walk_missing<N: Node, R: Width>(tree: &TreeSlice<'_, N>, row: &R) -> usize {
    let mut at = 0;
    for _ in 0..tree.depth {
        let node = tree.nodes[at];
        let x = row.feature(node.feature());
        let right = if x.is_nan() { !node.missing_left() } else { x > node.threshold() };
        at = node.left() + usize::from(right);
    }
    leaf_of(tree.nodes[at])
}
