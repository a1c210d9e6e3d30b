//! ColumnTransformer: each transformer gets its columns, the results stand side by side in the order of the transformers.

use crate::LoadError;
use crate::node::Node;
use crate::plan::{Feature, Planner, Table};
use crate::sklearn::{Version, check_width, encoder, transform as transform_one};
use crate::view::{Plain, View};

/// Compiles a fitted ColumnTransformer.
pub(super) fn transform(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    version: Version,
) -> Result<Table, LoadError> {
    each(view, planner, table, |transformer, planner, part| transform_one(transformer, planner, part, version))
}

/// The ColumnTransformer inside histogram boosting: an OrdinalEncoder, and a function that only checks its input.
pub(super) fn transform_histogram(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    each(view, planner, table, |transformer, planner, part| match transformer.class() {
        "sklearn.preprocessing._encoders.OrdinalEncoder" => encoder::ordinal(transformer, planner, &part),
        "sklearn.preprocessing._function_transformer.FunctionTransformer" => Ok(part),
        _ => Err(transformer.unknown_class()),
    })
}

fn each(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    mut compile: impl FnMut(&View<'_>, &mut Planner, Table) -> Result<Table, LoadError>,
) -> Result<Table, LoadError> {
    let width = check_width(view, table)?;
    let indices = view.find("_transformer_to_input_indices");
    let mut joined = Table { features: Vec::new(), sparse: view.attr("sparse_output_")?.flag()? };
    for entry in view.attr("transformers_")?.steps()? {
        let parts = entry.steps()?;
        let [name, transformer, columns] = &parts[..] else {
            return Err(entry.damaged("a transformer is no triple of name, transformer and columns"));
        };
        if transformer.text().is_ok_and(|text| text == "drop") {
            continue;
        }
        let chosen = match by_name(indices.as_ref(), name)? {
            Some(chosen) => chosen,
            None => resolve(view, columns, width)?,
        };
        if chosen.is_empty() {
            // scikit-learn skips a transformer without columns
            continue;
        }
        planner.charge(view, chosen.len() * size_of::<Feature>())?;
        let mut part = Table { features: Vec::with_capacity(chosen.len()), sparse: table.sparse };
        for index in chosen {
            let feature = table.features.get(index);
            let missing = || columns.damaged(format!("column {index} of {width} is selected"));
            part.features.push(feature.ok_or_else(missing)?.clone());
        }
        joined.features.extend(compile(transformer, planner, part)?.features);
    }
    let single = joined.single();
    for feature in &mut joined.features {
        // one float64 column makes the whole array float64
        feature.single = single;
    }
    Ok(joined)
}

/// The column indices that scikit-learn noted when it was fitted.
fn by_name(indices: Option<&View<'_>>, name: &View<'_>) -> Result<Option<Vec<usize>>, LoadError> {
    let Some(indices) = indices else { return Ok(None) };
    let name = name.text()?;
    for (key, columns) in indices.pairs()? {
        if key.text()? == name {
            let columns = columns.plains()?.into_iter().map(|column| match column {
                Plain::Int(index) => usize::try_from(index).map_err(|_| indices.damaged("a column index is negative")),
                _ => Err(indices.damaged("a column index is no integer")),
            });
            return columns.collect::<Result<Vec<_>, _>>().map(Some);
        }
    }
    Ok(None)
}

/// The columns of a transformer as they were given: a name, names, an index, indices, a slice or a mask.
fn resolve(view: &View<'_>, columns: &View<'_>, width: usize) -> Result<Vec<usize>, LoadError> {
    if columns.class() == "builtins.slice" {
        return slice(view, columns, width);
    }
    let plains = match columns.plain() {
        Some(one) => vec![one],
        None => columns.plains()?,
    };
    let mask = !plains.is_empty() && plains.iter().all(|plain| matches!(plain, Plain::Bool(_)));
    if mask {
        let chosen = plains.iter().enumerate().filter(|(_, plain)| **plain == Plain::Bool(true));
        return Ok(chosen.map(|(index, _)| index).collect());
    }
    plains.iter().map(|plain| position(view, columns, plain, width)).collect()
}

fn position(view: &View<'_>, columns: &View<'_>, plain: &Plain, width: usize) -> Result<usize, LoadError> {
    match plain {
        Plain::Int(index) => {
            let index = if *index < 0 { index + width as i64 } else { *index };
            usize::try_from(index).map_err(|_| columns.damaged("a column index is out of range"))
        }
        Plain::Text(name) => {
            let names = view.attr("feature_names_in_")?.plains()?;
            let found = names.iter().position(|have| matches!(have, Plain::Text(have) if have == name));
            found.ok_or_else(|| columns.damaged(format!("there is no column {name}")))
        }
        _ => Err(columns.damaged("columns are neither names nor indices")),
    }
}

fn slice(view: &View<'_>, columns: &View<'_>, width: usize) -> Result<Vec<usize>, LoadError> {
    let args = columns.args();
    let [start, stop, step] = &args[..] else { return Err(columns.damaged("a slice has no three parts")) };
    if !step.is_none() && step.int()? != 1 {
        return Err(columns.unsupported("a slice with a step"));
    }
    let bound = |part: &View<'_>, default: usize, inclusive: usize| match part.node() {
        Node::None => Ok(default),
        // the end of a slice of names is included, as in pandas
        Node::Text(name) => position(view, part, &Plain::Text(name.to_string()), width).map(|index| index + inclusive),
        _ => {
            let index = part.int()?;
            let index = if index < 0 { index + width as i64 } else { index };
            Ok(usize::try_from(index).unwrap_or(0).min(width))
        }
    };
    Ok((bound(start, 0, 0)?..bound(stop, width, 1)?).collect())
}
