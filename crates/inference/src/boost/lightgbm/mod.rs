//! LightGBM: `Booster.save_model` texts, and the scikit-learn wrappers, whose pickles and skops files hold such a text.

mod text;

use crate::LoadError;
use crate::boost::link::{Ending, Link, Told};
use crate::boost::{encode, names_of};
use crate::head::{Finish, Head, Kernel, Missing};
use crate::plan::{Planner, Table};
use crate::sklearn::Shape;
use crate::trees::exact::{Exact, NODE_BYTES};
use crate::view::{Plain, View};
pub(crate) use text::{Text, read};

/// The class of a model that is a text.
pub(crate) const BOOSTER: &str = "lightgbm.basic.Booster";
const CLASSIFIER: &str = "lightgbm.sklearn.LGBMClassifier";
const REGRESSOR: &str = "lightgbm.sklearn.LGBMRegressor";
const RANKER: &str = "lightgbm.sklearn.LGBMRanker";

/// Whether bytes are the beginning of a text.
pub(crate) fn sniff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"tree\n") || bytes.starts_with(b"tree\r\n")
}

/// Whether the class is one of the wrappers.
pub(crate) fn is_wrapper(class: &str) -> bool {
    [CLASSIFIER, REGRESSOR, RANKER].contains(&class)
}

/// Reads a text; errors stand at the place of the view.
pub(crate) fn parse(view: &View<'_>, text: &str) -> Result<Text, LoadError> {
    read(text).map_err(|(damage, what)| if damage { view.damaged(what) } else { view.unsupported(what) })
}

/// What a text takes. Names that LightGBM made up (`Column_0`) are none.
pub(crate) fn shape(text: &Text) -> Shape {
    let made_up = |(index, name): (usize, &String)| *name == format!("Column_{index}");
    let names = if text.names.iter().enumerate().all(made_up) { None } else { Some(names_of(&text.names)) };
    Shape { names, count: text.features }
}

/// A model that is a text.
pub(crate) fn booster(view: &View<'_>, planner: &mut Planner, table: &Table, text: Text) -> Result<Head, LoadError> {
    let (link, told) = link(view, &text)?;
    let count = if text.outputs == 1 { 2 } else { text.outputs };
    let classes = if told == Told::Classes { (0..count as i64).map(Plain::Int).collect() } else { Vec::new() };
    head(view, planner, table, text, Ending { link, told, single: false }, classes)
}

/// The text inside a wrapper.
fn inner<'d>(view: &View<'d>) -> Result<(View<'d>, Text), LoadError> {
    let booster = view.find("_Booster").ok_or_else(|| view.damaged("it was not fitted: _Booster is missing"))?;
    if booster.class() != BOOSTER {
        return Err(booster.unknown_class());
    }
    let handle = booster.find("_handle").map_or_else(|| booster.attr("handle"), Ok)?;
    let mut text = parse(&handle, handle.text()?)?;
    let best = booster.attr("best_iteration")?.int()?;
    if let Some(best) = usize::try_from(best).ok().filter(|best| *best > 0) {
        text.trees.truncate(best.saturating_mul(text.outputs));
    }
    Ok((handle, text))
}

/// What a wrapper takes.
pub(crate) fn wrapper_shape(view: &View<'_>) -> Result<Shape, LoadError> {
    Ok(shape(&inner(view)?.1))
}

/// A wrapper, alone or at the end of a pipeline.
pub(crate) fn wrapper(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Head, LoadError> {
    let (handle, text) = inner(view)?;
    let (link, told) = link(&handle, &text)?;
    if view.class() != CLASSIFIER {
        return head(view, planner, table, text, Ending { link, told: Told::Value, single: false }, Vec::new());
    }
    let classes = view.attr("_classes")?.plains()?;
    let fits = told == Told::Classes && classes.len() == if text.outputs == 1 { 2 } else { text.outputs };
    if !fits {
        return Err(view.unsupported(format!("objective {} for {} classes", text.objective, classes.len())));
    }
    head(view, planner, table, text, Ending { link, told, single: false }, classes)
}

fn head(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    text: Text,
    ending: Ending,
    classes: Vec<Plain>,
) -> Result<Head, LoadError> {
    if table.features.len() != text.features || text.features == 0 {
        let what = format!("it takes {} columns, but {} reach it", text.features, table.features.len());
        return Err(view.damaged(what));
    }
    if ending.told == Told::Value && text.outputs != 1 {
        return Err(view.unsupported(format!("objective {} with {} outputs", text.objective, text.outputs)));
    }
    let table = categories(view, planner, table, &text)?;
    planner.charge(view, text.trees.iter().map(Vec::len).sum::<usize>().saturating_mul(NODE_BYTES))?;
    let ensemble = Exact::new(&text.trees, text.features, text.outputs, false).map_err(|what| view.damaged(what))?;
    let iterations = text.trees.len() / text.outputs;
    let divide = (text.average && iterations > 0).then_some(iterations as f64);
    let kernel = Kernel::Exact { ensemble, start: vec![0.0; text.outputs], divide };
    Head::new(view, planner, &table, kernel, Finish::Boosted(ending), classes, Missing::Any)
}

/// pandas' categorical columns stand in the file as texts or numbers; the trees know their places in the list.
fn categories(view: &View<'_>, planner: &mut Planner, table: &Table, text: &Text) -> Result<Table, LoadError> {
    let mut table = table.clone();
    if text.pandas.is_empty() {
        return Ok(table);
    }
    let columns: Vec<usize> = (0..text.features).filter(|index| text.categorical[*index]).collect();
    if columns.len() != text.pandas.len() {
        return Err(view.unsupported(format!(
            "pandas_categorical with {} lists for {} categorical columns",
            text.pandas.len(),
            columns.len()
        )));
    }
    for (column, categories) in columns.into_iter().zip(&text.pandas) {
        let plain: Option<Vec<Plain>> = categories.iter().map(plain).collect();
        let plain = plain.ok_or_else(|| view.damaged("pandas_categorical holds a value that is no category"))?;
        table.features[column] = encode(view, planner, &table.features[column], &plain)?;
    }
    Ok(table)
}

fn plain(value: &serde_json::Value) -> Option<Plain> {
    Some(match value {
        serde_json::Value::Bool(flag) => Plain::Bool(*flag),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or(number.as_f64().map(Plain::Float), |int| Some(Plain::Int(int)))?
        }
        serde_json::Value::String(text) => Plain::Text(text.clone()),
        _ => return None,
    })
}

/// The link function of an objective, and what it tells.
fn link(view: &View<'_>, text: &Text) -> Result<(Link, Told), LoadError> {
    let mut words = text.objective.split_whitespace();
    let name = words.next().unwrap_or_default();
    let sigmoid = text.objective.split_whitespace().find_map(|word| word.strip_prefix("sigmoid:"));
    let factor: f64 = sigmoid.map_or(Ok(1.0), str::parse).map_err(|_| view.damaged("the objective's sigmoid"))?;
    Ok(match name {
        "regression" if words.any(|word| word == "sqrt") => (Link::Square, Told::Value),
        "" | "custom" | "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank"
        | "rank_xendcg" => (Link::Identity, Told::Value),
        "poisson" | "gamma" | "tweedie" => (Link::Exponential, Told::Value),
        "cross_entropy" => (Link::Sigmoid { factor: 1.0 }, Told::Value),
        "cross_entropy_lambda" => (Link::Softplus, Told::Value),
        "binary" => (Link::Sigmoid { factor }, Told::Classes),
        "multiclass" => (Link::Softmax, Told::Classes),
        "multiclassova" => (Link::Sigmoid { factor }, Told::Classes),
        other => return Err(view.unsupported(format!("objective {other}"))),
    })
}
