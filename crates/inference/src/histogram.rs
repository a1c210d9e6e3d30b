//! Trees of histogram boosting: 64-bit thresholds and categorical splits. Checked at load like the others; walked one by one.

use crate::plan::Block;

/// A node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistNode {
    /// The value of a leaf or the threshold of a split.
    pub(crate) number: f64,
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) feature: u32,
    pub(crate) leaf: bool,
    pub(crate) missing_left: bool,
    /// Index of the bit set of a categorical split.
    pub(crate) bits: Option<u32>,
}

/// A tree whose indices are known to be good.
#[derive(Debug)]
pub(crate) struct HistTree {
    nodes: Vec<HistNode>,
    bits: Vec<[u32; 8]>,
}

impl HistTree {
    /// Checks a tree. The error says what is wrong.
    pub(crate) fn new(nodes: Vec<HistNode>, bits: Vec<[u32; 8]>, features: usize) -> Result<Self, String> {
        if nodes.is_empty() {
            return Err("a tree has no nodes".to_owned());
        }
        for (index, node) in nodes.iter().enumerate() {
            if node.leaf {
                if !node.number.is_finite() {
                    return Err(format!("leaf {index} of a tree has no finite value"));
                }
                continue;
            }
            for child in [node.left, node.right] {
                if child as usize <= index || child as usize >= nodes.len() {
                    return Err(format!("node {index} of a tree has child {child} of {} nodes", nodes.len()));
                }
            }
            if node.feature as usize >= features {
                return Err(format!("node {index} of a tree asks for feature {} of {features}", node.feature));
            }
            if node.bits.is_some_and(|set| set as usize >= bits.len()) {
                return Err(format!("node {index} of a tree asks for a bit set that is not there"));
            }
        }
        Ok(Self { nodes, bits })
    }

    fn value(&self, known: &[Option<[u32; 8]>], row: impl Fn(u32) -> f64) -> f64 {
        let mut node = self.nodes[0];
        while !node.leaf {
            let x = row(node.feature);
            let left = match node.bits {
                _ if x.is_nan() => node.missing_left,
                None => x <= node.number,
                Some(set) => {
                    // scikit-learn casts to 8 bits after refusing negative numbers
                    let category = x as u64 as u8;
                    if x < 0.0 {
                        node.missing_left
                    } else if has(&self.bits[set as usize], category) {
                        true
                    } else {
                        let known = known.get(node.feature as usize).and_then(Option::as_ref);
                        !known.is_some_and(|known| has(known, category)) && node.missing_left
                    }
                }
            };
            node = self.nodes[if left { node.left } else { node.right } as usize];
        }
        node.number
    }
}

fn has(bits: &[u32; 8], category: u8) -> bool {
    bits[usize::from(category / 32)] >> (category % 32) & 1 == 1
}

/// An ensemble: tree `t` adds to output `t % outputs`.
#[derive(Debug)]
pub(crate) struct HistEnsemble {
    trees: Vec<HistTree>,
    known: Vec<Option<[u32; 8]>>,
    outputs: usize,
}

impl HistEnsemble {
    pub(crate) fn new(trees: Vec<HistTree>, known: Vec<Option<[u32; 8]>>, outputs: usize) -> Self {
        Self { trees, known, outputs }
    }

    /// Adds each tree's value for each row to `out` (rows x outputs). `slots` are the columns of the block that it reads.
    pub(crate) fn add(&self, block: &Block<'_>, slots: &[u32], out: &mut [f64]) {
        for (turn, tree) in self.trees.iter().enumerate() {
            for row in 0..block.rows {
                let value = tree.value(&self.known, |feature| block.slot(slots[feature as usize])[row]);
                out[row * self.outputs + turn % self.outputs] += value;
            }
        }
    }

    /// Heap bytes.
    pub(crate) fn memory(&self) -> usize {
        let trees = self.trees.iter().map(|tree| {
            size_of::<HistTree>() + tree.nodes.len() * size_of::<HistNode>() + tree.bits.len() * size_of::<[u32; 8]>()
        });
        trees.sum::<usize>() + self.known.len() * size_of::<Option<[u32; 8]>>()
    }
}
