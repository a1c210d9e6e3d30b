//! Sweeps as rows.

use db::{Row, Tx};
use kernel::ctx::Ctx;

use super::{State, Sweep, missing};
use crate::Error;

pub(super) fn find(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Option<Sweep>, Error> {
    let row = tx.query_opt(
        "SELECT * FROM sweeps WHERE workspace = $1 AND name = $2",
        &[(&ctx.workspace).into(), name.into()],
    )?;
    row.as_ref().map(read).transpose()
}

pub(super) fn all(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Sweep>, Error> {
    let rows = tx.query(
        "SELECT * FROM sweeps WHERE workspace = $1 ORDER BY created_us DESC, name",
        &[(&ctx.workspace).into()],
    )?;
    rows.iter().map(read).collect()
}

/// The sweep of that name; nobody else changes it or its trials until the transaction ends.
pub(super) fn locked(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Sweep, Error> {
    // An update takes the lock on both engines.
    let changed = tx.execute(
        "UPDATE sweeps SET made = made WHERE workspace = $1 AND name = $2",
        &[(&ctx.workspace).into(), name.into()],
    )?;
    if changed == 0 {
        return Err(missing(name));
    }
    find(tx, ctx, name)?.ok_or_else(|| missing(name))
}

pub(super) fn insert(tx: &mut Tx<'_>, ctx: &Ctx, sweep: &Sweep) -> Result<(), Error> {
    let definition = serde_json::to_string(&sweep.definition)
        .map_err(|error| db::Error::corrupt("definition", error.to_string()))?;
    let experiment = crate::check::experiment_id(&sweep.experiment_id)?;
    let inserted = tx.execute(
        "INSERT INTO sweeps
            (sweep_id, workspace, name, experiment_id, run_id, definition, state, trials, made, ended, created_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9) ON CONFLICT DO NOTHING",
        &[
            (&sweep.sweep_id).into(),
            (&ctx.workspace).into(),
            (&sweep.definition.name).into(),
            experiment.into(),
            (&sweep.run_id).into(),
            definition.into(),
            sweep.state.as_str().into(),
            sweep.trials.into(),
            sweep.created_us.into(),
        ],
    )?;
    if inserted == 0 {
        return Err(Error::SweepExists { name: sweep.definition.name.clone() });
    }
    Ok(())
}

/// Writes what changes in a sweep's life.
pub(super) fn save(tx: &mut Tx<'_>, sweep: &Sweep) -> Result<(), Error> {
    tx.execute(
        "UPDATE sweeps SET state = $2, trials = $3, made = $4, ended = $5, ended_us = $6 WHERE sweep_id = $1",
        &[
            (&sweep.sweep_id).into(),
            sweep.state.as_str().into(),
            sweep.trials.into(),
            sweep.made.into(),
            sweep.ended.into(),
            sweep.ended_us.into(),
        ],
    )?;
    Ok(())
}

pub(super) fn delete(tx: &mut Tx<'_>, sweep: &Sweep) -> Result<(), Error> {
    for part in [
        "DELETE FROM sweep_marks WHERE sweep_id = $1",
        "DELETE FROM sweep_trials WHERE sweep_id = $1",
        "DELETE FROM sweeps WHERE sweep_id = $1",
    ] {
        tx.execute(part, &[(&sweep.sweep_id).into()])?;
    }
    Ok(())
}

fn read(row: &Row) -> Result<Sweep, Error> {
    let (state, definition) = (row.str("state")?, row.str("definition")?);
    Ok(Sweep {
        sweep_id: row.text("sweep_id")?,
        definition: serde_json::from_str(definition).map_err(|_| db::Error::corrupt("definition", definition))?,
        experiment_id: row.i64("experiment_id")?.to_string(),
        run_id: row.text("run_id")?,
        state: State::ALL
            .into_iter()
            .find(|one| one.as_str() == state)
            .ok_or_else(|| db::Error::corrupt("state", state))?,
        trials: row.i64("trials")?,
        made: row.i64("made")?,
        ended: row.i64("ended")?,
        created_us: row.i64("created_us")?,
        ended_us: row.opt_i64("ended_us")?,
    })
}
