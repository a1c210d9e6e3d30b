//! `sklearn.tree._tree.Tree`: a structured array of nodes and an array of values.

use crate::LoadError;
use crate::plan::Planner;
use crate::trees::{RawTree, Tree};
use crate::view::View;

/// What one node costs when loaded, roughly.
const NODE_BYTES: usize = 64;

/// Reads the `tree_` of a fitted tree estimator; `outputs` values at each node.
pub(super) fn read(
    estimator: &View<'_>,
    planner: &mut Planner,
    outputs: usize,
    features: usize,
    normalise: bool,
) -> Result<Tree, LoadError> {
    let tree = estimator.attr("tree_")?;
    if tree.class() != "sklearn.tree._tree.Tree" {
        return Err(tree.unknown_class());
    }
    let nodes_view = tree.attr("nodes")?;
    let nodes = nodes_view.array()?;
    planner.charge(&nodes_view, nodes.len().saturating_mul(NODE_BYTES + outputs * size_of::<f64>()))?;
    let ints = |name: &str| {
        nodes.field_ints(name).ok_or_else(|| nodes_view.damaged(format!("the nodes have no integers {name}")))
    };
    let values = tree.attr("values")?;
    if values.array()?.shape != [nodes.len(), 1, outputs] {
        return Err(values.damaged(format!("the shape is not ({}, 1, {outputs})", nodes.len())));
    }
    let mut raw = RawTree {
        left: ints("left_child")?,
        right: ints("right_child")?,
        feature: ints("feature")?,
        threshold: nodes
            .field_f64s("threshold")
            .ok_or_else(|| nodes_view.damaged("the nodes have no numbers threshold"))?,
        missing_left: nodes.field_ints("missing_go_to_left").unwrap_or_default(),
        values: values.floats()?,
    };
    if normalise {
        for value in raw.values.chunks_mut(outputs.max(1)) {
            let sum: f64 = value.iter().sum();
            let sum = if sum == 0.0 { 1.0 } else { sum };
            for part in value {
                *part /= sum;
            }
        }
    }
    Tree::new(raw, outputs, features).map_err(|what| nodes_view.damaged(what))
}
