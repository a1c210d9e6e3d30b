//! Trees of the boosting libraries: 64-bit thresholds, categorical splits of any number of categories, and each library's own rule for
//! what is missing. Siblings stand side by side, so the next node is `left + (x > threshold)`; a leaf points to itself and its
//! threshold is NaN, which nothing is above. Where no value of a block is missing and no split needs more than that comparison, eight
//! rows walk interleaved and without a branch.

use std::collections::VecDeque;

const LANES: usize = 8;
/// Values within this of zero are zero for LightGBM (`kZeroThreshold`, a 32-bit number).
const ZERO: f64 = 1e-35_f32 as f64;
/// Categories from here on are invalid for XGBoost.
const MAX_CATEGORY: f64 = 16_777_216.0;

/// What a split does with a value that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It counts as zero (LightGBM, `missing_type` none).
    Zero,
    /// It and zero go to the side that was learned (LightGBM, `zero_as_missing`).
    WithZero { left: bool },
    /// It goes to the side that was learned.
    Side { left: bool },
}

/// The question a split asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Question {
    /// Right if `x > threshold`.
    Above(f64),
    /// LightGBM's: left if the truncated value is in the set; right if it is missing or negative.
    LeftIf(Box<[u32]>),
    /// XGBoost's: right if the truncated value is one of these, which rise; a value that is no category goes left.
    RightIf(Box<[u32]>),
}

/// A node as a file describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawNode {
    Leaf(f64),
    Split { feature: usize, question: Question, absent: Absent, left: usize, right: usize },
}

#[derive(Clone, Copy, Debug)]
struct Node {
    threshold: f64,
    feature: u32,
    left: u32,
}

/// What the careful walk knows more of a node.
#[derive(Clone, Copy, Debug)]
struct Care {
    absent: Absent,
    /// Where the set of a categorical split begins and how many words or members it has.
    set: Option<(u32, u32)>,
    left_if: bool,
}

/// An ensemble; tree `t` adds to output `t % outputs`.
#[derive(Debug)]
pub(crate) struct Exact {
    nodes: Vec<Node>,
    /// Of each node; the value of a leaf.
    values: Vec<f64>,
    care: Vec<Care>,
    sets: Vec<u32>,
    /// Where each tree begins, and its depth.
    trees: Vec<(usize, usize, usize)>,
    outputs: usize,
    /// Sums are 32-bit numbers.
    single: bool,
    /// No split needs care while nothing is missing.
    plain: bool,
}

/// Heap bytes that a node costs, for the account of the loader.
pub(crate) const NODE_BYTES: usize = size_of::<Node>() + size_of::<f64>() + size_of::<Care>();

impl Exact {
    /// Checks and lays out trees over `features` columns; the root of each is its first node. The error says what is wrong.
    pub(crate) fn new(trees: &[Vec<RawNode>], features: usize, outputs: usize, single: bool) -> Result<Self, String> {
        let count = trees.iter().map(Vec::len).sum();
        let mut exact = Self {
            nodes: Vec::with_capacity(count),
            values: Vec::with_capacity(count),
            care: Vec::with_capacity(count),
            sets: Vec::new(),
            trees: Vec::with_capacity(trees.len()),
            outputs,
            single,
            plain: true,
        };
        for (turn, tree) in trees.iter().enumerate() {
            exact.add_tree(tree, features).map_err(|what| format!("tree {turn}: {what}"))?;
        }
        Ok(exact)
    }

    fn add_tree(&mut self, tree: &[RawNode], features: usize) -> Result<(), String> {
        let start = self.nodes.len();
        let mut queue = VecDeque::from([(0_usize, 0_usize)]);
        let mut seen = vec![false; tree.len()];
        let mut deepest = 0;
        let mut next = 1_u32;
        while let Some((index, depth)) = queue.pop_front() {
            let node = tree.get(index).ok_or_else(|| format!("child {index} of {} nodes", tree.len()))?;
            if std::mem::replace(&mut seen[index], true) {
                return Err(format!("node {index} has two parents"));
            }
            deepest = deepest.max(depth);
            match node {
                RawNode::Leaf(value) if value.is_finite() => {
                    let here = (self.nodes.len() - start) as u32;
                    self.nodes.push(Node { threshold: f64::NAN, feature: 0, left: here });
                    self.values.push(*value);
                    self.care.push(Care { absent: Absent::Zero, set: None, left_if: true });
                }
                RawNode::Leaf(_) => return Err(format!("leaf {index} has no finite value")),
                RawNode::Split { feature, question, absent, left, right } => {
                    if *feature >= features {
                        return Err(format!("node {index} asks for feature {feature} of {features}"));
                    }
                    self.split(*feature as u32, question, *absent, next)
                        .map_err(|what| format!("node {index} {what}"))?;
                    next = next.checked_add(2).ok_or("it has too many nodes")?;
                    queue.extend([(*left, depth + 1), (*right, depth + 1)]);
                }
            }
        }
        self.trees.push((start, self.nodes.len(), deepest));
        Ok(())
    }

    fn split(&mut self, feature: u32, question: &Question, absent: Absent, left: u32) -> Result<(), &'static str> {
        let (threshold, set, left_if) = match question {
            Question::Above(threshold) if threshold.is_nan() => return Err("has no threshold"),
            Question::Above(threshold) => (*threshold, None, true),
            Question::LeftIf(words) | Question::RightIf(words) => {
                let from = u32::try_from(self.sets.len()).map_err(|_| "has too large a set")?;
                self.sets.extend_from_slice(words);
                u32::try_from(self.sets.len()).map_err(|_| "has too large a set")?;
                (0.0, Some((from, words.len() as u32)), matches!(question, Question::LeftIf(_)))
            }
        };
        self.plain &= set.is_none() && !matches!(absent, Absent::WithZero { .. });
        self.nodes.push(Node { threshold, feature, left });
        self.values.push(0.0);
        self.care.push(Care { absent, set, left_if });
        Ok(())
    }

    /// Adds each tree's value for each row to `out` (rows x outputs), tree by tree in order. `rows` holds `width` numbers a row;
    /// `missing` says that one may be NaN.
    pub(crate) fn add(&self, rows: &[f64], width: usize, missing: bool, out: &mut [f64]) {
        if self.single {
            self.run::<true>(rows, width, missing, out);
        } else {
            self.run::<false>(rows, width, missing, out);
        }
    }

    fn run<const SINGLE: bool>(&self, rows: &[f64], width: usize, missing: bool, out: &mut [f64]) {
        let width = width.max(1);
        for (turn, (from, to, depth)) in self.trees.iter().enumerate() {
            let (nodes, values) = (&self.nodes[*from..*to], &self.values[*from..*to]);
            let mut sums = out.iter_mut().skip(turn % self.outputs).step_by(self.outputs);
            if missing || !self.plain {
                for (row, sum) in rows.chunks_exact(width).zip(sums) {
                    plus::<SINGLE>(sum, values[self.walk(nodes, *from, row)]);
                }
                continue;
            }
            let groups = rows.chunks_exact(width * LANES);
            let rest = groups.remainder();
            for group in groups {
                let mut at = [0_usize; LANES];
                for _ in 0..*depth {
                    for lane in 0..LANES {
                        at[lane] = step(nodes, at[lane], &group[lane * width..(lane + 1) * width]);
                    }
                }
                for (at, sum) in at.iter().zip(sums.by_ref()) {
                    plus::<SINGLE>(sum, values[*at]);
                }
            }
            for (row, sum) in rest.chunks_exact(width).zip(sums) {
                let at = (0..*depth).fold(0, |at, _| step(nodes, at, row));
                plus::<SINGLE>(sum, values[at]);
            }
        }
    }

    /// The leaf of a row, each rule minded.
    fn walk(&self, nodes: &[Node], start: usize, row: &[f64]) -> usize {
        let mut at = 0;
        loop {
            let node = nodes[at];
            if node.left as usize == at {
                return at;
            }
            let right = self.goes_right(&self.care[start + at], node.threshold, row[node.feature as usize]);
            at = node.left as usize + usize::from(right);
        }
    }

    fn goes_right(&self, care: &Care, threshold: f64, x: f64) -> bool {
        let Some(set) = care.set else {
            return match care.absent {
                Absent::Side { left } if x.is_nan() => !left,
                Absent::WithZero { left } if x.is_nan() || x.abs() <= ZERO => !left,
                _ if x.is_nan() => 0.0 > threshold,
                _ => x > threshold,
            };
        };
        if care.left_if {
            // a cast from NaN gives 0, so that is asked first
            return x.is_nan() || (x as i32) < 0 || !self.has(set, x as i32 as u32);
        }
        match care.absent {
            Absent::Side { left } if x.is_nan() => !left,
            _ => (0.0..MAX_CATEGORY).contains(&x) && self.members(set).binary_search(&(x as u32)).is_ok(),
        }
    }

    fn has(&self, set: (u32, u32), category: u32) -> bool {
        self.members(set).get(category as usize / 32).is_some_and(|word| word >> (category % 32) & 1 == 1)
    }

    fn members(&self, (from, length): (u32, u32)) -> &[u32] {
        &self.sets[from as usize..(from + length) as usize]
    }

    /// Whether sums and values are 32-bit numbers.
    pub(crate) fn single(&self) -> bool {
        self.single
    }

    /// Heap bytes.
    pub(crate) fn memory(&self) -> usize {
        self.nodes.len() * NODE_BYTES + self.sets.len() * size_of::<u32>() + self.trees.len() * 3 * size_of::<usize>()
    }
}

#[inline]
fn step(nodes: &[Node], at: usize, row: &[f64]) -> usize {
    let node = nodes[at];
    node.left as usize + usize::from(row[node.feature as usize] > node.threshold)
}

/// Adds; as 32-bit numbers if `SINGLE`. A 64-bit sum of two of those, rounded, is their 32-bit sum.
#[inline]
pub(crate) fn plus<const SINGLE: bool>(sum: &mut f64, value: f64) {
    *sum += value;
    if SINGLE {
        *sum = f64::from(*sum as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(feature: usize, question: Question, absent: Absent, left: usize, right: usize) -> RawNode {
        RawNode::Split { feature, question, absent, left, right }
    }

    fn stump(question: Question, absent: Absent) -> Exact {
        let tree = vec![split(0, question, absent, 1, 2), RawNode::Leaf(-1.0), RawNode::Leaf(1.0)];
        Exact::new(&[tree], 1, 1, false).unwrap()
    }

    fn side(exact: &Exact, x: f64) -> f64 {
        let mut out = [0.0];
        exact.add(&[x], 1, x.is_nan(), &mut out);
        out[0]
    }

    #[test]
    fn each_library_has_its_rules() {
        let zero = stump(Question::Above(-0.5), Absent::Zero);
        assert_eq!([side(&zero, f64::NAN), side(&zero, -0.5), side(&zero, 0.0)], [1.0, -1.0, 1.0]);
        let with = stump(Question::Above(-0.5), Absent::WithZero { left: true });
        assert_eq!([side(&with, f64::NAN), side(&with, 1e-36), side(&with, 1e-34)], [-1.0, -1.0, 1.0]);
        let learned = stump(Question::Above(-0.5), Absent::Side { left: true });
        assert_eq!([side(&learned, f64::NAN), side(&learned, 0.0)], [-1.0, 1.0]);
        let set: Box<[u32]> = Box::new([0b101]);
        let left = stump(Question::LeftIf(set), Absent::Side { left: true });
        let given = [0.0, 2.9, 1.0, -0.5, -1.0, 40.0, f64::NAN, 1e300].map(|x| side(&left, x));
        assert_eq!(given, [-1.0, -1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]);
        let right = stump(Question::RightIf(Box::new([0, 2])), Absent::Side { left: true });
        let given = [0.0, 2.9, 1.0, -0.5, -1.0, 40.0, f64::NAN, 1e300].map(|x| side(&right, x));
        assert_eq!(given, [1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]);
    }

    #[test]
    fn bad_trees_are_refused() {
        let refuse = |tree: Vec<RawNode>| Exact::new(&[tree], 1, 1, false).unwrap_err();
        let above = || Question::Above(0.0);
        assert!(refuse(vec![]).contains("child 0 of 0"));
        assert!(refuse(vec![split(0, above(), Absent::Zero, 1, 2), RawNode::Leaf(0.0)]).contains("child 2 of 2"));
        assert!(refuse(vec![split(0, above(), Absent::Zero, 0, 0)]).contains("two parents"));
        assert!(refuse(vec![split(1, above(), Absent::Zero, 0, 0)]).contains("feature 1 of 1"));
        assert!(refuse(vec![split(0, Question::Above(f64::NAN), Absent::Zero, 1, 2)]).contains("no threshold"));
        assert!(refuse(vec![RawNode::Leaf(f64::INFINITY)]).contains("no finite value"));
    }
}
