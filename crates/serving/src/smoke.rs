//! The check before a version goes live: it must answer one row the way a model answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inference::{Model, Output, PredictError, Task};
use kernel::frame::{Column, ColumnKind, Frame};

/// Runs a row of zeros and empty texts and looks at the shape of the answer; returns how long the row took. A model may refuse such
/// a row (an encoder that was told to refuse unknown categories does): that is an answer too.
pub(crate) fn check(model: &Model) -> Result<Duration, String> {
    let frame = probe(model)?;
    let started = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(|| model.predict(&frame)));
    let took = started.elapsed();
    match answer {
        Err(_) => Err("it died of a defect on one row of zeros".to_owned()),
        Ok(Ok(output)) => shape(model, &output).map(|()| took),
        Ok(Err(error @ (PredictError::Columns { .. } | PredictError::Type { .. } | PredictError::Shape { .. }))) => {
            Err(format!("it refuses its own columns: {error}"))
        }
        Ok(Err(_)) => Ok(took),
    }
}

fn probe(model: &Model) -> Result<Frame, String> {
    if model.inputs().is_empty() {
        return Err("it takes no columns".to_owned());
    }
    let empty: Arc<str> = Arc::from("");
    let columns = model.inputs().iter().map(|input| match input.kind {
        ColumnKind::Number => Column::Number(vec![0.0]),
        ColumnKind::Text => Column::Text(vec![Some(empty.clone())]),
    });
    let names = model.inputs().iter().map(|input| input.name.clone()).collect();
    Frame::new(names, columns.collect()).ok_or_else(|| "its columns are uneven".to_owned())
}

fn shape(model: &Model, output: &Output) -> Result<(), String> {
    let expect = |what: &str, want: usize, have: Option<usize>| {
        if have == Some(want) { Ok(()) } else { Err(format!("one row gave {have:?} {what}, expected {want}")) }
    };
    expect("scores", 1, Some(output.scores.len()))?;
    if model.task() == Task::Regression {
        return Ok(());
    }
    let classes = model.classes().len();
    expect("classes", 1, output.class.as_ref().map(Vec::len))?;
    expect("probabilities", classes, output.probabilities.as_ref().map(Vec::len))?;
    let chosen = output.class.iter().flatten().all(|class| (*class as usize) < classes);
    if chosen { Ok(()) } else { Err("it chose a class that it does not have".to_owned()) }
}
