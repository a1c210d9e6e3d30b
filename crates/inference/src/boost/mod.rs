//! The boosting libraries: LightGBM's text, XGBoost's JSON and UBJ. Readers turn a file into lists of nodes; the kernels of `trees`
//! check and run them; `link` makes predictions of the sums.

pub(crate) mod lightgbm;
pub(crate) mod link;
pub(crate) mod xgboost;

use std::sync::Arc;

use crate::LoadError;
use crate::plan::{Feature, Op, Ordinal, Planner, Unknown};
use crate::sklearn::encoder;
use crate::view::{Plain, View};

/// Names of columns.
fn names_of(names: &[String]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(name.as_str())).collect()
}

/// A column of categories as their places in a list; missing where it is none of them.
fn encode(view: &View<'_>, planner: &mut Planner, feature: &Feature, list: &[Plain]) -> Result<Feature, LoadError> {
    let (lookup, cells) = encoder::reader(view, planner, feature, list, "the model's categories")?;
    let to = planner.slots(view, 1)?;
    let values = (0..list.len()).map(|place| place as f64).collect();
    let unknown = Unknown::As(f64::NAN);
    planner.push(Op::Ordinal(Ordinal { cells, origin: feature.origin, lookup, values, unknown, to }));
    Ok(feature.made(to))
}
