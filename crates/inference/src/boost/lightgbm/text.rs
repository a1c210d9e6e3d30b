//! LightGBM's text format: `key=value` lines, a block for each tree. Every count is that of the values that are there.

use std::collections::HashMap;

use serde_json::Value;

use crate::trees::exact::{Absent, Question, RawNode};

/// What a text says of a model.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// `num_tree_per_iteration`: outputs before the link.
    pub(crate) outputs: usize,
    pub(crate) features: usize,
    pub(crate) names: Vec<String>,
    /// Whether a column was treated as categories, by `feature_infos`.
    pub(crate) categorical: Vec<bool>,
    /// `binary sigmoid:1`; empty for none.
    pub(crate) objective: String,
    /// Random forest mode: the sums are divided by the number of iterations.
    pub(crate) average: bool,
    pub(crate) trees: Vec<Vec<RawNode>>,
    /// The categories of pandas' categorical columns, in their order; empty if there were none.
    pub(crate) pandas: Vec<Vec<Value>>,
}

type Fields<'t> = HashMap<&'t str, &'t str>;

/// Reads a text. The error says what is wrong, and whether it is damage (`true`) or something we do not run.
pub(crate) fn read(text: &str) -> Result<Text, (bool, String)> {
    let damaged = |what: String| (true, what);
    let body = text.split("\nend of trees").next().unwrap_or_default();
    if body.len() == text.len() {
        return Err(damaged("it has no `end of trees`: truncated".to_owned()));
    }
    let mut blocks = body.split("\nTree=");
    let header = fields(blocks.next().unwrap_or_default());
    let mut model = read_header(&header).map_err(damaged)?;
    for (turn, block) in blocks.enumerate() {
        let block = fields(block);
        if block.get("is_linear").is_some_and(|flag| *flag != "0") {
            return Err((false, "linear_tree=true (leaves that are linear models)".to_owned()));
        }
        model.trees.push(read_tree(&block).map_err(|what| damaged(format!("tree {turn}: {what}")))?);
    }
    if !model.trees.len().is_multiple_of(model.outputs) {
        return Err(damaged(format!("{} trees do not come {} an iteration", model.trees.len(), model.outputs)));
    }
    if let Some(line) = text.lines().rev().find_map(|line| line.strip_prefix("pandas_categorical:"))
        && line.trim() != "null"
    {
        model.pandas = serde_json::from_str(line).map_err(|error| damaged(format!("pandas_categorical: {error}")))?;
    }
    Ok(model)
}

fn fields(block: &str) -> Fields<'_> {
    block.lines().map(|line| line.split_once('=').unwrap_or((line, ""))).collect()
}

fn read_header(header: &Fields<'_>) -> Result<Text, String> {
    if !header.contains_key("tree") || !header.contains_key("version") {
        return Err("it does not begin as LightGBM's text does".to_owned());
    }
    let count = |name: &str| -> Result<usize, String> {
        let text = header.get(name).ok_or_else(|| format!("{name} is missing"))?;
        text.parse().map_err(|_| format!("{name}={text} is no count"))
    };
    let features = count("max_feature_idx")?.checked_add(1).ok_or("max_feature_idx is beyond all counts")?;
    let names: Vec<String> = header.get("feature_names").unwrap_or(&"").split_whitespace().map(str::to_owned).collect();
    let infos: Vec<&str> = header.get("feature_infos").unwrap_or(&"").split_whitespace().collect();
    if names.len() != features || infos.len() != features {
        return Err(format!("{} names and {} ranges for {features} columns", names.len(), infos.len()));
    }
    let outputs = count("num_tree_per_iteration")?;
    if outputs == 0 || outputs > MAX_OUTPUTS {
        return Err(format!("num_tree_per_iteration={outputs}"));
    }
    Ok(Text {
        outputs,
        features,
        names,
        categorical: infos.iter().map(|info| !info.starts_with('[') && *info != "none").collect(),
        objective: header.get("objective").copied().unwrap_or_default().to_owned(),
        average: header.contains_key("average_output"),
        trees: Vec::new(),
        pandas: Vec::new(),
    })
}

/// Outputs that an ensemble may have.
const MAX_OUTPUTS: usize = 1 << 16;

fn list<T: std::str::FromStr>(block: &Fields<'_>, name: &str) -> Result<Vec<T>, String> {
    let text = block.get(name).copied().unwrap_or_default();
    let bad = |word: &str| format!("{name} holds {word}, which is no such number");
    text.split_ascii_whitespace().map(|word| word.parse().map_err(|_| bad(word))).collect()
}

fn read_tree(block: &Fields<'_>) -> Result<Vec<RawNode>, String> {
    let values: Vec<f64> = list(block, "leaf_value")?;
    let leaves: usize = block.get("num_leaves").and_then(|text| text.parse().ok()).ok_or("num_leaves is missing")?;
    if leaves != values.len() || leaves == 0 {
        return Err(format!("num_leaves={leaves}, but {} values", values.len()));
    }
    let splits = leaves - 1;
    let (left, right): (Vec<i64>, Vec<i64>) = (list(block, "left_child")?, list(block, "right_child")?);
    let (feature, kind): (Vec<usize>, Vec<u8>) = (list(block, "split_feature")?, list(block, "decision_type")?);
    let threshold: Vec<f64> = list(block, "threshold")?;
    // a tree of one leaf may still carry the arrays of nothing
    if splits > 0 && [left.len(), right.len(), feature.len(), kind.len(), threshold.len()] != [splits; 5] {
        return Err("the arrays differ in length".to_owned());
    }
    let (bounds, words): (Vec<usize>, Vec<u32>) = (list(block, "cat_boundaries")?, list(block, "cat_threshold")?);
    let mut nodes = Vec::with_capacity(splits + leaves);
    let mut copied = 0;
    for node in 0..splits {
        let question = if kind[node] & 1 == 0 {
            Question::Above(threshold[node])
        } else {
            let set = set(threshold[node], &bounds, &words);
            let set = set.ok_or_else(|| format!("node {node} asks for a set that is not there"))?;
            copied += set.len();
            if copied > words.len() {
                return Err("sets of categories are used more than once".to_owned());
            }
            Question::LeftIf(set.into())
        };
        let default_left = kind[node] & 2 != 0;
        let absent = match kind[node] >> 2 & 3 {
            0 => Absent::Zero,
            1 => Absent::WithZero { left: default_left },
            2 => Absent::Side { left: default_left },
            other => return Err(format!("node {node} has the missing type {other}")),
        };
        let (left, right) = (child(left[node], splits), child(right[node], splits));
        nodes.push(RawNode::Split { feature: feature[node], question, absent, left, right });
    }
    nodes.extend(values.into_iter().map(RawNode::Leaf));
    Ok(nodes)
}

/// Splits come first, then the leaves; a negative child is the complement of a leaf's number.
fn child(child: i64, splits: usize) -> usize {
    let index = if child < 0 {
        usize::try_from(!child).map(|leaf| leaf.saturating_add(splits))
    } else {
        usize::try_from(child)
    };
    index.unwrap_or(usize::MAX)
}

fn set<'w>(index: f64, bounds: &[usize], words: &'w [u32]) -> Option<&'w [u32]> {
    let index = index as usize;
    let (from, to) = (*bounds.get(index)?, *bounds.get(index.checked_add(1)?)?);
    words.get(from..to)
}
