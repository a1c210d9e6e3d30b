//! SimpleImputer, with the columns that say what was missing.
//!
//! A frame knows one missing value. It stands for NaN, None and NA alike, whichever the imputer was told to replace.

use kernel::frame::ColumnKind;

use crate::LoadError;
use crate::plan::{Cells, Feature, MissingNumber, MissingText, Op, Planner, Table, TextFill};
use crate::sklearn::check_width;
use crate::view::{Plain, View};

/// Imputers one after the other on one column.
const MAX_FILLS: usize = 16;
const NAME: &str = "SimpleImputer";

/// What is looked for in one column.
#[derive(Clone)]
enum Wanted {
    Missing,
    Value(Plain),
}

impl Wanted {
    fn number(&self) -> Option<MissingNumber> {
        match self {
            Self::Missing => Some(MissingNumber::Nan),
            Self::Value(plain) => plain.as_f64().map(MissingNumber::Equal),
        }
    }

    /// What to look for in a column of text; `None` if no text can equal it.
    fn text(&self) -> Option<MissingText> {
        match self {
            Self::Missing => Some(MissingText::Missing),
            Self::Value(Plain::Text(text)) => Some(MissingText::Equal(text.as_str().into())),
            Self::Value(_) => None,
        }
    }
}

/// Compiles a fitted SimpleImputer.
pub(super) fn simple(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    let width = check_width(view, table)?;
    let statistics = view.attr("statistics_")?.plains()?;
    if statistics.len() != width {
        return Err(view.damaged(format!("{} statistics for {width} columns", statistics.len())));
    }
    let missing = view.attr("missing_values")?;
    let missing = missing.plain().ok_or_else(|| missing.damaged("missing_values is no plain value"))?;
    let wanted = if missing.is_missing() { Wanted::Missing } else { Wanted::Value(missing) };
    let keep_empty = view.find("keep_empty_features").map(|keep| keep.flag()).transpose()?.unwrap_or(false);
    let single = table.single();
    let mut imputed = Table { features: Vec::with_capacity(width), sparse: table.sparse };
    for (feature, statistic) in table.features.iter().zip(&statistics) {
        // a column that was all missing in training is dropped
        if statistic.is_missing() && !keep_empty {
            continue;
        }
        imputed.features.push(fill(view, planner, feature, statistic, &wanted, single)?);
    }
    if view.attr("add_indicator")?.flag()? {
        indicators(view, planner, table, &wanted, &mut imputed)?;
    }
    Ok(imputed)
}

/// Whether a column is read as text: what is known of it, else what would be put in.
fn is_text(planner: &Planner, feature: &Feature, statistic: &Plain) -> bool {
    match planner.kind(feature) {
        Some(kind) => kind == ColumnKind::Text,
        None => matches!(statistic, Plain::Text(_)),
    }
}

fn fill(
    view: &View<'_>,
    planner: &mut Planner,
    feature: &Feature,
    statistic: &Plain,
    wanted: &Wanted,
    single: bool,
) -> Result<Feature, LoadError> {
    if is_text(planner, feature, statistic) {
        let mut source = planner.text(view, feature)?;
        if source.fills.len() >= MAX_FILLS {
            return Err(LoadError::limit(view.place(), format!("more than {MAX_FILLS} imputers on one column")));
        }
        if let Some(missing) = wanted.text() {
            let with = match statistic {
                Plain::Text(text) => Some(text.as_str().into()),
                plain if plain.is_missing() => None,
                _ => return Err(view.unsupported("a number put into a column of text, which")),
            };
            source.fills.push(TextFill { missing, with });
        }
        return Ok(feature.made_text(source));
    }
    let from = planner.number(view, feature, Some(NAME))?;
    let Some(missing) = wanted.number() else { return Ok(feature.clone()) };
    let with = match statistic.as_f64() {
        Some(number) if single => f64::from(number as f32),
        Some(number) => number,
        None if statistic.is_missing() => f64::NAN,
        None => return Err(view.unsupported("text put into a column of numbers, which")),
    };
    let to = planner.slots(view, 1)?;
    planner.push(Op::Fill { from, to, missing, with });
    Ok(feature.made(to).with_single(single))
}

/// One column of 0 and 1 for each column that had missing values in training.
fn indicators(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    wanted: &Wanted,
    imputed: &mut Table,
) -> Result<(), LoadError> {
    let indicator = view.attr("indicator_")?;
    if indicator.class() != "sklearn.impute._base.MissingIndicator" {
        return Err(indicator.unknown_class());
    }
    for plain in indicator.attr("features_")?.plains()? {
        let Plain::Int(index) = plain else { return Err(indicator.damaged("a column index is no integer")) };
        let feature = usize::try_from(index).ok().and_then(|index| table.features.get(index));
        let feature = feature.ok_or_else(|| indicator.damaged(format!("column {index} is not there")))?;
        let cells = if planner.kind(feature) == Some(ColumnKind::Text) {
            wanted.text().map(|missing| planner.text(view, feature).map(|source| Cells::Text(source, missing)))
        } else {
            wanted
                .number()
                .map(|missing| planner.number(view, feature, Some(NAME)).map(|slot| Cells::Number(slot, missing)))
        };
        let Some(cells) = cells.transpose()? else {
            return Err(view.unsupported("missing_values of another type than the column"));
        };
        let to = planner.slots(view, 1)?;
        planner.push(Op::IsMissing { cells, to });
        imputed.features.push(feature.made(to));
    }
    Ok(())
}
