//! XGBoost: JSON and UBJ files, and the scikit-learn wrappers, whose pickles hold UBJ. All arithmetic is in 32-bit numbers, in
//! XGBoost's order: the base score first, then tree by tree.

mod file;
mod ubj;

use crate::LoadError;
use crate::boost::link::{Ending, Link, Told};
use crate::boost::names_of;
use crate::head::{Finish, Head, Kernel, Missing};
use crate::plan::{Planner, Table};
use crate::sklearn::Shape;
use crate::trees::exact::{Exact, NODE_BYTES, Question, RawNode};
use crate::trees::{Ensemble, Payload, Tree};
use crate::view::{Plain, View};
pub(crate) use file::File;
use file::Kind;

/// The class of a model that is a file.
pub(crate) const BOOSTER: &str = "xgboost.core.Booster";
const CLASSIFIERS: [&str; 2] = ["xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRFClassifier"];
const OTHERS: [&str; 3] =
    ["xgboost.sklearn.XGBRegressor", "xgboost.sklearn.XGBRFRegressor", "xgboost.sklearn.XGBRanker"];

/// Whether the class is one of the wrappers.
pub(crate) fn is_wrapper(class: &str) -> bool {
    CLASSIFIERS.contains(&class) || OTHERS.contains(&class)
}

/// Whether the class is a classifier's wrapper.
pub(crate) fn is_classifier(class: &str) -> bool {
    CLASSIFIERS.contains(&class)
}

/// Whether bytes may be a model: JSON, or an object of UBJ, whose first key has a length.
pub(crate) fn sniff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"binf")
        || matches!(bytes, [b'{', b'"' | b' ' | b'\n' | b'\r' | b'\t' | b'i' | b'U' | b'I' | b'l' | b'L', ..])
}

/// Reads a file; errors stand at the place of the view.
pub(crate) fn parse(view: &View<'_>, bytes: &[u8]) -> Result<File, LoadError> {
    if bytes.starts_with(b"binf") {
        return Err(view.unsupported("the binary format of XGBoost before 3 (save it as .ubj or .json)"));
    }
    let binary = bytes.get(1).is_some_and(u8::is_ascii_alphabetic);
    let plain: Vec<u8>;
    let root = if binary {
        ubj::read(bytes).map_err(|what| view.damaged(what))?
    } else {
        plain = without_nan(bytes);
        serde_json::from_slice(&plain).map_err(|error| view.damaged(error.to_string()))?
    };
    // a pickle holds the configuration beside the model
    let root = root.get("Model").unwrap_or(&root);
    file::read(root).map_err(|(damage, what)| if damage { view.damaged(what) } else { view.unsupported(what) })
}

/// JSON with `null` for the bare `NaN` that XGBoost up to 2 writes as the condition of a categorical split.
fn without_nan(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let (mut at, mut quoted) = (0, false);
    while let Some(byte) = bytes.get(at) {
        if !quoted && bytes[at..].starts_with(b"NaN") {
            plain.extend_from_slice(b"null");
            at += 3;
            continue;
        }
        if quoted && *byte == b'\\' {
            plain.push(*byte);
            at += 1;
        } else if *byte == b'"' {
            quoted = !quoted;
        }
        plain.extend(bytes.get(at));
        at += 1;
    }
    plain
}

/// What a file takes.
pub(crate) fn shape(file: &File) -> Shape {
    let names = if file.names.is_empty() { None } else { Some(names_of(&file.names)) };
    Shape { names, count: file.features }
}

/// Whether a booster's `predict` answers the chosen class rather than scores.
pub(crate) fn answers_class(file: &File) -> bool {
    file.objective == "multi:softmax"
}

/// The file inside a wrapper's pickle.
fn inner<'d>(view: &View<'d>) -> Result<(View<'d>, File), LoadError> {
    let booster = view.find("_Booster").ok_or_else(|| view.damaged("it was not fitted: _Booster is missing"))?;
    if booster.class() != BOOSTER {
        return Err(booster.unknown_class());
    }
    let handle = booster.attr("handle")?;
    if view.find("missing").is_some_and(|missing| missing.float().is_ok_and(|missing| !missing.is_nan())) {
        return Err(view.unsupported("a missing value other than NaN"));
    }
    let file = parse(&handle, handle.bytes()?)?;
    Ok((handle, file))
}

/// What a wrapper takes.
pub(crate) fn wrapper_shape(view: &View<'_>) -> Result<Shape, LoadError> {
    Ok(shape(&inner(view)?.1))
}

/// A wrapper, alone or at the end of a pipeline.
pub(crate) fn wrapper(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Head, LoadError> {
    let (handle, file) = inner(view)?;
    head(&handle, planner, table, file, Some(CLASSIFIERS.contains(&view.class())))
}

/// Compiles a file. `wrapper`: it belongs to a scikit-learn wrapper, a classifier (`true`) or another (`false`).
pub(crate) fn head(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    mut file: File,
    wrapper: Option<bool>,
) -> Result<Head, LoadError> {
    if table.features.len() != file.features || file.features == 0 {
        let what = format!("it takes {} columns, but {} reach it", file.features, table.features.len());
        return Err(view.damaged(what));
    }
    let objective = objective(view, &file)?;
    let told = if wrapper == Some(false) { Told::Value } else { objective.told };
    if told == Told::Value && (file.outputs != 1 || wrapper == Some(true)) {
        let what = format!("objective {} with {} outputs", file.objective, file.outputs.max(file.targets));
        return Err(view.unsupported(what));
    }
    let start: Vec<f32> = file.base.iter().map(|base| objective.margin(*base)).collect();
    let start: Vec<f32> = if start.len() == 1 { vec![start[0]; file.outputs] } else { start };
    if !start.iter().all(|start| start.is_finite()) {
        return Err(view.damaged(format!("base_score is out of the range of {}", file.objective)));
    }
    let count = if file.outputs == 1 { 2 } else { file.outputs };
    let classes = if told == Told::Classes { (0..count as i64).map(Plain::Int).collect() } else { Vec::new() };
    let kernel = kernel(view, planner, &mut file, &start, wrapper.is_some())?;
    let ending = Ending { link: objective.link, told, single: true };
    Head::new(view, planner, table, kernel, Finish::Boosted(ending), classes, Missing::Take("XGBoost"))
}

fn kernel(
    view: &View<'_>,
    planner: &mut Planner,
    file: &mut File,
    start: &[f32],
    wrapper: bool,
) -> Result<Kernel, LoadError> {
    let wide: Vec<f64> = start.iter().map(|start| f64::from(*start)).collect();
    let (trees, weights) = match &mut file.kind {
        Kind::Linear { weights } => {
            // XGBoost's linear booster adds the base score of the first output to each
            let start = vec![wide[0]; wide.len()];
            return Ok(Kernel::LinearSingle { weights: std::mem::take(weights), start });
        }
        Kind::Trees { trees, weights } => (std::mem::take(trees), weights.take()),
    };
    let mut trees = trees;
    if let Some(weights) = weights {
        for (turn, (tree, weight)) in trees.iter_mut().zip(&weights).enumerate() {
            let base = start.get(file.groups[turn]).copied().unwrap_or_default();
            weigh(tree, *weight, wrapper.then_some(base));
        }
    }
    if let Some(best) = file.best.filter(|_| wrapper) {
        let per_iteration = file.outputs.saturating_mul(file.parallel);
        trees.truncate(best.saturating_add(1).saturating_mul(per_iteration));
    }
    let trees = in_turns(trees, &file.groups, file.outputs).map_err(|what| view.damaged(what))?;
    planner.charge(view, trees.iter().map(Vec::len).sum::<usize>().saturating_mul(NODE_BYTES))?;
    let categorical = |node: &RawNode| matches!(node, RawNode::Split { question: Question::RightIf(_), .. });
    if trees.iter().flatten().any(categorical) {
        let ensemble = Exact::new(&trees, file.features, file.outputs, true).map_err(|what| view.damaged(what))?;
        return Ok(Kernel::Exact { ensemble, start: wide, divide: None });
    }
    let trees = trees.iter().enumerate().map(|(turn, tree)| {
        Tree::from_nodes(tree, file.features).map_err(|what| view.damaged(format!("tree {turn}: {what}")))
    });
    let trees = trees.collect::<Result<Vec<Tree>, _>>()?;
    let ensemble = Ensemble::new(&trees, file.outputs, Payload::Turns, 1.0).map_err(|what| view.damaged(what))?;
    Ok(Kernel::Trees { ensemble: ensemble.with_single_sums(), start: wide, divide: None })
}

/// `dart`: the value of each leaf times the tree's weight. The wrappers predict in place, where XGBoost adds the base score to each
/// tree and takes it off again.
fn weigh(tree: &mut [RawNode], weight: f32, base: Option<f32>) {
    for node in tree {
        if let RawNode::Leaf(value) = node {
            let leaf = *value as f32;
            let leaf = base.map_or(leaf, |base| (base + leaf) - base);
            *value = f64::from(leaf * weight);
        }
    }
}

/// The trees so that tree `t` belongs to output `t % outputs`; the order within an output is kept.
fn in_turns(trees: Vec<Vec<RawNode>>, groups: &[usize], outputs: usize) -> Result<Vec<Vec<RawNode>>, String> {
    let mut queues: Vec<Vec<Vec<RawNode>>> = vec![Vec::new(); outputs];
    for (tree, group) in trees.into_iter().zip(groups) {
        queues.get_mut(*group).ok_or_else(|| format!("a tree of output {group} of {outputs}"))?.push(tree);
    }
    let rounds = queues.first().map_or(0, Vec::len);
    if queues.iter().any(|queue| queue.len() != rounds) {
        return Err("the outputs have different numbers of trees".to_owned());
    }
    let mut queues: Vec<_> = queues.into_iter().map(Vec::into_iter).collect();
    Ok((0..rounds).flat_map(|_| queues.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>()).collect())
}

/// An objective: how its base score becomes a raw one, and what becomes of the raw sums.
struct Objective {
    logit: bool,
    log: bool,
    link: Link,
    told: Told,
}

impl Objective {
    fn margin(&self, base: f32) -> f32 {
        if self.logit {
            -(1.0 / base - 1.0).ln()
        } else if self.log {
            base.ln()
        } else {
            base
        }
    }
}

fn objective(view: &View<'_>, file: &File) -> Result<Objective, LoadError> {
    let sigmoid = Link::Sigmoid { factor: 1.0 };
    let (logit, log, link, told) = match file.objective.as_str() {
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "reg:expectileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map" => (false, false, Link::Identity, Told::Value),
        "reg:logistic" => (true, false, sigmoid, Told::Value),
        "binary:logistic" => (true, false, sigmoid, Told::Classes),
        "binary:logitraw" => (false, false, Link::Identity, Told::Value),
        "binary:hinge" => (false, false, Link::Hinge, Told::Classes),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (false, true, Link::Exponential, Told::Value)
        }
        "multi:softprob" | "multi:softmax" => (false, false, Link::Softmax, Told::Classes),
        other => return Err(view.unsupported(format!("objective {other}"))),
    };
    Ok(Objective { logit, log, link, told })
}
