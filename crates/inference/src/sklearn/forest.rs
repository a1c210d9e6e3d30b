//! Decision trees and forests of them: the mean of the trees' values or class fractions.

use crate::LoadError;
use crate::head::{Finish, Head, Kernel, Missing};
use crate::plan::{Planner, Table};
use crate::sklearn::{Version, check_width, classes, tree};
use crate::trees::{Ensemble, Payload};
use crate::view::View;

/// A tree on its own.
pub(super) fn single(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    version: Version,
    classifier: bool,
) -> Result<Head, LoadError> {
    let missing = missing(view, view, version, table, false)?;
    build(view, planner, table, version, classifier, std::slice::from_ref(view), None, missing)
}

/// A forest.
pub(super) fn forest(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    version: Version,
    classifier: bool,
) -> Result<Head, LoadError> {
    let estimators = view.attr("estimators_")?.members()?;
    let Some(first) = estimators.first() else { return Err(view.damaged("the forest has no trees")) };
    let missing = missing(view, first, version, table, true)?;
    build(view, planner, table, version, classifier, &estimators, Some(estimators.len() as f64), missing)
}

#[expect(clippy::too_many_arguments, reason = "the two callers differ in just these")]
fn build(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    version: Version,
    classifier: bool,
    estimators: &[View<'_>],
    divide: Option<f64>,
    missing: Missing,
) -> Result<Head, LoadError> {
    let features = check_width(view, table)?;
    if view.attr("n_outputs_")?.index()? != 1 {
        return Err(view.unsupported("more than one output"));
    }
    let classes = if classifier { classes(view)? } else { Vec::new() };
    let outputs = classes.len().max(1);
    // up to 1.3 the values were not yet fractions in every case, and predict_proba divided by their sum
    let normalise = classifier && version < (1, 4);
    let trees = estimators
        .iter()
        .map(|estimator| tree::read(estimator, planner, outputs, features, normalise))
        .collect::<Result<Vec<_>, _>>()?;
    let ensemble = Ensemble::new(&trees, outputs, if outputs == 1 { Payload::Turns } else { Payload::Vector }, 1.0)
        .map_err(|what| view.damaged(what))?;
    let kernel = Kernel::Trees { ensemble, start: vec![0.0; outputs], divide };
    let finish = if classifier { Finish::Fractions } else { Finish::Value };
    Head::new(view, planner, table, kernel, finish, classes, missing)
}

/// Whether missing values are taken: scikit-learn's `_support_missing_values`, which has changed with its versions.
fn missing(
    view: &View<'_>,
    tree: &View<'_>,
    version: Version,
    table: &Table,
    forest: bool,
) -> Result<Missing, LoadError> {
    let refuse = Missing::Refuse(short(view.class()));
    if table.sparse || (forest && version < (1, 4)) {
        return Ok(refuse);
    }
    if version >= (1, 9) {
        return Ok(Missing::Take(short(view.class())));
    }
    let best = tree.attr("splitter")?.text()? == "best";
    let criterion = tree.attr("criterion")?.text()?;
    let known = ["gini", "log_loss", "entropy", "squared_error", "friedman_mse", "poisson"].contains(&criterion);
    let free = tree.find("monotonic_cst").is_none_or(|constraint| constraint.is_none());
    let takes = known && free && (best || version >= (1, 6));
    Ok(if takes { Missing::Take(short(view.class())) } else { refuse })
}

/// The name that messages use.
pub(super) fn short(class: &str) -> &'static str {
    const NAMES: [&str; 8] = [
        "RandomForestRegressor",
        "RandomForestClassifier",
        "ExtraTreesRegressor",
        "ExtraTreesClassifier",
        "DecisionTreeRegressor",
        "DecisionTreeClassifier",
        "ExtraTreeRegressor",
        "ExtraTreeClassifier",
    ];
    let name = class.rsplit('.').next().unwrap_or(class);
    NAMES.into_iter().find(|known| *known == name).unwrap_or("the estimator")
}
