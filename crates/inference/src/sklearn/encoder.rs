//! OneHotEncoder and OrdinalEncoder. All that depends on the category alone (infrequent ones, dropped ones, codes) is worked out at
//! load, so that a row costs one look-up for each column.

use kernel::frame::ColumnKind;

use crate::LoadError;
use crate::plan::{Cells, Feature, Lookup, MissingNumber, MissingText, OneHot, Op, Ordinal, Planner, Table, Unknown};
use crate::sklearn::check_width;
use crate::view::{Plain, View};

/// What a category costs when loaded, roughly.
const CATEGORY_BYTES: usize = 96;

/// The categories of each column, checked against the number of columns.
fn categories(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Vec<Vec<Plain>>, LoadError> {
    let width = check_width(view, table)?;
    let lists = view.attr("categories_")?.members()?;
    if lists.len() != width {
        return Err(view.damaged(format!("categories for {} of {width} columns", lists.len())));
    }
    let mut categories = Vec::with_capacity(width);
    for list in lists {
        let plains = list.plains()?;
        planner.charge(&list, plains.len() * CATEGORY_BYTES)?;
        if plains.is_empty() {
            return Err(list.damaged("a column has no categories"));
        }
        categories.push(plains);
    }
    Ok(categories)
}

/// The look-up of one column and where its values are found.
pub(crate) fn reader(
    view: &View<'_>,
    planner: &mut Planner,
    feature: &Feature,
    categories: &[Plain],
    name: &'static str,
) -> Result<(Lookup, Cells), LoadError> {
    let lookup = Lookup::new(categories).ok_or_else(|| view.unsupported("a column that mixes text and numbers"))?;
    let kind = lookup.kind().or_else(|| planner.kind(feature)).unwrap_or(ColumnKind::Number);
    let cells = match kind {
        ColumnKind::Text => Cells::Text(planner.text(view, feature)?, MissingText::Missing),
        ColumnKind::Number => Cells::Number(planner.number(view, feature, Some(name))?, MissingNumber::Nan),
    };
    Ok((lookup, cells))
}

/// One entry a column of an attribute that is a list or object array; an attribute that is not there or None has none.
fn per_column<'d>(view: &View<'d>, name: &str, width: usize) -> Result<Vec<Option<View<'d>>>, LoadError> {
    let Some(list) = view.find(name).filter(|list| !list.is_none()) else { return Ok(vec![None; width]) };
    let members = list.members()?;
    if members.len() != width {
        return Err(list.damaged(format!("{} entries for {width} columns", members.len())));
    }
    Ok(members.into_iter().map(|member| (!member.is_none()).then_some(member)).collect())
}

/// For each category its code after the infrequent ones were grouped, and whether there is such a group. `kept` is the index of a
/// category (the missing value) that is never grouped and not counted in the mapping.
fn grouped(count: usize, mapping: Option<&View<'_>>, kept: Option<usize>) -> Result<(Vec<usize>, bool), LoadError> {
    let Some(mapping) = mapping else { return Ok(((0..count).collect(), false)) };
    let codes = mapping.plains()?;
    let mut grouped = Vec::with_capacity(count);
    for category in 0..count {
        if kept == Some(category) {
            grouped.push(category);
            continue;
        }
        match codes.get(category) {
            Some(Plain::Int(code)) if (0..count as i64).contains(code) => grouped.push(*code as usize),
            _ => return Err(mapping.damaged("an infrequent category is mapped to nowhere")),
        }
    }
    Ok((grouped, true))
}

/// Compiles a fitted OneHotEncoder.
pub(super) fn one_hot(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    let categories = categories(view, planner, table)?;
    let width = categories.len();
    let handle = view.attr("handle_unknown")?.text()?;
    let mappings = per_column(view, "_default_to_infrequent_mappings", width)?;
    let dropped = per_column(view, "_drop_idx_after_grouping", width)?;
    let mut encoded = Table { features: Vec::new(), sparse: view.attr("sparse_output")?.flag()? };
    for (index, feature) in table.features.iter().enumerate() {
        let categories = &categories[index];
        let (lookup, cells) = reader(view, planner, feature, categories, "OneHotEncoder")?;
        let (codes, has_group) = grouped(categories.len(), mappings[index].as_ref(), None)?;
        let drop = dropped[index].as_ref().map(View::index).transpose()?;
        let all = codes.iter().max().map_or(0, |last| last + 1);
        // a dropped column lights nothing and those after it move up
        let column = |code: usize| match drop {
            Some(drop) if code == drop => None,
            Some(drop) if code > drop => Some(code - 1),
            _ => Some(code),
        };
        let targets: Vec<Option<u32>> = codes.iter().map(|code| column(*code).map(|column| column as u32)).collect();
        let group = has_group.then(|| column(all - 1)).flatten();
        let unknown = match handle {
            "error" => Unknown::Refuse,
            "ignore" => Unknown::Zeros,
            "infrequent_if_exist" | "warn" => group.map_or(Unknown::Zeros, |column| Unknown::As(column as f64)),
            other => return Err(view.unsupported(format!("handle_unknown={other}"))),
        };
        let lit = all - usize::from(drop.is_some_and(|drop| drop < all));
        let to = planner.slots(view, lit)?;
        let origin = feature.origin;
        encoded.features.extend((0..lit as u32).map(|offset| feature.made(to + offset)));
        planner.push(Op::OneHot(OneHot { cells, origin, lookup, targets, unknown, to, width: lit as u32 }));
    }
    Ok(encoded)
}

/// Compiles a fitted OrdinalEncoder.
pub(super) fn ordinal(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    let categories = categories(view, planner, table)?;
    let width = categories.len();
    let unknown = match view.attr("handle_unknown")?.text()? {
        "error" => Unknown::Refuse,
        "use_encoded_value" => Unknown::As(view.attr("unknown_value")?.float()?),
        other => return Err(view.unsupported(format!("handle_unknown={other}"))),
    };
    let encoded_missing = view.attr("encoded_missing_value")?.float()?;
    let mappings = per_column(view, "_default_to_infrequent_mappings", width)?;
    let to = planner.slots(view, width)?;
    let mut encoded = Table { features: Vec::with_capacity(width), sparse: false };
    for (index, feature) in table.features.iter().enumerate() {
        let categories = &categories[index];
        let (lookup, cells) = reader(view, planner, feature, categories, "OrdinalEncoder")?;
        let missing = categories.iter().position(Plain::is_missing);
        let (codes, _) = grouped(categories.len(), mappings[index].as_ref(), missing)?;
        let value =
            |(category, code): (usize, &usize)| if missing == Some(category) { encoded_missing } else { *code as f64 };
        let values = codes.iter().enumerate().map(value).collect();
        let slot = to + index as u32;
        planner.push(Op::Ordinal(Ordinal { cells, origin: feature.origin, lookup, values, unknown, to: slot }));
        encoded.features.push(feature.made(slot));
    }
    Ok(encoded)
}
