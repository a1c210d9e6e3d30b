//! GradientBoostingRegressor and GradientBoostingClassifier: a starting value, then `learning_rate` times each tree's value.

use crate::LoadError;
use crate::head::{Finish, Head, Kernel, Missing};
use crate::plan::{Planner, Table};
use crate::sklearn::{Version, check_width, classes, tree};
use crate::trees::{Ensemble, Payload};
use crate::view::{Plain, View};

const LOSSES: [&str; 4] = ["squared_error", "absolute_error", "huber", "quantile"];

/// A regressor: the raw sum is the prediction, whatever the loss.
pub(super) fn regressor(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Head, LoadError> {
    let loss = view.attr("loss")?.text()?;
    if !LOSSES.contains(&loss) {
        return Err(view.unsupported(format!("loss {loss}")));
    }
    let init = view.attr("init_")?;
    let start = match init.class() {
        "str" if init.text()? == "zero" => 0.0,
        "sklearn.dummy.DummyRegressor" => match init.attr("constant_")?.floats()?[..] {
            [constant] => constant,
            _ => return Err(init.unsupported("more than one output")),
        },
        _ => return Err(init.unknown_class()),
    };
    let kernel = kernel(view, planner, table, vec![start])?;
    Head::new(view, planner, table, kernel, Finish::Value, Vec::new(), Missing::Refuse("GradientBoostingRegressor"))
}

/// A classifier: the raw sums are log-odds.
pub(super) fn classifier(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    version: Version,
) -> Result<Head, LoadError> {
    let classes = classes(view)?;
    let outputs = if classes.len() == 2 { 1 } else { classes.len() };
    let exponential = match view.attr("loss")?.text()? {
        "log_loss" => false,
        "exponential" if outputs == 1 => true,
        other => return Err(view.unsupported(format!("loss {other}"))),
    };
    let start = start(view, &classes, exponential, version)?;
    let kernel = kernel(view, planner, table, start)?;
    let finish = if outputs == 1 {
        // before 1.4 a tie went to the first class, except for the exponential loss
        Finish::Sigmoid { factor: if exponential { 2.0 } else { 1.0 }, tie: exponential || version >= (1, 4) }
    } else {
        Finish::Softmax
    };
    Head::new(view, planner, table, kernel, finish, classes, Missing::Refuse("GradientBoostingClassifier"))
}

fn kernel(view: &View<'_>, planner: &mut Planner, table: &Table, start: Vec<f64>) -> Result<Kernel, LoadError> {
    let features = check_width(view, table)?;
    let estimators = view.attr("estimators_")?;
    let outputs = start.len();
    if !matches!(estimators.array()?.shape[..], [stages, width] if stages > 0 && width == outputs) {
        return Err(estimators.damaged(format!("the trees do not come {outputs} a stage")));
    }
    let trees = estimators
        .members()?
        .iter()
        .map(|estimator| tree::read(estimator, planner, 1, features, false))
        .collect::<Result<Vec<_>, _>>()?;
    let scale = view.attr("learning_rate")?.float()?;
    let ensemble = Ensemble::new(&trees, outputs, Payload::Turns, scale).map_err(|what| view.damaged(what))?;
    Ok(Kernel::Trees { ensemble, start, divide: None })
}

/// The raw values before the first tree: the link function of the class priors.
fn start(view: &View<'_>, classes: &[Plain], exponential: bool, version: Version) -> Result<Vec<f64>, LoadError> {
    let outputs = if classes.len() == 2 { 1 } else { classes.len() };
    let init = view.attr("init_")?;
    match init.class() {
        "str" if init.text()? == "zero" => return Ok(vec![0.0; outputs]),
        "sklearn.dummy.DummyClassifier" if init.attr("strategy")?.text()? == "prior" => {}
        "sklearn.dummy.DummyClassifier" => return Err(init.unsupported("a strategy other than prior")),
        _ => return Err(init.unknown_class()),
    }
    let prior = init.attr("class_prior_")?.floats()?;
    if prior.len() != classes.len() || !prior.iter().all(|part| part.is_finite()) {
        return Err(init.damaged("the class priors do not fit the classes"));
    }
    // scikit-learn 1.8 made the distance from 0 and 1 that of float64
    let epsilon = if version >= (1, 8) { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let clipped: Vec<f64> = prior.iter().map(|part| part.clamp(epsilon, 1.0 - epsilon)).collect();
    if outputs == 1 {
        let odds = (clipped[1] / (1.0 - clipped[1])).ln();
        return Ok(vec![if exponential { 0.5 * odds } else { odds }]);
    }
    if version < (1, 4) {
        return Ok(clipped.iter().map(|part| part.ln()).collect());
    }
    // the symmetric multinomial link: log of the ratio to the geometric mean
    let mean = (clipped.iter().map(|part| part.ln()).sum::<f64>() / outputs as f64).exp();
    Ok(clipped.iter().map(|part| (part / mean).ln()).collect())
}
