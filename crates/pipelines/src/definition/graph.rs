//! Which step waits for which, and an order in which all of them can run.

use std::collections::{BTreeMap, BTreeSet};

use super::Step;
use super::section::nearest;
use crate::Error;

/// Completes `needs` by the steps that make what a step reads, and refuses what cannot be.
pub(super) fn link(steps: &mut [Step]) -> Result<(), Error> {
    let makers = makers(steps)?;
    let names: Vec<String> = steps.iter().map(|step| step.name.clone()).collect();
    for step in steps.iter_mut() {
        let mut needs: BTreeSet<String> = BTreeSet::new();
        for need in &step.needs {
            if !names.contains(need) {
                let known: Vec<&str> = names.iter().map(String::as_str).collect();
                let hint = nearest(need, &known).map_or_else(
                    || format!("the steps are: {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                let place = format!("step.{}.needs", step.name);
                return Err(Error::hinted(place, format!("there is no step `{need}`"), hint));
            }
            needs.insert(need.clone());
        }
        for dep in &step.deps {
            needs.extend(makers.iter().filter(|(out, _)| overlaps(out, dep)).map(|(_, maker)| maker.clone()));
        }
        step.needs = needs.into_iter().collect();
    }
    Ok(())
}

/// The steps so that each comes after all it needs; those that could go at the same time are in the order of their names.
pub(super) fn order(mut steps: Vec<Step>) -> Result<Vec<Step>, Error> {
    let mut ordered: Vec<Step> = Vec::with_capacity(steps.len());
    while !steps.is_empty() {
        let free = |step: &Step| step.needs.iter().all(|need| ordered.iter().any(|done| done.name == *need));
        let Some(next) = steps.iter().position(free) else { return Err(cycle(&steps)) };
        ordered.push(steps.remove(next));
    }
    Ok(ordered)
}

/// Which step makes which path. Two steps that make the same path, or one inside the other, cannot both be right.
fn makers(steps: &[Step]) -> Result<BTreeMap<String, String>, Error> {
    let mut makers: BTreeMap<String, String> = BTreeMap::new();
    for step in steps {
        for out in &step.outs {
            if let Some((other, maker)) = makers.iter().find(|(other, _)| overlaps(other, out)) {
                let place = format!("step.{}.outs", step.name);
                return Err(match (other == out, maker == &step.name) {
                    (true, true) => Error::definition(place, format!("`{out}` is listed twice")),
                    (true, false) => Error::definition(place, format!("`{out}` is made by step `{maker}` already")),
                    (false, _) => {
                        Error::definition(place, format!("`{out}` overlaps with `{other}`, which step `{maker}` makes"))
                    }
                });
            }
            makers.insert(out.clone(), step.name.clone());
        }
    }
    Ok(makers)
}

/// True when the paths are the same or one lies inside the other.
fn overlaps(a: &str, b: &str) -> bool {
    let inside = |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    a == b || inside(a, b) || inside(b, a)
}

/// Walks along unmet needs until a step comes up again; there is one, as every step left waits for a step left.
fn cycle(steps: &[Step]) -> Error {
    let mut path: Vec<&str> = Vec::new();
    let mut current = steps.first();
    while let Some(step) = current {
        if let Some(start) = path.iter().position(|name| *name == step.name) {
            path.drain(..start);
            break;
        }
        path.push(&step.name);
        current = step.needs.iter().find_map(|need| steps.iter().find(|other| other.name == *need));
    }
    let first = path.first().copied().unwrap_or_default();
    let problem = if path.len() == 1 {
        "waits for itself".to_owned()
    } else {
        format!("the steps wait for each other: {} -> {first}", path.join(" -> "))
    };
    Error::hinted(
        format!("step.{first}"),
        problem,
        "a step waits for its `needs` and for the steps that make its `deps`",
    )
}
