//! Scalers: one multiplication or division and one shift for each column.

use crate::LoadError;
use crate::plan::{Affine, Op, Planner, Table};
use crate::sklearn::check_width;
use crate::view::View;

/// StandardScaler: `(x - mean_) / scale_`.
pub(super) fn standard(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    let shift = enabled(view, "with_mean", "mean_")?;
    let scale = enabled(view, "with_std", "scale_")?;
    affine(view, planner, table, Parts { standard: true, shift, scale, clip: None }, "StandardScaler")
}

/// RobustScaler: `(x - center_) / scale_`.
pub(super) fn robust(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    let shift = enabled(view, "with_centering", "center_")?;
    let scale = enabled(view, "with_scaling", "scale_")?;
    affine(view, planner, table, Parts { standard: true, shift, scale, clip: None }, "RobustScaler")
}

/// MaxAbsScaler: `x / scale_`.
pub(super) fn max_abs(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    let scale = Some(view.attr("scale_")?.floats()?);
    let clip = view.find("clip").map(|clip| clip.flag()).transpose()?.unwrap_or(false).then_some((-1.0, 1.0));
    affine(view, planner, table, Parts { standard: true, shift: None, scale, clip }, "MaxAbsScaler")
}

/// MinMaxScaler: `x * scale_ + min_`.
pub(super) fn min_max(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Table, LoadError> {
    let shift = Some(view.attr("min_")?.floats()?);
    let scale = Some(view.attr("scale_")?.floats()?);
    let clip = if view.attr("clip")?.flag()? {
        match view.attr("feature_range")?.floats()?[..] {
            [low, high] => Some((low, high)),
            _ => return Err(view.damaged("feature_range is no pair")),
        }
    } else {
        None
    };
    affine(view, planner, table, Parts { standard: false, shift, scale, clip }, "MinMaxScaler")
}

fn enabled(view: &View<'_>, switch: &str, name: &str) -> Result<Option<Vec<f64>>, LoadError> {
    let on = view.attr(switch)?.flag()?;
    on.then(|| view.attr(name)?.floats()).transpose()
}

struct Parts {
    standard: bool,
    shift: Option<Vec<f64>>,
    scale: Option<Vec<f64>>,
    clip: Option<(f64, f64)>,
}

fn affine(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    parts: Parts,
    name: &'static str,
) -> Result<Table, LoadError> {
    let width = check_width(view, table)?;
    for constants in [&parts.shift, &parts.scale].into_iter().flatten() {
        if constants.len() != width {
            return Err(view.damaged(format!("{name} has {} constants for {width} columns", constants.len())));
        }
    }
    let mut from = Vec::with_capacity(width);
    for feature in &table.features {
        from.push(planner.number(view, feature, Some(name))?);
    }
    let to = planner.slots(view, width)?;
    let single = table.single();
    let Parts { standard, shift, scale, clip } = parts;
    planner.push(Op::Affine(Affine { from, to, standard, shift, scale, clip, single }));
    let features = table.features.iter().zip(to..).map(|(feature, slot)| feature.made(slot).with_single(single));
    Ok(Table { features: features.collect(), sparse: table.sparse })
}
