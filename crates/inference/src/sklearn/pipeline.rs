//! Pipeline and FeatureUnion.

use std::sync::Arc;

use crate::LoadError;
use crate::boost::{lightgbm, xgboost};
use crate::head::Head;
use crate::plan::{Planner, Table};
use crate::sklearn::{Version, compile, transform as transform_one};
use crate::view::{Plain, View};

const PIPELINE: &str = "sklearn.pipeline.Pipeline";
const UNION: &str = "sklearn.pipeline.FeatureUnion";
/// Pipelines that begin with pipelines.
const MAX_DEPTH: usize = 16;

/// The steps of a Pipeline: (name, estimator).
fn steps<'d>(view: &View<'d>) -> Result<Vec<(View<'d>, View<'d>)>, LoadError> {
    pairs(&view.attr("steps")?)
}

fn pairs<'d>(list: &View<'d>) -> Result<Vec<(View<'d>, View<'d>)>, LoadError> {
    let mut pairs = Vec::new();
    for step in list.steps()? {
        let mut parts = step.steps()?.into_iter();
        match (parts.next(), parts.next()) {
            (Some(name), Some(estimator)) => pairs.push((name, estimator)),
            _ => return Err(step.damaged("a step is no pair of name and estimator")),
        }
    }
    Ok(pairs)
}

/// A Pipeline that ends in a predictor.
pub(super) fn head(
    view: &View<'_>,
    planner: &mut Planner,
    mut table: Table,
    version: Version,
) -> Result<Head, LoadError> {
    let mut steps = steps(view)?;
    let Some((_, last)) = steps.pop() else { return Err(view.damaged("the pipeline has no steps")) };
    for (_, step) in &steps {
        table = transform_one(step, planner, table, version)?;
    }
    compile(&last, planner, table, version)
}

/// A Pipeline of transformers only.
pub(super) fn transform(
    view: &View<'_>,
    planner: &mut Planner,
    mut table: Table,
    version: Version,
) -> Result<Table, LoadError> {
    for (_, step) in &steps(view)? {
        table = transform_one(step, planner, table, version)?;
    }
    Ok(table)
}

/// A FeatureUnion: every transformer sees the same columns, the results stand side by side.
pub(super) fn union(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    version: Version,
) -> Result<Table, LoadError> {
    let weights = view.attr("transformer_weights")?;
    if !weights.is_none() {
        return Err(view.unsupported("transformer_weights"));
    }
    let mut union = Table::default();
    for (_, transformer) in pairs(&view.attr("transformer_list")?)? {
        if transformer.text().is_ok_and(|text| text == "drop") {
            continue;
        }
        planner.charge(view, table.features.len() * size_of::<crate::plan::Feature>())?;
        let result = transform_one(&transformer, planner, table.clone(), version)?;
        union.sparse |= result.sparse;
        union.features.extend(result.features);
    }
    Ok(union)
}

/// What a model takes.
pub(crate) struct Shape {
    /// The names of the columns, if it was fitted with a data frame.
    pub(crate) names: Option<Vec<Arc<str>>>,
    /// The number of columns.
    pub(crate) count: usize,
}

/// What a model takes, as its first fitted step says.
pub(crate) fn shape(view: &View<'_>) -> Result<Shape, LoadError> {
    let mut first = view.clone();
    for _ in 0..MAX_DEPTH {
        let steps = match first.class() {
            PIPELINE => steps(&first)?,
            UNION => pairs(&first.attr("transformer_list")?)?,
            _ => break,
        };
        let step = steps.into_iter().map(|(_, step)| step).find(|step| step.text().is_err() && !step.is_none());
        first = step.ok_or_else(|| view.damaged("the pipeline has no steps"))?;
    }
    if lightgbm::is_wrapper(first.class()) {
        return lightgbm::wrapper_shape(&first);
    }
    if xgboost::is_wrapper(first.class()) {
        return xgboost::wrapper_shape(&first);
    }
    let Some(count) = first.find("n_features_in_") else {
        let known = first.class().starts_with("sklearn.") && first.class() != PIPELINE;
        return Err(if known {
            first.damaged("it was not fitted: n_features_in_ is missing")
        } else {
            first.unknown_class()
        });
    };
    let names = match first.find("feature_names_in_") {
        Some(names) => Some(names.plains()?),
        None => None,
    };
    let names = names.map(|names| {
        let names = names.into_iter().map(|name| match name {
            Plain::Text(text) => Ok(Arc::from(text)),
            _ => Err(first.damaged("a column's name is no text")),
        });
        names.collect::<Result<Vec<Arc<str>>, _>>()
    });
    Ok(Shape { names: names.transpose()?, count: count.index()? })
}

/// The class, with the classes of a pipeline's steps: `sklearn.pipeline.Pipeline(StandardScaler, Ridge)`.
pub(crate) fn describe(view: &View<'_>) -> String {
    let short = |class: &str| class.rsplit('.').next().unwrap_or(class).to_owned();
    if view.class() != PIPELINE {
        return view.class().to_owned();
    }
    let steps = steps(view).unwrap_or_default();
    let names: Vec<String> = steps.iter().map(|(_, step)| short(step.class())).collect();
    format!("{PIPELINE}({})", names.join(", "))
}
