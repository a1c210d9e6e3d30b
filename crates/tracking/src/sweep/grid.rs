//! All combinations of a space, each once, by number.

use super::space::{Checked, Setting, Settings, Space};
use crate::Error;

/// The most combinations.
const MAX_SIZE: i64 = 100_000;

/// How many combinations there are.
pub(super) fn size(space: &Space) -> Result<i64, Error> {
    let axes = axes(space)?;
    let count = count(&axes, &mut Settings::new());
    if count <= MAX_SIZE {
        return Ok(count);
    }
    let reason = format!("a grid may have at most {MAX_SIZE} combinations");
    Err(Error::Value { path: "space".to_owned(), value: count.to_string(), reason })
}

/// The combination of a number; the last parameter changes fastest. `None` after the last.
pub(super) fn nth(space: &Space, number: i64) -> Result<Option<Settings>, Error> {
    let axes = axes(space)?;
    let mut settings = Settings::new();
    let mut left = number;
    'axes: for (index, (param, values)) in axes.iter().enumerate() {
        if !param.is_active(&settings) {
            continue;
        }
        let rest = axes.get(index + 1..).unwrap_or_default();
        for value in values {
            settings.insert(param.name.clone(), value.clone());
            let below = count(rest, &mut settings);
            if left < below {
                continue 'axes;
            }
            left -= below;
        }
        return Ok(None);
    }
    Ok((left == 0).then_some(settings))
}

type Axis<'s> = (&'s Checked, Vec<Setting>);

fn axes(space: &Space) -> Result<Vec<Axis<'_>>, Error> {
    let values = |param: &Checked| param.domain.grid(&format!("space.{}", param.name), param.points);
    space.0.iter().map(|param| Ok((param, values(param)?))).collect()
}

/// How many combinations these parameters have beside the values of those before them.
fn count(axes: &[Axis<'_>], settings: &mut Settings) -> i64 {
    let Some(((param, values), rest)) = axes.split_first() else { return 1 };
    if !param.is_active(settings) {
        return count(rest, settings);
    }
    if !rest.iter().any(|(later, _)| later.depends_on(&param.name)) {
        return count(rest, settings).saturating_mul(values.len() as i64);
    }
    let mut total = 0_i64;
    for value in values {
        settings.insert(param.name.clone(), value.clone());
        total = total.saturating_add(count(rest, settings));
    }
    settings.remove(&param.name);
    total
}
