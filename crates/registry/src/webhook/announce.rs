//! What webhooks are told: an event in the trail, written only while a webhook waits for its topic.

use std::collections::BTreeMap;

use db::Tx;
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde_json::{Value, json};

use super::waiting_for;
use crate::Result;
use crate::model::Model;
use crate::tag::{IS_PROMPT, Tag};
use crate::version::Version;

/// The tag that holds the text of a version of a prompt.
const PROMPT_TEXT: &str = "mlflow.prompt.text";
/// The tag that says whether a prompt is a text or a chat.
const PROMPT_TYPE: &str = "_mlflow_prompt_type";

/// Leaves word for the webhooks of a topic, if there are any; `data` is in MLflow's own shape. To be called last: see
/// [`db::events::emit`].
pub(crate) fn announce(tx: &mut Tx<'_>, ctx: &Ctx, topic: &'static str, model: &str, data: Value) -> Result<()> {
    if waiting_for(tx, ctx, topic)?.is_empty() {
        return Ok(());
    }
    db::events::emit(
        tx,
        ctx,
        NewEvent {
            kind: kind::REGISTRY_ANNOUNCED,
            subject: format!("model/{model}"),
            model: Some(model.to_owned()),
            payload: json!({ "topic": topic, "data": data }),
        },
    )?;
    Ok(())
}

/// Says that a model, or a prompt, was made.
pub(crate) fn of_model(tx: &mut Tx<'_>, ctx: &Ctx, model: &Model) -> Result<()> {
    let prompt = says_prompt(&model.tags);
    let data = json!({
        "name": model.name,
        "tags": shown(&model.tags, prompt),
        "description": model.description.as_deref().unwrap_or_default(),
    });
    announce(tx, ctx, if prompt { "prompt.created" } else { "registered_model.created" }, &model.name, data)
}

/// Says that a version, of a model or of a prompt, was made.
pub(crate) fn of_version(tx: &mut Tx<'_>, ctx: &Ctx, version: &Version) -> Result<()> {
    let prompt = says_prompt(&version.tags);
    let mut data = json!({
        "name": version.name,
        "version": version.version,
        "tags": shown(&version.tags, prompt),
        "description": version.description.as_deref().filter(|text| !text.is_empty()),
    });
    if let Some(data) = data.as_object_mut() {
        if prompt {
            let text = version.tags.iter().find(|tag| tag.key == PROMPT_TEXT);
            data.insert("template".to_owned(), text.map(|tag| tag.value.clone()).into());
        } else {
            data.insert("source".to_owned(), version.source.clone().into());
            data.insert("run_id".to_owned(), version.run_id.clone().into());
        }
    }
    announce(tx, ctx, if prompt { "prompt_version.created" } else { "model_version.created" }, &version.name, data)
}

/// Whether a model is a prompt.
pub(crate) fn is_prompt(tx: &mut Tx<'_>, uid: &str) -> Result<bool> {
    let row = tx.query_opt(
        "SELECT value FROM registered_model_tags WHERE model_uid = $1 AND key = $2",
        &[uid.into(), IS_PROMPT.into()],
    )?;
    Ok(row.map(|row| row.text("value")).transpose()?.is_some_and(|value| value == "true"))
}

fn says_prompt(tags: &[Tag]) -> bool {
    tags.iter().any(|tag| tag.key == IS_PROMPT && tag.value == "true")
}

/// The tags as an object; of a prompt without those that make it one.
fn shown(tags: &[Tag], prompt: bool) -> BTreeMap<&str, &str> {
    let inner = |key: &str| prompt && matches!(key, IS_PROMPT | PROMPT_TYPE | PROMPT_TEXT);
    tags.iter().filter(|tag| !inner(&tag.key)).map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
}
