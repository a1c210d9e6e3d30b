//! Decision trees as flat arrays. A tree is checked once, when it is made; the kernels then follow indices that cannot be wrong.
//!
//! scikit-learn compares `float32(x) <= threshold` with a 64-bit threshold. For a 32-bit `x` that is the same as comparing with the
//! largest 32-bit number that is not above the threshold, so the kernels compare 32-bit numbers and are exact.
//! Values are added in the order of the trees, as scikit-learn does, so that sums are equal to the bit.

mod complete;
pub(crate) mod exact;
mod general;

use complete::Complete;
pub(crate) use complete::Width;
use exact::{Absent, Question, RawNode};
use general::General;

/// No child: the node is a leaf.
pub(crate) const LEAF: i64 = -1;

/// A tree as scikit-learn stores it, not yet checked.
#[derive(Debug, Default)]
pub(crate) struct RawTree {
    pub(crate) left: Vec<i64>,
    pub(crate) right: Vec<i64>,
    pub(crate) feature: Vec<i64>,
    pub(crate) threshold: Vec<f64>,
    /// Where a missing value goes; empty if nowhere.
    pub(crate) missing_left: Vec<i64>,
    /// Nodes x outputs.
    pub(crate) values: Vec<f64>,
}

/// A tree whose indices are known to be good: children follow their parent, each node has one parent.
#[derive(Debug)]
pub(crate) struct Tree {
    raw: RawTree,
    outputs: usize,
    depth: usize,
}

impl Tree {
    /// Checks a tree. The error says what is wrong.
    pub(crate) fn new(raw: RawTree, outputs: usize, features: usize) -> Result<Self, String> {
        let count = raw.left.len();
        let even = raw.right.len() == count && raw.feature.len() == count && raw.threshold.len() == count;
        let missing = raw.missing_left.is_empty() || raw.missing_left.len() == count;
        if count == 0 || !even || !missing || outputs.checked_mul(count) != Some(raw.values.len()) {
            return Err("the arrays of a tree differ in length".to_owned());
        }
        let mut level = vec![usize::MAX; count];
        level[0] = 0;
        let mut depth = 0;
        for node in 0..count {
            let here = level[node];
            if here == usize::MAX {
                return Err(format!("node {node} of a tree cannot be reached"));
            }
            depth = depth.max(here);
            let (left, right) = (raw.left[node], raw.right[node]);
            if left == LEAF && right == LEAF {
                continue;
            }
            for child in [left, right] {
                let index = usize::try_from(child).ok().filter(|index| *index > node && *index < count);
                let index = index.ok_or_else(|| format!("node {node} of a tree has child {child} of {count} nodes"))?;
                if level[index] != usize::MAX {
                    return Err(format!("node {index} of a tree has two parents"));
                }
                level[index] = here + 1;
            }
            let feature = raw.feature[node];
            if usize::try_from(feature).ok().is_none_or(|feature| feature >= features) {
                return Err(format!("node {node} of a tree asks for feature {feature} of {features}"));
            }
            if raw.threshold[node].is_nan() {
                return Err(format!("node {node} of a tree has no threshold"));
            }
        }
        if !raw.values.iter().all(|value| value.is_finite()) {
            return Err("a value of a tree is not finite".to_owned());
        }
        Ok(Self { raw, outputs, depth })
    }

    /// A tree of one output from the nodes of a boosting library that ask only for thresholds; those that are 32-bit numbers are kept
    /// as they are. Nodes that nothing leads to are left out. The error says what is wrong.
    pub(crate) fn from_nodes(nodes: &[RawNode], features: usize) -> Result<Self, String> {
        let mut raw = RawTree::default();
        let mut queue = std::collections::VecDeque::from([0_usize]);
        let mut next = 1_i64;
        while let Some(index) = queue.pop_front() {
            let node = nodes.get(index).ok_or_else(|| format!("child {index} of {} nodes", nodes.len()))?;
            if raw.left.len() >= nodes.len() {
                return Err("a node has two parents".to_owned());
            }
            let (children, feature, threshold, left, value) = match node {
                RawNode::Leaf(value) => ((LEAF, LEAF), LEAF, 0.0, false, *value),
                RawNode::Split { feature, question: Question::Above(threshold), absent, left, right } => {
                    queue.extend([*left, *right]);
                    next += 2;
                    let missing_left = *absent == Absent::Side { left: true };
                    ((next - 2, next - 1), *feature as i64, *threshold, missing_left, 0.0)
                }
                RawNode::Split { .. } => return Err(format!("node {index} asks for a category")),
            };
            raw.left.push(children.0);
            raw.right.push(children.1);
            raw.feature.push(feature);
            raw.threshold.push(threshold);
            raw.missing_left.push(i64::from(left));
            raw.values.push(value);
        }
        Self::new(raw, 1, features)
    }

    fn nodes(&self) -> usize {
        self.raw.left.len()
    }

    /// The children, or `None` for a leaf.
    fn children(&self, node: usize) -> Option<(usize, usize)> {
        (self.raw.left[node] != LEAF).then(|| (self.raw.left[node] as usize, self.raw.right[node] as usize))
    }

    fn value(&self, node: usize) -> &[f64] {
        &self.raw.values[node * self.outputs..(node + 1) * self.outputs]
    }

    fn missing_left(&self, node: usize) -> bool {
        self.raw.missing_left.get(node).is_some_and(|flag| *flag != 0)
    }
}

/// What a tree of an ensemble adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Tree `t` adds one number to output `t % outputs` (boosting).
    Turns,
    /// Each tree adds one number to each output (forests).
    Vector,
}

/// An ensemble, ready to run.
#[derive(Debug)]
pub(crate) struct Ensemble {
    layout: Layout,
    outputs: usize,
    /// Sums are 32-bit numbers.
    single: bool,
}

#[derive(Debug)]
enum Layout {
    Complete(Complete),
    General(General),
}

/// Trees deeper than this are never padded to complete ones.
const MAX_COMPLETE_DEPTH: usize = 6;
/// Padding may cost this many times the nodes that are there.
const MAX_PADDING: usize = 4;

impl Ensemble {
    /// Lays out the trees. `scale` multiplies every value, as boosting's learning rate does.
    pub(crate) fn new(trees: &[Tree], outputs: usize, payload: Payload, scale: f64) -> Result<Self, String> {
        let depth = trees.iter().map(|tree| tree.depth).max().unwrap_or(0).max(1);
        let nodes: usize = trees.iter().map(Tree::nodes).sum();
        let fits = depth <= MAX_COMPLETE_DEPTH && trees.len() << (depth + 1) <= nodes * MAX_PADDING;
        let layout = if fits && payload == Payload::Turns {
            Layout::Complete(Complete::new(trees, depth, outputs, scale))
        } else {
            Layout::General(General::new(trees, outputs, payload, scale)?)
        };
        Ok(Self { layout, outputs, single: false })
    }

    /// The ensemble with sums that are rounded to 32 bits after each tree, as XGBoost adds.
    pub(crate) fn with_single_sums(mut self) -> Self {
        self.single = true;
        self
    }

    /// Adds each tree's value for each row to `out` (rows x outputs), tree by tree in order. `missing` says that a value may be NaN.
    pub(crate) fn add<R: Width>(&self, rows: &[R], missing: bool, out: &mut [f64]) {
        debug_assert_eq!(out.len(), rows.len() * self.outputs);
        match (&self.layout, self.single) {
            (Layout::Complete(complete), false) => complete.add::<R, false>(rows, missing, out),
            (Layout::Complete(complete), true) => complete.add::<R, true>(rows, missing, out),
            (Layout::General(general), false) => general.add::<R, false>(rows, missing, out),
            (Layout::General(general), true) => general.add::<R, true>(rows, missing, out),
        }
    }

    /// Heap bytes.
    pub(crate) fn memory(&self) -> usize {
        match &self.layout {
            Layout::Complete(complete) => complete.memory(),
            Layout::General(general) => general.memory(),
        }
    }
}

/// The largest 32-bit number that is not above `threshold`: `x <= threshold` and `x <= floor32(threshold)` agree for 32-bit `x`.
fn floor32(threshold: f64) -> f32 {
    let near = threshold as f32;
    if f64::from(near) > threshold { near.next_down() } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor32_keeps_every_comparison() {
        let thresholds =
            [0.1, 1e300, -1e300, 1e-50, -1e-50, 0.0, -0.0, 16777217.0, f64::from(f32::MAX) * 1.00001, f64::INFINITY];
        let values = [0.1_f32, 0.099_999_994, f32::MAX, f32::MIN, 1e-45, -1e-45, 0.0, -0.0, 16777216.0, 16777218.0];
        for threshold in thresholds {
            for x in values {
                assert_eq!(f64::from(x) <= threshold, x <= floor32(threshold), "{x} <= {threshold}");
            }
        }
    }

    fn stump() -> RawTree {
        RawTree {
            left: vec![1, -1, -1],
            right: vec![2, -1, -1],
            feature: vec![0, -2, -2],
            threshold: vec![0.5, -2.0, -2.0],
            missing_left: vec![1, 0, 0],
            values: vec![0.0, 1.0, 2.0],
        }
    }

    fn refused(change: impl FnOnce(&mut RawTree)) -> String {
        let mut raw = stump();
        change(&mut raw);
        Tree::new(raw, 1, 1).unwrap_err()
    }

    #[test]
    fn bad_indices_are_refused() {
        assert!(Tree::new(stump(), 1, 1).is_ok());
        assert!(refused(|raw| raw.left[0] = 0).contains("child 0"));
        assert!(refused(|raw| raw.left[0] = 3).contains("child 3"));
        assert!(refused(|raw| raw.right[0] = -1).contains("child -1"));
        assert!(refused(|raw| raw.right[0] = 1).contains("two parents"));
        assert!(refused(|raw| raw.feature[0] = 1).contains("feature 1"));
        assert!(refused(|raw| raw.feature[0] = -2).contains("feature -2"));
        assert!(refused(|raw| raw.threshold[0] = f64::NAN).contains("threshold"));
        assert!(refused(|raw| raw.values[1] = f64::INFINITY).contains("finite"));
        assert!(refused(|raw| raw.values.truncate(2)).contains("length"));
        assert!(refused(|raw| raw.left[0] = -1).contains("child"));
    }

    /// The plain way to walk a tree, against which the layouts are checked.
    fn walk(tree: &Tree, row: &[f32]) -> usize {
        let mut node = 0;
        while let Some((left, right)) = tree.children(node) {
            let x = row[tree.raw.feature[node] as usize];
            let goes_left = if x.is_nan() { tree.missing_left(node) } else { f64::from(x) <= tree.raw.threshold[node] };
            node = if goes_left { left } else { right };
        }
        node
    }

    /// A random tree of about `size` nodes, children after parents.
    fn random_tree(random: &mut impl FnMut() -> u64, size: usize, outputs: usize, max_depth: usize) -> Tree {
        let mut raw = RawTree::default();
        let mut open = vec![(usize::MAX, false, 0_usize)];
        while let Some((parent, is_right, depth)) = open.pop() {
            let index = raw.left.len();
            if parent != usize::MAX {
                let side = if is_right { &mut raw.right } else { &mut raw.left };
                side[parent] = index as i64;
            }
            let leaf =
                depth == max_depth || raw.left.len() + open.len() + 2 > size || random().is_multiple_of(7) && depth > 1;
            raw.left.push(LEAF);
            raw.right.push(LEAF);
            raw.feature.push((random() % 5) as i64);
            raw.threshold.push((random() % 16) as f64 / 8.0 - 1.0);
            raw.missing_left.push((random() % 2) as i64);
            for _ in 0..outputs {
                raw.values.push((random() % 1000) as f64 / 7.0);
            }
            if !leaf {
                open.push((index, true, depth + 1));
                open.push((index, false, depth + 1));
            }
        }
        Tree::new(raw, outputs, 5).unwrap()
    }

    #[test]
    fn layouts_agree_with_the_plain_walk() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 11
        };
        for (size, depth, outputs, payload) in [
            (31, 4, 1, Payload::Turns),
            (31, 4, 3, Payload::Turns),
            (3, 1, 1, Payload::Turns),
            (500, 40, 1, Payload::Turns),
            (500, 12, 3, Payload::Vector),
            (1, 0, 2, Payload::Vector),
            (90_000, 60, 2, Payload::Vector),
        ] {
            let per_node = if payload == Payload::Vector { outputs } else { 1 };
            let count = if size > 1000 { 2 } else { 21 };
            let trees: Vec<Tree> = (0..count).map(|_| random_tree(&mut random, size, per_node, depth)).collect();
            let ensemble = Ensemble::new(&trees, outputs, payload, 0.1).unwrap();
            let mut rows = vec![[0_f32; 64]; 77];
            for row in &mut rows {
                for x in row.iter_mut().take(5) {
                    *x = if random().is_multiple_of(9) { f32::NAN } else { (random() % 32) as f32 / 16.0 - 1.0 };
                }
            }
            let mut expected = vec![0.5; rows.len() * outputs];
            for (row, sums) in rows.iter().zip(expected.chunks_mut(outputs)) {
                for (turn, tree) in trees.iter().enumerate() {
                    let value = tree.value(walk(tree, row));
                    match payload {
                        Payload::Turns => sums[turn % outputs] += 0.1 * value[0],
                        Payload::Vector => sums.iter_mut().zip(value).for_each(|(sum, value)| *sum += 0.1 * value),
                    }
                }
            }
            let mut got = vec![0.5; rows.len() * outputs];
            ensemble.add(&rows, true, &mut got);
            assert_eq!(got, expected, "{size} {depth} {outputs}");
            let mut one = vec![0.5; outputs];
            ensemble.add(&rows[..1], true, &mut one);
            assert_eq!(one, expected[..outputs]);
            let finite: Vec<[f32; 64]> =
                rows.iter().map(|row| row.map(|x| if x.is_nan() { 0.25 } else { x })).collect();
            let mut quick = vec![0.5; rows.len() * outputs];
            let mut careful = quick.clone();
            ensemble.add(&finite, false, &mut quick);
            ensemble.add(&finite, true, &mut careful);
            assert_eq!(quick, careful);
        }
    }
}
