//! Datasets that runs read. A dataset is known by experiment, name and digest; an input is an edge from it to a run, with tags.

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;

use crate::run::fill_rows;
use crate::{Error, Pair, check, logged_model, run};

/// The tag of an input that says what the run used the dataset for.
pub const CONTEXT_TAG: &str = "mlflow.data.context";

/// A dataset as an input of a run.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DatasetInput {
    /// Its name.
    pub name: String,
    /// Tells its versions apart.
    pub digest: String,
    /// The kind of source: `local`, `code`, `http` ...
    pub source_type: String,
    /// Where it came from, as JSON.
    pub source: String,
    /// Its columns, as JSON.
    pub schema: Option<String>,
    /// Counts, as JSON.
    pub profile: Option<String>,
    /// About this use of it.
    pub tags: Vec<Pair>,
}

/// A dataset of an experiment and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The experiment.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// Tells its versions apart.
    pub digest: String,
    /// What a run used it for.
    pub context: Option<String>,
}

/// The most summaries of one answer.
const MAX_SUMMARIES: i64 = 1_000;

/// Logs datasets and logged models as inputs of a run. An edge that is there keeps its tags.
pub fn log_inputs(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    run_id: &str,
    datasets: &[DatasetInput],
    models: &[String],
) -> Result<(), Error> {
    check::run_id(run_id)?;
    datasets.iter().try_for_each(check_input)?;
    let experiment = run::active(tx, ctx, run_id)?;
    for (index, input) in datasets.iter().enumerate() {
        let dataset_id = find_or_create(tx, ctx, experiment, input)?;
        link(tx, ctx, run_id, &dataset_id, index as i64, &input.tags)?;
    }
    models.iter().try_for_each(|model_id| logged_model::link_input(tx, run_id, model_id))
}

/// The datasets that a run read, in the order in which they were logged.
pub fn of_run(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str) -> Result<Vec<DatasetInput>, Error> {
    let info = run::info(tx, ctx, run_id)?;
    Ok(of_runs(tx, &[info.run_id])?.into_iter().map(|(_, input)| input).collect())
}

/// The datasets of some experiments, each once per use.
pub fn summaries(tx: &mut Tx<'_>, ctx: &Ctx, experiment_ids: &[String]) -> Result<Vec<Summary>, Error> {
    let ids = experiment_ids.iter().map(|id| check::experiment_id(id)).collect::<Result<Vec<i64>, Error>>()?;
    let mut sql = Sql::new();
    sql.push(
        "SELECT DISTINCT d.experiment_id, d.name, d.digest, t.value AS context FROM datasets d
         JOIN run_datasets e ON e.dataset_id = d.dataset_id
         LEFT JOIN run_dataset_tags t
            ON t.run_id = e.run_id AND t.dataset_id = e.dataset_id AND t.key = ",
    );
    sql.bind(CONTEXT_TAG).push(" WHERE d.workspace = ").bind(&ctx.workspace);
    sql.push(" AND d.experiment_id IN ").bind_list(ids);
    sql.push(" ORDER BY d.experiment_id, d.name, d.digest, context LIMIT ").bind(MAX_SUMMARIES);
    let rows = tx.query_built(&sql)?;
    let read = |row: &Row| {
        Ok(Summary {
            experiment_id: row.i64("experiment_id")?.to_string(),
            name: row.text("name")?,
            digest: row.text("digest")?,
            context: row.opt_text("context")?,
        })
    };
    rows.iter().map(read).collect()
}

/// The inputs of some runs with the run of each, in the order in which they were logged.
pub(crate) fn of_runs(tx: &mut Tx<'_>, run_ids: &[String]) -> Result<Vec<(String, DatasetInput)>, Error> {
    let rows = fill_rows(
        tx,
        "SELECT e.run_id, d.dataset_id, d.name, d.digest, d.source_type, d.source, d.schema_json, d.profile_json
         FROM run_datasets e JOIN datasets d ON d.dataset_id = e.dataset_id WHERE e.run_id IN ",
        run_ids,
        " ORDER BY e.logged_us, d.dataset_id",
    )?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let select = "SELECT run_id, dataset_id, key, value FROM run_dataset_tags WHERE run_id IN ";
    let tags = fill_rows(tx, select, run_ids, " ORDER BY key")?;
    rows.iter().map(|row| Ok((row.text("run_id")?, read(row, &tags)?))).collect()
}

fn read(row: &Row, tags: &[Row]) -> Result<DatasetInput, Error> {
    let (run_id, dataset_id) = (row.str("run_id")?, row.str("dataset_id")?);
    let mut own = Vec::new();
    for tag in tags {
        if tag.str("run_id")? == run_id && tag.str("dataset_id")? == dataset_id {
            own.push(Pair { key: tag.text("key")?, value: tag.text("value")? });
        }
    }
    Ok(DatasetInput {
        name: row.text("name")?,
        digest: row.text("digest")?,
        source_type: row.text("source_type")?,
        source: row.text("source")?,
        schema: row.opt_text("schema_json")?,
        profile: row.opt_text("profile_json")?,
        tags: own,
    })
}

fn check_input(input: &DatasetInput) -> Result<(), Error> {
    let limit = |text: &str, limit: usize, name: &str| check::length(text, limit, || name.to_owned());
    limit(&input.name, 500, "name")?;
    limit(&input.digest, 36, "digest")?;
    limit(&input.source, 65_535, "source")?;
    limit(input.schema.as_deref().unwrap_or_default(), 1_048_575, "schema")?;
    limit(input.profile.as_deref().unwrap_or_default(), 16_777_215, "profile")?;
    for tag in &input.tags {
        limit(&tag.key, 255, "key")?;
        limit(&tag.value, 500, "value")?;
    }
    Ok(())
}

fn find_or_create(tx: &mut Tx<'_>, ctx: &Ctx, experiment: i64, input: &DatasetInput) -> Result<String, Error> {
    tx.execute(
        "INSERT INTO datasets
            (dataset_id, workspace, experiment_id, name, digest, source_type, source, schema_json, profile_json)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (experiment_id, name, digest) DO NOTHING",
        &[
            kernel::id::random_hex().into(),
            (&ctx.workspace).into(),
            experiment.into(),
            (&input.name).into(),
            (&input.digest).into(),
            (&input.source_type).into(),
            (&input.source).into(),
            input.schema.as_deref().into(),
            input.profile.as_deref().into(),
        ],
    )?;
    let row = tx.query_opt(
        "SELECT dataset_id FROM datasets WHERE experiment_id = $1 AND name = $2 AND digest = $3",
        &[experiment.into(), (&input.name).into(), (&input.digest).into()],
    )?;
    let gone = || Error::not_found(format!("Dataset {} is gone", input.name));
    Ok(row.ok_or_else(gone)?.text("dataset_id")?)
}

fn link(tx: &mut Tx<'_>, ctx: &Ctx, run_id: &str, dataset_id: &str, index: i64, tags: &[Pair]) -> Result<(), Error> {
    let fresh = tx.execute(
        "INSERT INTO run_datasets (run_id, dataset_id, logged_us) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        &[run_id.into(), dataset_id.into(), (ctx.now_us + index).into()],
    )?;
    if fresh == 0 {
        return Ok(());
    }
    for tag in tags {
        tx.execute(
            "INSERT INTO run_dataset_tags (run_id, dataset_id, key, value) VALUES ($1, $2, $3, $4)
             ON CONFLICT (run_id, dataset_id, key) DO UPDATE SET value = excluded.value",
            &[run_id.into(), dataset_id.into(), (&tag.key).into(), (&tag.value).into()],
        )?;
    }
    Ok(())
}
