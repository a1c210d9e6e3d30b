//! The registry's webhooks, called as MLflow calls them: its body, its headers, its signature. A call that is not taken comes back
//! through the job queue.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use db::Tx;
use hmac::{Hmac, Mac as _};
use kernel::ctx::{Ctx, Principal};
use kernel::event::Event;
use registry::webhook::{self, TOPICS, Target};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::job::{self, Job};
use crate::outbound::{self, Answer};
use crate::{Error, House};

/// A call that is due. The secret stays in the registry until the call is made.
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    webhook_id: String,
    delivery: String,
    body: String,
}

/// Queues a call of each webhook that waits for what happened.
pub fn decide(tx: &mut Tx<'_>, ctx: &Ctx, event: &Event) -> Result<(), Error> {
    let topic = event.payload["topic"].as_str().unwrap_or_default();
    for webhook_id in webhook::waiting_for(tx, ctx, topic)? {
        let key = format!("{}/{webhook_id}", event.seq);
        let body = body(topic, event.at_us, &event.payload["data"]);
        let call = Call { webhook_id, delivery: kernel::id::new(), body };
        job::enqueue(tx, ctx, job::Kind::Announce, &key, &call)?;
    }
    Ok(())
}

/// Makes the call. A webhook that has been deleted or disabled in the meantime is not called.
pub(crate) async fn work(house: &House, job: &Job) -> Result<(), Error> {
    let call: Call = job.payload()?;
    let (ctx, id) = (house.conductor_ctx(), call.webhook_id.clone());
    let target = house.db.read(move |tx| webhook::target(tx, &ctx, &id, false)).await?;
    if let Some(target) = target {
        let url = target.url.clone();
        let answer = deliver(house, target, &call.delivery, call.body).await?;
        match answer.status {
            200..=299 => {}
            status @ (408 | 429 | 500..=599) => return Err(Error::Webhook { url, answer: status.to_string() }),
            status => return Err(Error::Undeliverable { url, answer: status.to_string() }),
        }
    }
    let (ctx, key) = (house.conductor_ctx(), job.key.clone());
    house.db.write(move |tx| job::finish(tx, &ctx, &key)).await
}

/// Calls a webhook once with an example, active or not, and says what came back. `topic` is its first if none is named.
pub async fn test(
    house: &House,
    who: Principal,
    id: String,
    topic: Option<String>,
) -> Result<Result<Answer, Error>, Error> {
    let ctx = house.ctx(who);
    let (found, target) = house
        .db
        .read(move |tx| Ok::<_, Error>((webhook::get(tx, &ctx, &id)?, webhook::target(tx, &ctx, &id, true)?)))
        .await?;
    let topic = topic.as_deref().or(found.topics.first().copied()).unwrap_or(TOPICS[0]);
    let Some(target) = target else { return Err(registry::Error::WebhookNotFound(found.webhook_id).into()) };
    let body = body(topic, house.clock.now_us(), &example(topic));
    Ok(deliver(house, target, &kernel::id::new(), body).await)
}

async fn deliver(house: &House, target: Target, delivery: &str, body: String) -> Result<Answer, Error> {
    let place = outbound::judge(house, &target.url).await?;
    let timestamp = (house.clock.now_us() / 1_000_000).to_string();
    let mut headers = vec![("x-mlflow-delivery-id", delivery.to_owned()), ("x-mlflow-timestamp", timestamp.clone())];
    if let Some(secret) = &target.secret {
        headers.push(("x-mlflow-signature", signature(secret, delivery, &timestamp, &body)));
    }
    outbound::post(place, &headers, body).await
}

fn body(topic: &str, at_us: i64, data: &Value) -> String {
    let (entity, action) = topic.split_once('.').unwrap_or((topic, ""));
    // The form of Python's `isoformat`, which receivers read back with `fromisoformat`.
    let at = jiff::Timestamp::from_microsecond(at_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let timestamp = at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
    json!({ "entity": entity, "action": action, "timestamp": timestamp, "data": data }).to_string()
}

/// `v1,` and the HMAC-SHA256 of `delivery.timestamp.body` in base64.
fn signature(secret: &str, delivery: &str, timestamp: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{delivery}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// What MLflow sends to try a webhook of a topic.
fn example(topic: &str) -> Value {
    let name = if topic.starts_with("prompt") { "example_prompt" } else { "example_model" };
    let tags = json!({ "example_key": "example_value" });
    match topic {
        "registered_model.created" => {
            json!({ "name": name, "tags": tags, "description": "An example registered model" })
        }
        "prompt.created" => json!({ "name": name, "tags": tags, "description": "An example prompt" }),
        "model_version.created" => json!({
            "name": name, "version": "1", "source": "models:/123", "run_id": "abcd1234abcd5678", "tags": tags,
            "description": "An example model version",
        }),
        "prompt_version.created" => json!({
            "name": name, "version": "1", "template": "Hello {{name}}!", "tags": tags,
            "description": "An example prompt version",
        }),
        "prompt_tag.set" => json!({ "name": name, "key": "example_key", "value": "example_value" }),
        "prompt_tag.deleted" => json!({ "name": name, "key": "example_key" }),
        "model_version_tag.set" | "prompt_version_tag.set" => {
            json!({ "name": name, "version": "1", "key": "example_key", "value": "example_value" })
        }
        "model_version_tag.deleted" | "prompt_version_tag.deleted" => {
            json!({ "name": name, "version": "1", "key": "example_key" })
        }
        "model_version_alias.created" | "prompt_alias.created" => {
            json!({ "name": name, "alias": "example_alias", "version": "1" })
        }
        "model_version_alias.deleted" | "prompt_alias.deleted" => json!({ "name": name, "alias": "example_alias" }),
        _ => json!({
            "budget_policy_id": "bp-abc123", "budget_unit": "USD", "budget_amount": 100.0, "current_spend": 105.5,
            "duration_unit": "MONTHS", "duration_value": 1, "target_scope": "ENDPOINT", "workspace": "default",
            "target_value": "ep-abc123", "window_start": 1_704_067_200_000_i64,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_mlflows() {
        // mlflow.webhooks.delivery._generate_hmac_signature("secret", "d-1", "1700000000", "{}")
        assert_eq!(signature("secret", "d-1", "1700000000", "{}"), "v1,lrnHmr9kIxD6FeYfGxtSLiY7T1fqHECrTsOUOF3Eg4k=");
    }

    #[test]
    fn the_body_is_mlflows() {
        let body: Value =
            serde_json::from_str(&body("prompt_tag.set", 1_700_000_000_000_005, &json!({ "name": "p" }))).unwrap();
        let expect = json!({
            "entity": "prompt_tag", "action": "set", "timestamp": "2023-11-14T22:13:20.000005+00:00", "data": { "name": "p" },
        });
        assert_eq!(body, expect);
    }
}
