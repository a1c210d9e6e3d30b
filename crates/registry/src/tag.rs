//! Tags of models and versions.

use db::{Row, Tx};
use kernel::ctx::Ctx;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The tag that makes a model a prompt; searches that do not ask for prompts do not show them.
pub const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

const MAX_KEY: usize = 250;
const MAX_VALUE: usize = 100_000;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Tag {
    /// A tag that keeps the rules.
    pub(crate) fn check(&self) -> Result<()> {
        check_key(&self.key)?;
        if self.value.chars().count() > MAX_VALUE {
            return Err(Error::invalid(
                "value",
                format!("'value' exceeds the maximum length of {MAX_VALUE} characters"),
            ));
        }
        Ok(())
    }

    pub(crate) fn read(row: &Row) -> Result<Self> {
        Ok(Self { key: row.text("key")?, value: row.text("value")? })
    }
}

/// A key that keeps MLflow's rules: its characters, and a path that is normal.
pub(crate) fn check_key(key: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '-' | '.' | ' ' | ':');
    if key.is_empty() || !key.chars().all(allowed) {
        let message = format!(
            "Invalid value \"{key}\" for parameter 'key' supplied: Names may only contain alphanumerics, underscores (_), \
             dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        );
        return Err(Error::invalid("key", message));
    }
    if key.split('/').any(|step| matches!(step, "" | "." | "..")) {
        let message = format!("Invalid value \"{key}\" for parameter 'key' supplied: it must be a normal path.");
        return Err(Error::invalid("key", message));
    }
    if key.chars().count() > MAX_KEY {
        return Err(Error::invalid("key", format!("'key' exceeds the maximum length of {MAX_KEY} characters")));
    }
    Ok(())
}

/// Several tags at once: a key that comes twice keeps its last value.
pub(crate) fn collapse(tags: Vec<Tag>) -> Result<Vec<Tag>> {
    let mut kept: Vec<Tag> = Vec::new();
    for tag in tags {
        tag.check()?;
        match kept.iter_mut().find(|have| have.key == tag.key) {
            Some(have) => have.value = tag.value,
            None => kept.push(tag),
        }
    }
    Ok(kept)
}

pub(crate) fn set_on_model(tx: &mut Tx<'_>, ctx: &Ctx, uid: &str, tag: &Tag) -> Result<()> {
    tx.execute(
        "INSERT INTO registered_model_tags (workspace, model_uid, key, value) VALUES ($1, $2, $3, $4)
         ON CONFLICT (model_uid, key) DO UPDATE SET value = excluded.value",
        &[ctx.workspace.as_str().into(), uid.into(), tag.key.as_str().into(), tag.value.as_str().into()],
    )?;
    Ok(())
}

pub(crate) fn set_on_version(tx: &mut Tx<'_>, ctx: &Ctx, uid: &str, version: i64, tag: &Tag) -> Result<()> {
    tx.execute(
        "INSERT INTO model_version_tags (workspace, model_uid, version, key, value) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (model_uid, version, key) DO UPDATE SET value = excluded.value",
        &[
            ctx.workspace.as_str().into(),
            uid.into(),
            version.into(),
            tag.key.as_str().into(),
            tag.value.as_str().into(),
        ],
    )?;
    Ok(())
}
