//! Evaluation datasets: records of inputs with what is expected of them, shared between experiments. (What runs read is a
//! [`crate::dataset`].)

pub mod record;

use db::{Row, Sql, Tx};
use kernel::ctx::Ctx;
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use crate::{Error, Pair, check};

/// The tag that says who did it.
pub(crate) const USER_TAG: &str = "mlflow.user";
const MAX_NAME: usize = 255;
const MAX_TAG_KEY: usize = 255;
const MAX_TAG_VALUE: usize = 5_000;

/// An evaluation dataset without its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationDataset {
    /// `d-` and 32 hexadecimal digits.
    pub dataset_id: String,
    /// Its name; several may have the same.
    pub name: String,
    /// Eight digits that change with the records.
    pub digest: String,
    /// The fields of its records and their types, as JSON; none before there are records.
    pub schema: Option<String>,
    /// How many records there are.
    pub records: i64,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// When it changed last.
    pub updated_ms: i64,
    /// Who made it, if the tags said so.
    pub created_by: Option<String>,
    /// Who sent records last, if these said so.
    pub updated_by: Option<String>,
    /// About it.
    pub tags: Vec<Pair>,
}

/// Makes a dataset and answers its id. `tags` are an object of texts, numbers and truth values.
pub fn create(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    name: &str,
    tags: &Map<String, Json>,
    experiment_ids: &[String],
) -> Result<EvaluationDataset, Error> {
    check::length(name, MAX_NAME, || "name".to_owned())?;
    let tags = read_tags(tags)?;
    let dataset_id = format!("d-{}", kernel::id::random_hex());
    let user = tags.iter().find(|tag| tag.key == USER_TAG).map(|tag| tag.value.as_str());
    let now_ms = ctx.now_us / 1_000;
    tx.execute(
        "INSERT INTO evaluation_datasets
            (dataset_id, workspace, name, digest, schema_json, records, created_ms, updated_ms, created_by, updated_by)
         VALUES ($1, $2, $3, $4, NULL, 0, $5, $5, $6, $6)",
        &[
            (&dataset_id).into(),
            (&ctx.workspace).into(),
            name.into(),
            digest(name, now_ms).into(),
            now_ms.into(),
            user.into(),
        ],
    )?;
    put_tags(tx, &dataset_id, &tags)?;
    link(tx, ctx, &dataset_id, experiment_ids)?;
    get(tx, ctx, &dataset_id)
}

/// A dataset by its id.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str) -> Result<EvaluationDataset, Error> {
    let missing = || Error::not_found(format!("Evaluation dataset with id '{dataset_id}' not found"));
    find(tx, ctx, dataset_id)?.ok_or_else(missing)
}

/// Deletes a dataset with its records; one that is not there is fine.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str) -> Result<(), Error> {
    let delete = "DELETE FROM evaluation_datasets WHERE dataset_id = $1 AND workspace = $2";
    tx.execute(delete, &[dataset_id.into(), (&ctx.workspace).into()])?;
    Ok(())
}

/// Sets tags; those that are null are left as they are.
pub fn set_tags(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str, tags: &Map<String, Json>) -> Result<(), Error> {
    if find(tx, ctx, dataset_id)?.is_none() {
        return Err(Error::not_found(format!("Could not find evaluation dataset with ID {dataset_id}")));
    }
    put_tags(tx, dataset_id, &read_tags(tags)?)
}

/// Deletes a tag; one that is not there is fine.
pub fn delete_tag(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str, key: &str) -> Result<(), Error> {
    if find(tx, ctx, dataset_id)?.is_some() {
        let delete = "DELETE FROM evaluation_dataset_tags WHERE dataset_id = $1 AND key = $2";
        tx.execute(delete, &[dataset_id.into(), key.into()])?;
    }
    Ok(())
}

/// The experiments that a dataset belongs to, in the order in which they were added; none of one that is not there.
pub fn experiment_ids(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str) -> Result<Vec<String>, Error> {
    let rows = tx.query(
        "SELECT l.experiment_id FROM evaluation_dataset_experiments l
         JOIN evaluation_datasets d ON d.dataset_id = l.dataset_id
         WHERE l.dataset_id = $1 AND d.workspace = $2 ORDER BY l.added_us, l.experiment_id",
        &[dataset_id.into(), (&ctx.workspace).into()],
    )?;
    rows.iter().map(|row| Ok(row.i64("experiment_id")?.to_string())).collect()
}

/// Adds a dataset to experiments; those that it belongs to are fine.
pub fn add_experiments(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    dataset_id: &str,
    ids: &[String],
) -> Result<EvaluationDataset, Error> {
    known(tx, ctx, dataset_id)?;
    link(tx, ctx, dataset_id, ids)?;
    touch(tx, ctx, dataset_id)?;
    get(tx, ctx, dataset_id)
}

/// Takes a dataset out of experiments; those that it does not belong to are fine.
pub fn remove_experiments(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    dataset_id: &str,
    ids: &[String],
) -> Result<EvaluationDataset, Error> {
    known(tx, ctx, dataset_id)?;
    let mut gone = 0;
    for id in ids {
        let delete = "DELETE FROM evaluation_dataset_experiments WHERE dataset_id = $1 AND experiment_id = $2";
        gone += tx.execute(delete, &[dataset_id.into(), check::experiment_id(id)?.into()])?;
    }
    if gone > 0 {
        touch(tx, ctx, dataset_id)?;
    }
    get(tx, ctx, dataset_id)
}

fn known(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str) -> Result<(), Error> {
    let missing = || Error::not_found(format!("Dataset '{dataset_id}' not found"));
    find(tx, ctx, dataset_id)?.map(drop).ok_or_else(missing)
}

fn touch(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str) -> Result<(), Error> {
    let update = "UPDATE evaluation_datasets SET updated_ms = $2 WHERE dataset_id = $1";
    tx.execute(update, &[dataset_id.into(), (ctx.now_us / 1_000).into()])?;
    Ok(())
}

fn link(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str, experiment_ids: &[String]) -> Result<(), Error> {
    for (index, id) in experiment_ids.iter().enumerate() {
        let number = check::experiment_id(id)?;
        let there = "SELECT experiment_id FROM experiments WHERE experiment_id = $1 AND workspace = $2";
        if tx.query_opt(there, &[number.into(), (&ctx.workspace).into()])?.is_none() {
            return Err(Error::not_found(format!("No Experiment with id={id}")));
        }
        tx.execute(
            "INSERT INTO evaluation_dataset_experiments (dataset_id, experiment_id, added_us) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            &[dataset_id.into(), number.into(), (ctx.now_us + index as i64).into()],
        )?;
    }
    Ok(())
}

/// Tags as they are kept: texts, and other plain values as Python writes them.
fn read_tags(tags: &Map<String, Json>) -> Result<Vec<Pair>, Error> {
    let mut read = Vec::with_capacity(tags.len());
    for (key, value) in tags {
        let value = match value {
            Json::Null => continue,
            Json::String(text) => text.clone(),
            Json::Bool(true) => "True".to_owned(),
            Json::Bool(false) => "False".to_owned(),
            Json::Number(number) => number.to_string(),
            other => {
                return Err(Error::invalid("tags", format!("The value of tag '{key}' must be a text, got {other}")));
            }
        };
        check::length(key, MAX_TAG_KEY, || "tags.key".to_owned())?;
        check::length(&value, MAX_TAG_VALUE, || "tags.value".to_owned())?;
        read.push(Pair::new(key, value));
    }
    Ok(read)
}

fn put_tags(tx: &mut Tx<'_>, dataset_id: &str, tags: &[Pair]) -> Result<(), Error> {
    for tag in tags {
        tx.execute(
            "INSERT INTO evaluation_dataset_tags (dataset_id, key, value) VALUES ($1, $2, $3)
             ON CONFLICT (dataset_id, key) DO UPDATE SET value = excluded.value",
            &[dataset_id.into(), (&tag.key).into(), (&tag.value).into()],
        )?;
    }
    Ok(())
}

/// The first eight digits of SHA-256 over name and time, as in MLflow.
fn digest(name: &str, updated_ms: i64) -> String {
    let bytes = Sha256::digest(format!("{name}:{updated_ms}"));
    bytes[..4].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What [`read`] reads.
pub(crate) const COLUMNS: &str =
    "SELECT d.dataset_id, d.name, d.digest, d.schema_json, d.records, d.created_ms, d.updated_ms, d.created_by,
    d.updated_by FROM evaluation_datasets d WHERE d.workspace = ";

fn find(tx: &mut Tx<'_>, ctx: &Ctx, dataset_id: &str) -> Result<Option<EvaluationDataset>, Error> {
    let mut sql = Sql::new();
    sql.push(COLUMNS).bind(&ctx.workspace).push(" AND d.dataset_id = ").bind(dataset_id);
    let mut found = tx.query_built(&sql)?.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    fill_tags(tx, &mut found)?;
    Ok(found.pop())
}

pub(crate) fn read(row: &Row) -> Result<EvaluationDataset, Error> {
    Ok(EvaluationDataset {
        dataset_id: row.text("dataset_id")?,
        name: row.text("name")?,
        digest: row.text("digest")?,
        schema: row.opt_text("schema_json")?,
        records: row.i64("records")?,
        created_ms: row.i64("created_ms")?,
        updated_ms: row.i64("updated_ms")?,
        created_by: row.opt_text("created_by")?,
        updated_by: row.opt_text("updated_by")?,
        tags: Vec::new(),
    })
}

/// Reads the tags of datasets into them.
pub(crate) fn fill_tags(tx: &mut Tx<'_>, datasets: &mut [EvaluationDataset]) -> Result<(), Error> {
    for dataset in datasets {
        let select = "SELECT key, value FROM evaluation_dataset_tags WHERE dataset_id = $1 ORDER BY key";
        let rows = tx.query(select, &[(&dataset.dataset_id).into()])?;
        let tag = |row: &Row| Ok::<_, Error>(Pair { key: row.text("key")?, value: row.text("value")? });
        dataset.tags = rows.iter().map(tag).collect::<Result<_, _>>()?;
    }
    Ok(())
}
