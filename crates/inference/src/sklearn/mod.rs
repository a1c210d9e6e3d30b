//! scikit-learn's estimators, recognised by their full names and compiled into a plan and a head.
//!
//! A class that is not in the tables below is refused with its name. Attributes are read as fitted objects have carried them from
//! scikit-learn 1.3 on; a missing one is an error, never a default.

mod boosting;
mod columns;
pub(crate) mod encoder;
mod forest;
mod hist;
mod imputer;
mod linear;
mod pipeline;
mod scaler;
mod tree;

use crate::LoadError;
use crate::boost::{lightgbm, xgboost};
use crate::head::Head;
use crate::plan::{Planner, Table};
use crate::view::{Plain, View};

pub(crate) use pipeline::{Shape, describe, shape};

/// scikit-learn's version: (1, 9).
pub(crate) type Version = (u32, u32);

/// The oldest version whose attributes are known here.
const OLDEST: Version = (1, 3);
/// The newest whose rules are known here.
pub(crate) const NEWEST: Version = (1, 9);
/// Attributes may change their meaning with a new major version.
const NEXT_MAJOR: u32 = 2;

/// The version in an estimator's state, checked.
pub(crate) fn version(view: &View<'_>) -> Result<(Version, String), LoadError> {
    let Some(found) = view.find("_sklearn_version") else {
        return Err(view.unknown_class());
    };
    let text = found.text()?;
    let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
    let version = match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor),
        _ => return Err(found.damaged(format!("{text} is no version of scikit-learn"))),
    };
    if version < OLDEST || version.0 >= NEXT_MAJOR {
        let what = format!("scikit-learn {text} (1.3 to 1.x is)");
        return Err(LoadError::unsupported(view.class(), view.place(), what));
    }
    Ok((version, text.to_owned()))
}

/// Compiles the model: its transformers into the planner, its final estimator into the head.
pub(crate) fn compile(
    view: &View<'_>,
    planner: &mut Planner,
    table: Table,
    version: Version,
) -> Result<Head, LoadError> {
    planner.enter(view)?;
    let name = view.class();
    let head = match name {
        "sklearn.pipeline.Pipeline" => pipeline::head(view, planner, table, version),
        "sklearn.ensemble._gb.GradientBoostingRegressor" => boosting::regressor(view, planner, &table),
        "sklearn.ensemble._gb.GradientBoostingClassifier" => boosting::classifier(view, planner, &table, version),
        "sklearn.ensemble._forest.RandomForestRegressor" | "sklearn.ensemble._forest.ExtraTreesRegressor" => {
            forest::forest(view, planner, &table, version, false)
        }
        "sklearn.ensemble._forest.RandomForestClassifier" | "sklearn.ensemble._forest.ExtraTreesClassifier" => {
            forest::forest(view, planner, &table, version, true)
        }
        "sklearn.tree._classes.DecisionTreeRegressor" | "sklearn.tree._classes.ExtraTreeRegressor" => {
            forest::single(view, planner, &table, version, false)
        }
        "sklearn.tree._classes.DecisionTreeClassifier" | "sklearn.tree._classes.ExtraTreeClassifier" => {
            forest::single(view, planner, &table, version, true)
        }
        "sklearn.linear_model._base.LinearRegression"
        | "sklearn.linear_model._ridge.Ridge"
        | "sklearn.linear_model._ridge.RidgeCV"
        | "sklearn.linear_model._coordinate_descent.Lasso"
        | "sklearn.linear_model._coordinate_descent.LassoCV"
        | "sklearn.linear_model._coordinate_descent.ElasticNet"
        | "sklearn.linear_model._coordinate_descent.ElasticNetCV" => linear::regressor(view, planner, &table),
        "sklearn.linear_model._logistic.LogisticRegression" | "sklearn.linear_model._logistic.LogisticRegressionCV" => {
            linear::classifier(view, planner, &table, version)
        }
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor" => {
            hist::regressor(view, planner, table)
        }
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier" => {
            hist::classifier(view, planner, table)
        }
        name if lightgbm::is_wrapper(name) => lightgbm::wrapper(view, planner, &table),
        name if xgboost::is_wrapper(name) => xgboost::wrapper(view, planner, &table),
        _ => Err(view.unknown_class()),
    };
    planner.leave();
    head
}

/// Compiles a transformer.
fn transform(view: &View<'_>, planner: &mut Planner, table: Table, version: Version) -> Result<Table, LoadError> {
    planner.enter(view)?;
    let table = match view.class() {
        "sklearn.pipeline.Pipeline" => pipeline::transform(view, planner, table, version),
        "sklearn.pipeline.FeatureUnion" => pipeline::union(view, planner, &table, version),
        "sklearn.compose._column_transformer.ColumnTransformer" => columns::transform(view, planner, &table, version),
        "sklearn.preprocessing._data.StandardScaler" => scaler::standard(view, planner, &table),
        "sklearn.preprocessing._data.RobustScaler" => scaler::robust(view, planner, &table),
        "sklearn.preprocessing._data.MaxAbsScaler" => scaler::max_abs(view, planner, &table),
        "sklearn.preprocessing._data.MinMaxScaler" => scaler::min_max(view, planner, &table),
        "sklearn.preprocessing._encoders.OneHotEncoder" => encoder::one_hot(view, planner, &table),
        "sklearn.preprocessing._encoders.OrdinalEncoder" => encoder::ordinal(view, planner, &table),
        "sklearn.impute._base.SimpleImputer" => imputer::simple(view, planner, &table),
        "sklearn.preprocessing._function_transformer.FunctionTransformer" => identity(view, table),
        "str" | "None" if is_passthrough(view) => Ok(table),
        _ => Err(view.unknown_class()),
    };
    planner.leave();
    table
}

/// `"passthrough"` or `None` in the place of a transformer.
fn is_passthrough(view: &View<'_>) -> bool {
    view.is_none() || view.text().is_ok_and(|text| text == "passthrough")
}

/// A FunctionTransformer without a function is what a fitted ColumnTransformer puts for "passthrough". One with a function is code.
fn identity(view: &View<'_>, table: Table) -> Result<Table, LoadError> {
    let func = view.attr("func")?;
    if func.is_none() {
        return Ok(table);
    }
    Err(view.unsupported(format!("its function {} (functions are code and are never run), which", func.class())))
}

/// Checks that a fitted estimator takes as many columns as reach it.
fn check_width(view: &View<'_>, table: &Table) -> Result<usize, LoadError> {
    let takes = view.attr("n_features_in_")?.index()?;
    let comes = table.features.len();
    if takes != comes {
        return Err(view.damaged(format!("{} takes {takes} columns, but {comes} reach it", view.class())));
    }
    Ok(takes)
}

/// The classes of a classifier with one output.
fn classes(view: &View<'_>) -> Result<Vec<Plain>, LoadError> {
    let classes = view.attr("classes_")?;
    if matches!(classes.node(), crate::node::Node::List(_)) {
        return Err(view.unsupported("more than one output"));
    }
    let classes = classes.plains()?;
    if classes.len() < 2 {
        return Err(view.unsupported("a single class"));
    }
    Ok(classes)
}
