//! Params: written once, never changed.

use std::collections::HashMap;

use db::{Sql, Tx};
use kernel::ctx::Ctx;

use crate::{Error, Pair, check, run};

/// Logs a param. The same value again is fine, another one is refused.
pub fn log(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, param: Pair) -> Result<(), Error> {
    let param = check::param(param, str::to_owned)?;
    run::active(tx, ctx, run_id)?;
    put(tx, run_id, &param)?;
    let row = tx.query_opt(
        "SELECT value FROM run_params WHERE run_id = $1 AND key = $2",
        &[run_id.into(), (&param.key).into()],
    )?;
    match row.map(|row| row.text("value")).transpose()? {
        Some(old) if old != param.value => {
            Err(Error::ParamChanged { run_id: run_id.to_owned(), key: param.key, old, new: param.value })
        }
        _ => Ok(()),
    }
}

/// Logs params that were checked, with distinct keys, to a run that was checked.
pub(crate) fn put_all(tx: &mut Tx<'_>, run_id: &str, params: &[Pair]) -> Result<(), Error> {
    if params.is_empty() {
        return Ok(());
    }
    for param in params {
        put(tx, run_id, param)?;
    }
    let mut sql = Sql::new();
    sql.push("SELECT key, value FROM run_params WHERE run_id = ").bind(run_id);
    sql.push(" AND key IN ").bind_list(params.iter().map(|param| &param.key));
    let mut kept = HashMap::new();
    for row in tx.query_built(&sql)? {
        kept.insert(row.text("key")?, row.text("value")?);
    }
    let changed = params.iter().filter_map(|param| {
        let old = kept.get(&param.key).filter(|old| **old != param.value)?;
        let [key, old, new] = [&param.key, old, &param.value].map(|text| check::python_repr(text));
        Some(format!("{{'key': {key}, 'old_value': {old}, 'new_value': {new}}}"))
    });
    let changes: Vec<String> = changed.collect();
    if changes.is_empty() {
        return Ok(());
    }
    Err(Error::ParamsChanged { run_id: run_id.to_owned(), changes: format!("[{}]", changes.join(", ")) })
}

fn put(tx: &mut Tx<'_>, run_id: &str, param: &Pair) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO run_params (run_id, key, value) VALUES ($1, $2, $3) ON CONFLICT (run_id, key) DO NOTHING",
        &[run_id.into(), (&param.key).into(), (&param.value).into()],
    )?;
    Ok(())
}
