//! What an XGBoost file says, from JSON or UBJ: every array checked against the others before a tree is made of it.

use crate::json::Json;
use crate::trees::exact::{Absent, Question, RawNode};

/// A booster's kind, with what only it has.
#[derive(Debug)]
pub(crate) enum Kind {
    Trees {
        trees: Vec<Vec<RawNode>>,
        /// `dart`: the weight of each tree.
        weights: Option<Vec<f32>>,
    },
    Linear {
        /// (features + 1) x outputs; the last row is the bias.
        weights: Vec<f64>,
    },
}

/// A model as its file says it.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) version: String,
    pub(crate) features: usize,
    /// Groups: classes or targets.
    pub(crate) outputs: usize,
    pub(crate) targets: usize,
    pub(crate) names: Vec<String>,
    pub(crate) objective: String,
    /// As given by the user, before the link: one, or one an output.
    pub(crate) base: Vec<f32>,
    pub(crate) kind: Kind,
    /// Trees of one output stand so many together.
    pub(crate) parallel: usize,
    /// The output of each tree.
    pub(crate) groups: Vec<usize>,
    /// Saved from a scikit-learn wrapper that is a classifier (`true`) or another (`false`).
    pub(crate) wrapper: Option<bool>,
    /// Early stopping's best iteration.
    pub(crate) best: Option<usize>,
}

/// Damage (`true`) or something that we do not run, and what.
pub(crate) type Wrong = (bool, String);

fn damaged(what: impl Into<String>) -> Wrong {
    (true, what.into())
}

/// Reads the tree of values.
pub(crate) fn read(root: &Json<'_>) -> Result<File, Wrong> {
    let learner = root.get("learner").ok_or_else(|| damaged("it has no learner"))?;
    let param = learner.get("learner_model_param").ok_or_else(|| damaged("it has no learner_model_param"))?;
    let count = |name: &str| number(param, name).map_err(damaged);
    let features = count("num_feature")?;
    let (classes, targets) =
        (count("num_class")?, if param.get("num_target").is_some() { count("num_target")? } else { 1 });
    let outputs = classes.max(targets).max(1);
    if outputs > MAX_OUTPUTS {
        return Err(damaged(format!("{outputs} outputs")));
    }
    let booster = learner.get("gradient_booster").ok_or_else(|| damaged("it has no gradient_booster"))?;
    let mut file = File {
        version: version(root),
        features,
        outputs,
        targets,
        names: texts(learner.get("feature_names")),
        objective: learner.get("objective").and_then(|it| it.text("name")).unwrap_or_default().to_owned(),
        base: base(param)?,
        kind: Kind::Linear { weights: Vec::new() },
        parallel: 1,
        groups: Vec::new(),
        wrapper: None,
        best: None,
    };
    if file.base.len() != 1 && file.base.len() != outputs {
        return Err(damaged(format!("{} base scores for {outputs} outputs", file.base.len())));
    }
    attributes(learner, &mut file);
    match booster.text("name") {
        Some("gbtree") => trees(booster, None, &mut file)?,
        Some("dart") => {
            let weights =
                booster.get("weight_drop").and_then(Json::numbers).ok_or_else(|| damaged("no weight_drop"))?;
            let weights = weights.into_iter().map(|weight| weight as f32).collect();
            let inner = booster.get("gbtree").ok_or_else(|| damaged("the booster has no gbtree"))?;
            trees(inner, Some(weights), &mut file)?;
        }
        Some("gblinear") => linear(booster, &mut file)?,
        other => return Err((false, format!("booster {}", other.unwrap_or("without a name")))),
    }
    Ok(file)
}

/// Outputs that an ensemble may have.
const MAX_OUTPUTS: usize = 1 << 16;

/// A count, which XGBoost writes as a text.
fn number(map: &Json<'_>, name: &str) -> Result<usize, String> {
    match map.get(name) {
        Some(Json::Text(text)) => text.parse().map_err(|_| format!("{name} is {text}, which is no count")),
        Some(Json::Int(count)) => usize::try_from(*count).map_err(|_| format!("{name} is {count}")),
        _ => Err(format!("{name} is missing")),
    }
}

fn version(root: &Json<'_>) -> String {
    let parts = root.get("version").and_then(Json::numbers).unwrap_or_default();
    let parts: Vec<String> = parts.iter().map(|part| format!("{}", *part as u64)).collect();
    if parts.is_empty() { "of unknown version".to_owned() } else { parts.join(".") }
}

fn texts(list: Option<&Json<'_>>) -> Vec<String> {
    let Some(Json::List(members)) = list else { return Vec::new() };
    members
        .iter()
        .filter_map(|member| if let Json::Text(text) = member { Some(text.to_string()) } else { None })
        .collect()
}

/// A number, or since 3.1 a list of them, as text.
fn base(param: &Json<'_>) -> Result<Vec<f32>, Wrong> {
    let text = param.text("base_score").ok_or_else(|| damaged("base_score is missing"))?;
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let parts: Result<Vec<f32>, _> = inner.split(',').map(|part| part.trim().parse::<f32>()).collect();
    match parts {
        Ok(parts) if parts.iter().all(|part| part.is_finite()) => Ok(parts),
        _ => Err(damaged(format!("base_score is {text}"))),
    }
}

fn attributes(learner: &Json<'_>, file: &mut File) {
    let Some(attributes) = learner.get("attributes") else { return };
    if let Some(text) = attributes.text("scikit_learn") {
        file.wrapper = Some(text.contains("\"classifier\""));
    }
    file.best = attributes.text("best_iteration").and_then(|text| text.parse().ok());
}

fn linear(booster: &Json<'_>, file: &mut File) -> Result<(), Wrong> {
    let weights = booster.get("model").and_then(|model| model.get("weights")).and_then(Json::numbers);
    let weights = weights.ok_or_else(|| damaged("the linear booster has no weights"))?;
    let expected = file.features.checked_add(1).and_then(|rows| rows.checked_mul(file.outputs));
    if expected != Some(weights.len()) {
        return Err(damaged(format!("{} weights for {} columns", weights.len(), file.features)));
    }
    file.kind = Kind::Linear { weights: weights.into_iter().map(|weight| f64::from(weight as f32)).collect() };
    Ok(())
}

fn trees(booster: &Json<'_>, weights: Option<Vec<f32>>, file: &mut File) -> Result<(), Wrong> {
    let model = booster.get("model").ok_or_else(|| damaged("the booster has no model"))?;
    if !is_empty(model.get("cats").and_then(|cats| cats.get("enc"))) {
        return Err((false, "categories that were texts or another type than numbers in training".to_owned()));
    }
    let Some(Json::List(list)) = model.get("trees") else { return Err(damaged("the model has no trees")) };
    let groups = model.get("tree_info").and_then(Json::numbers).ok_or_else(|| damaged("tree_info is missing"))?;
    file.groups = groups.into_iter().map(|group| group as usize).collect();
    if file.groups.len() != list.len() || weights.as_ref().is_some_and(|weights| weights.len() != list.len()) {
        return Err(damaged("tree_info or weight_drop does not fit the trees"));
    }
    if let Some(param) = model.get("gbtree_model_param")
        && param.get("num_parallel_tree").is_some()
    {
        file.parallel = number(param, "num_parallel_tree").map_err(damaged)?.max(1);
    }
    let mut trees = Vec::with_capacity(list.len());
    for (turn, value) in list.iter().enumerate() {
        let nodes = tree(value).map_err(|(damage, what)| (damage, format!("tree {turn}: {what}")))?;
        trees.push(nodes);
    }
    file.kind = Kind::Trees { trees, weights };
    Ok(())
}

fn is_empty(list: Option<&Json<'_>>) -> bool {
    match list {
        None | Some(Json::Null) => true,
        Some(Json::List(list)) => list.is_empty(),
        Some(Json::Numbers(list)) => list.is_empty(),
        Some(_) => false,
    }
}

fn tree(value: &Json<'_>) -> Result<Vec<RawNode>, Wrong> {
    if let Some(param) = value.get("tree_param")
        && param.text("size_leaf_vector").is_some_and(|size| size != "0" && size != "1")
    {
        return Err((false, "multi_strategy=multi_output_tree (a leaf with several values)".to_owned()));
    }
    let list =
        |name: &str| value.get(name).and_then(Json::numbers).ok_or_else(|| damaged(format!("{name} is missing")));
    let (left, right) = (list("left_children")?, list("right_children")?);
    let (feature, condition, default) = (list("split_indices")?, list("split_conditions")?, list("default_left")?);
    let count = left.len();
    if [right.len(), feature.len(), condition.len(), default.len()] != [count; 4] {
        return Err(damaged("the arrays differ in length"));
    }
    let sets = sets(value, count)?;
    let node = |node: usize| {
        if left[node] < 0.0 && right[node] < 0.0 {
            return Ok(RawNode::Leaf(f64::from(condition[node] as f32)));
        }
        let question = match sets.get(node).and_then(Option::as_ref) {
            Some(set) => Question::RightIf(set.clone()),
            // XGBoost goes left if x < condition: right if x is above the number before it
            None => Question::Above(f64::from((condition[node] as f32).next_down())),
        };
        let absent = Absent::Side { left: default[node] != 0.0 };
        let child = |child: f64| if child < 0.0 { usize::MAX } else { child as usize };
        let feature = if feature[node] < 0.0 { usize::MAX } else { feature[node] as usize };
        Ok(RawNode::Split { feature, question, absent, left: child(left[node]), right: child(right[node]) })
    };
    (0..count).map(node).collect()
}

/// The set of each categorical node; empty if the tree has none.
fn sets(value: &Json<'_>, count: usize) -> Result<Vec<Option<Box<[u32]>>>, Wrong> {
    let kinds = value.get("split_type").and_then(Json::numbers).unwrap_or_default();
    if kinds.iter().all(|kind| *kind == 0.0) {
        return Ok(Vec::new());
    }
    let list =
        |name: &str| value.get(name).and_then(Json::numbers).ok_or_else(|| damaged(format!("{name} is missing")));
    let (nodes, starts, sizes) = (list("categories_nodes")?, list("categories_segments")?, list("categories_sizes")?);
    let categories = list("categories")?;
    if starts.len() != nodes.len() || sizes.len() != nodes.len() || kinds.len() != count {
        return Err(damaged("the categorical arrays differ in length"));
    }
    if sizes.iter().sum::<f64>() > categories.len() as f64 {
        return Err(damaged("categories are used more than once"));
    }
    let mut sets: Vec<Option<Box<[u32]>>> = vec![None; count];
    for (node, (start, size)) in nodes.iter().zip(starts.iter().zip(&sizes)) {
        let range = (*start as usize).checked_add(*size as usize).map(|end| *start as usize..end);
        let members = range.and_then(|range| categories.get(range));
        let members = members.ok_or_else(|| damaged(format!("node {node} asks for categories that are not there")))?;
        let target =
            sets.get_mut(*node as usize).ok_or_else(|| damaged(format!("categories of node {node} of {count}")))?;
        *target = Some(set(members)?);
    }
    for (node, kind) in kinds.iter().enumerate() {
        if (*kind == 1.0) != sets[node].is_some() {
            return Err(damaged(format!("node {node} is categorical without categories, or the reverse")));
        }
    }
    Ok(sets)
}

fn set(members: &[f64]) -> Result<Box<[u32]>, Wrong> {
    if let Some(wrong) = members.iter().find(|member| !(0.0..=f64::from(u32::MAX)).contains(*member)) {
        return Err(damaged(format!("a category of {wrong}")));
    }
    let mut members: Vec<u32> = members.iter().map(|member| *member as u32).collect();
    members.sort_unstable();
    Ok(members.into())
}
