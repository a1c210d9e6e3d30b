//! HistGradientBoostingRegressor and HistGradientBoostingClassifier: 64-bit comparisons, missing values with a learned side, and
//! categorical splits as bit sets. Text categories pass scikit-learn's own inner ColumnTransformer first.

use crate::LoadError;
use crate::head::{Finish, Head, Kernel, Missing};
use crate::histogram::{HistEnsemble, HistNode, HistTree};
use crate::plan::{Planner, Table};
use crate::sklearn::{check_width, classes, columns};
use crate::view::View;

/// What one node costs when loaded, roughly.
const NODE_BYTES: usize = 96;
const IDENTITY: [&str; 3] = ["squared_error", "absolute_error", "quantile"];
const LOG: [&str; 2] = ["poisson", "gamma"];

/// A regressor.
pub(super) fn regressor(view: &View<'_>, planner: &mut Planner, table: Table) -> Result<Head, LoadError> {
    let finish = match view.attr("loss")?.text()? {
        loss if IDENTITY.contains(&loss) => Finish::Value,
        loss if LOG.contains(&loss) => Finish::Exponential,
        loss => return Err(view.unsupported(format!("loss {loss}"))),
    };
    let (kernel, table) = kernel(view, planner, table, 1)?;
    Head::new(view, planner, &table, kernel, finish, Vec::new(), Missing::Any)
}

/// A classifier.
pub(super) fn classifier(view: &View<'_>, planner: &mut Planner, table: Table) -> Result<Head, LoadError> {
    let classes = classes(view)?;
    let outputs = if classes.len() == 2 { 1 } else { classes.len() };
    let (kernel, table) = kernel(view, planner, table, outputs)?;
    // predict takes the first class on a tie: argmax over the probabilities
    let finish = if outputs == 1 { Finish::Sigmoid { factor: 1.0, tie: false } } else { Finish::Softmax };
    Head::new(view, planner, &table, kernel, finish, classes, Missing::Any)
}

fn kernel(view: &View<'_>, planner: &mut Planner, table: Table, outputs: usize) -> Result<(Kernel, Table), LoadError> {
    let width = check_width(view, &table)?;
    let table = match view.find("_preprocessor").filter(|preprocessor| !preprocessor.is_none()) {
        Some(preprocessor) => preprocess(&preprocessor, planner, &table)?,
        None => table,
    };
    let start = view.attr("_baseline_prediction")?.floats()?;
    if start.len() != outputs {
        return Err(view.damaged("the baseline does not fit the classes"));
    }
    let known = known_categories(view, width)?;
    let mut trees = Vec::new();
    for stage in view.attr("_predictors")?.members()? {
        let predictors = stage.members()?;
        if predictors.len() != outputs {
            return Err(stage.damaged(format!("the trees do not come {outputs} a stage")));
        }
        for predictor in predictors {
            trees.push(tree(&predictor, planner, width)?);
        }
    }
    let ensemble = HistEnsemble::new(trees, known, outputs);
    Ok((Kernel::Histogram { ensemble, start }, table))
}

/// The inner ColumnTransformer: an OrdinalEncoder for the categories, the rest as it is (its FunctionTransformer only checks).
fn preprocess(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    if view.class() != "sklearn.compose._column_transformer.ColumnTransformer" {
        return Err(view.unknown_class());
    }
    columns::transform_histogram(view, planner, table)
}

/// For each column the bit set of categories known from training; none for a column of numbers.
fn known_categories(view: &View<'_>, width: usize) -> Result<Vec<Option<[u32; 8]>>, LoadError> {
    let mapper = view.attr("_bin_mapper")?;
    let categorical = mapper.find("is_categorical_").filter(|flags| !flags.is_none());
    let Some(categorical) = categorical else { return Ok(vec![None; width]) };
    let flags = categorical.floats()?;
    let thresholds = mapper.attr("bin_thresholds_")?.members()?;
    if flags.len() != width || thresholds.len() != width {
        return Err(mapper.damaged("the categories do not fit the columns"));
    }
    let mut known = Vec::with_capacity(width);
    for (flag, thresholds) in flags.iter().zip(&thresholds) {
        if *flag == 0.0 {
            known.push(None);
            continue;
        }
        let mut bits = [0_u32; 8];
        for category in thresholds.floats()? {
            if !(0.0..256.0).contains(&category) {
                return Err(thresholds.damaged("a category is not below 256"));
            }
            let category = category as usize;
            bits[category / 32] |= 1 << (category % 32);
        }
        known.push(Some(bits));
    }
    Ok(known)
}

fn tree(view: &View<'_>, planner: &mut Planner, width: usize) -> Result<HistTree, LoadError> {
    if view.class() != "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor" {
        return Err(view.unknown_class());
    }
    let nodes_view = view.attr("nodes")?;
    let nodes = nodes_view.array()?;
    planner.charge(&nodes_view, nodes.len().saturating_mul(NODE_BYTES))?;
    let ints = |name: &str| {
        nodes.field_ints(name).ok_or_else(|| nodes_view.damaged(format!("the nodes have no integers {name}")))
    };
    let floats = |name: &str| {
        nodes.field_f64s(name).ok_or_else(|| nodes_view.damaged(format!("the nodes have no numbers {name}")))
    };
    let bits: Vec<u32> = view.attr("raw_left_cat_bitsets")?.floats()?.into_iter().map(|word| word as u32).collect();
    let (left, right, feature, leaf) = (ints("left")?, ints("right")?, ints("feature_idx")?, ints("is_leaf")?);
    let (missing, categorical, bitset) = (ints("missing_go_to_left")?, ints("is_categorical")?, ints("bitset_idx")?);
    let (value, threshold) = (floats("value")?, floats("num_threshold")?);
    let raw: Vec<HistNode> = (0..nodes.len())
        .map(|node| HistNode {
            number: if leaf[node] != 0 { value[node] } else { threshold[node] },
            left: left[node] as u32,
            right: right[node] as u32,
            feature: feature[node] as u32,
            leaf: leaf[node] != 0,
            missing_left: missing[node] != 0,
            bits: (categorical[node] != 0).then(|| bitset[node] as u32),
        })
        .collect();
    HistTree::new(raw, bits.as_chunks::<8>().0.to_vec(), width).map_err(|what| nodes_view.damaged(what))
}
