//! What comes from another tracking server keeps its id and its times. Each of these puts a thing there once: the same again
//! changes nothing and answers with what is there, so that an importer that was stopped can begin anew.

use db::Tx;
use kernel::ctx::Ctx;

use crate::experiment::Experiment;
use crate::logged_model::{LoggedModel, NewModel};
use crate::run::{NewRun, RunInfo};
use crate::{Error, check, experiment as experiments, logged_model as models, run as runs};

/// An experiment from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// Its id there, kept if it is a number that is free here.
    pub experiment_id: String,
    /// Its name, by which it is known.
    pub name: String,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
}

/// The experiment of that name, made if there is none; and whether it was made now.
pub fn experiment(tx: &mut Tx<'_>, ctx: &Ctx, foreign: &Foreign) -> Result<(Experiment, bool), Error> {
    check::experiment_name(&foreign.name)?;
    if let Some(there) = found(experiments::get_by_name(tx, ctx, &foreign.name))? {
        return Ok((there, false));
    }
    let id = match kept_id(tx, ctx, foreign)? {
        Some(id) => id,
        None => check::experiment_id(&experiments::create(tx, ctx, &foreign.name, None, &[])?)?,
    };
    tx.execute(
        "UPDATE experiments SET created_ms = $2 WHERE experiment_id = $1",
        &[id.into(), foreign.created_ms.into()],
    )?;
    Ok((experiments::get(tx, ctx, &id.to_string())?, true))
}

/// Makes the experiment under the id that it had, if that can be.
fn kept_id(tx: &mut Tx<'_>, ctx: &Ctx, foreign: &Foreign) -> Result<Option<i64>, Error> {
    let Some(id) = foreign.experiment_id.parse::<i64>().ok().filter(|id| *id > 0) else { return Ok(None) };
    let made = tx.execute(
        "INSERT INTO experiments
            (experiment_id, workspace, name, artifact_location, lifecycle_stage, created_ms, updated_ms)
         VALUES ($1, $2, $3, $4, 'active', $5, $5) ON CONFLICT DO NOTHING",
        &[
            id.into(),
            (&ctx.workspace).into(),
            (&foreign.name).into(),
            experiments::default_location(ctx, id).into(),
            foreign.created_ms.into(),
        ],
    )?;
    Ok((made == 1).then_some(id))
}

/// The run of that id, started if there is none; and whether it was started now. One in another experiment is an error.
pub fn run(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, new: NewRun) -> Result<(RunInfo, bool), Error> {
    check::run_id(run_id)?;
    if let Some(there) = found(runs::info(tx, ctx, run_id))? {
        same_experiment("run", run_id, &there.experiment_id, &new.experiment_id)?;
        return Ok((there, false));
    }
    let taken = tx.query_opt("SELECT 1 AS taken FROM runs WHERE run_id = $1", &[run_id.into()])?;
    elsewhere("run_id", run_id, taken.is_some())?;
    Ok((runs::create_as(tx, ctx, run_id.to_owned(), new)?.info, true))
}

/// The logged model of that id, made if there is none; and whether it was made now. One in another experiment is an error.
pub fn logged_model(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    model_id: &str,
    created_ms: i64,
    new: NewModel,
) -> Result<(LoggedModel, bool), Error> {
    let rest = model_id.strip_prefix("m-").unwrap_or_default();
    if rest.is_empty() || !rest.chars().all(|c| c.is_ascii_alphanumeric()) {
        let message =
            format!("Invalid value '{model_id}' for parameter 'model_id': it must be m- and letters or digits");
        return Err(Error::invalid("model_id", message));
    }
    if let Some(there) = found(models::get(tx, ctx, model_id, true))? {
        same_experiment("logged model", model_id, &there.experiment_id, &new.experiment_id)?;
        return Ok((there, false));
    }
    let taken = tx.query_opt("SELECT 1 AS taken FROM logged_models WHERE model_id = $1", &[model_id.into()])?;
    elsewhere("model_id", model_id, taken.is_some())?;
    models::create_as(tx, ctx, model_id.to_owned(), new)?;
    tx.execute("UPDATE logged_models SET created_ms = $2 WHERE model_id = $1", &[model_id.into(), created_ms.into()])?;
    Ok((models::get(tx, ctx, model_id, true)?, true))
}

/// What is there, or nothing.
fn found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(there) => Ok(Some(there)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ids are unique across workspaces.
fn elsewhere(field: &'static str, id: &str, taken: bool) -> Result<(), Error> {
    let message = || format!("the id {id} is taken in another workspace");
    if taken { Err(Error::invalid(field, message())) } else { Ok(()) }
}

fn same_experiment(what: &str, id: &str, there: &str, wanted: &str) -> Result<(), Error> {
    if there == wanted {
        return Ok(());
    }
    let message = format!("{what} {id} is there already, in experiment {there} and not in {wanted}");
    Err(Error::invalid("experiment_id", message))
}
