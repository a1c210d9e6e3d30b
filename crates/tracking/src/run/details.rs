//! What runs logged, read for many runs at once: a page of a search costs a handful of statements, not a handful per run.

use std::collections::HashMap;

use db::{Row, Sql, Tx};

use crate::run::{ModelOutput, Run, RunInfo};
use crate::{Error, Pair, dataset, metric};

/// Runs per statement. One size, so that the prepared statement is found again.
const CHUNK: usize = 200;

/// Runs with their params, metrics, tags, inputs and outputs, in the given order.
pub(crate) fn fill(tx: &mut Tx<'_>, infos: Vec<RunInfo>) -> Result<Vec<Run>, Error> {
    let mut runs: Vec<Run> = infos.into_iter().map(bare).collect();
    for chunk in runs.chunks_mut(CHUNK) {
        fill_chunk(tx, chunk)?;
    }
    Ok(runs)
}

fn bare(info: RunInfo) -> Run {
    Run {
        info,
        params: Vec::new(),
        metrics: Vec::new(),
        tags: Vec::new(),
        datasets: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    }
}

fn fill_chunk(tx: &mut Tx<'_>, runs: &mut [Run]) -> Result<(), Error> {
    let ids: Vec<String> = runs.iter().map(|run| run.info.run_id.clone()).collect();
    let mut by_id: HashMap<String, &mut Run> = runs.iter_mut().map(|run| (run.info.run_id.clone(), run)).collect();
    let mut each = |rows: Vec<Row>, put: &dyn Fn(&mut Run, &Row) -> Result<(), Error>| {
        rows.iter().try_for_each(|row| match by_id.get_mut(row.str("run_id")?) {
            Some(run) => put(run, row),
            None => Ok(()),
        })
    };
    let params = of_runs(tx, "SELECT run_id, key, value FROM run_params WHERE run_id IN ", &ids, " ORDER BY key")?;
    each(params, &|run, row| pair(row).map(|param| run.params.push(param)))?;
    let tags = of_runs(tx, "SELECT run_id, key, value FROM run_tags WHERE run_id IN ", &ids, " ORDER BY key")?;
    each(tags, &|run, row| pair(row).map(|tag| run.tags.push(tag)))?;
    let latest = "SELECT run_id, key, value, is_nan, timestamp_ms, step FROM metric_series WHERE run_id IN ";
    let metrics = of_runs(tx, latest, &ids, " ORDER BY key")?;
    each(metrics, &|run, row| metric::read(row).map(|point| run.metrics.push(point)))?;
    let edges = "SELECT run_id, model_id, direction, step FROM run_models WHERE run_id IN ";
    let models = of_runs(tx, edges, &ids, " ORDER BY step, model_id")?;
    each(models, &put_model)?;
    for (run_id, input) in dataset::of_runs(tx, &ids)? {
        if let Some(run) = by_id.get_mut(&run_id) {
            run.datasets.push(input);
        }
    }
    metric::add_latest(tx, &ids, runs)
}

fn put_model(run: &mut Run, row: &Row) -> Result<(), Error> {
    let model_id = row.text("model_id")?;
    match row.str("direction")? {
        "input" => run.model_inputs.push(model_id),
        _ => run.model_outputs.push(ModelOutput { model_id, step: row.i64("step")? }),
    }
    Ok(())
}

fn pair(row: &Row) -> Result<Pair, Error> {
    Ok(Pair { key: row.text("key")?, value: row.text("value")? })
}

/// Rows of these runs. A list that is longer than one is filled up to a full chunk with its last id.
pub(crate) fn of_runs(
    tx: &mut Tx<'_>,
    select: &'static str,
    ids: &[String],
    order: &'static str,
) -> Result<Vec<Row>, Error> {
    let size = if ids.len() > 1 { ids.len().max(CHUNK) } else { ids.len() };
    let padding = ids.last().into_iter().cycle();
    let mut sql = Sql::new();
    sql.push(select).bind_list(ids.iter().chain(padding).take(size)).push(order);
    Ok(tx.query_built(&sql)?)
}
