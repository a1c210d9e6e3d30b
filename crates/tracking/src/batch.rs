//! Metrics, params and tags in one request. Here a batch is all or nothing; MLflow writes its parts one after the other.

use db::Tx;
use kernel::ctx::Ctx;

use crate::metric::Metric;
use crate::{Error, Pair, check, metric, param, run, tag};

/// The most metrics, and the most of everything together, in one batch.
const MAX_METRICS: usize = 1_000;
/// The most params, and the most tags, in one batch.
const MAX_PAIRS: usize = 100;

/// What is logged together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Points.
    pub metrics: Vec<Metric>,
    /// Params, each key once.
    pub params: Vec<Pair>,
    /// Tags; of several with one key the last counts.
    pub tags: Vec<Pair>,
}

/// Logs a batch.
pub fn log(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, batch: Batch) -> Result<(), Error> {
    check::run_id(run_id)?;
    limits(&batch)?;
    for (index, point) in batch.metrics.iter().enumerate() {
        metric::check(point, |field| format!("metrics[{index}].{field}"))?;
    }
    let params = checked(batch.params, "params", |pair, path| check::param(pair, path))?;
    let tags = checked(batch.tags, "tags", |pair, path| check::tag(pair, path))?;
    distinct(&params)?;
    let experiment = run::active(tx, ctx, run_id)?;
    param::put_all(tx, run_id, &params)?;
    metric::put_all(tx, ctx, experiment, run_id, &batch.metrics)?;
    tags.iter().try_for_each(|given| tag::put(tx, run_id, given))
}

fn checked(
    pairs: Vec<Pair>,
    list: &str,
    check: impl Fn(Pair, &dyn Fn(&str) -> String) -> Result<Pair, Error>,
) -> Result<Vec<Pair>, Error> {
    let pairs = pairs.into_iter().enumerate();
    pairs.map(|(index, pair)| check(pair, &|field: &str| format!("{list}[{index}].{field}"))).collect()
}

fn limits(batch: &Batch) -> Result<(), Error> {
    let total = batch.metrics.len() + batch.params.len() + batch.tags.len();
    let counts = [
        ("metrics", MAX_METRICS, batch.metrics.len()),
        ("params", MAX_PAIRS, batch.params.len()),
        ("tags", MAX_PAIRS, batch.tags.len()),
        ("metrics, params, and tags", MAX_METRICS, total),
    ];
    match counts.into_iter().find(|(_, limit, got)| got > limit) {
        Some((what, limit, got)) => Err(Error::BatchTooLarge { what, limit, got }),
        None => Ok(()),
    }
}

fn distinct(params: &[Pair]) -> Result<(), Error> {
    let repeated = params.iter().enumerate().filter(|(index, param)| {
        params.get(..*index).unwrap_or_default().iter().any(|earlier| earlier.key == param.key)
    });
    let repeated: Vec<String> = repeated.map(|(_, param)| check::python_repr(&param.key)).collect();
    if repeated.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Duplicate parameter keys have been submitted: [{}]. Please ensure the request contains only one param value \
         per param key.",
        repeated.join(", ")
    );
    Err(Error::invalid("params", message))
}
