//! Alerts told to the outside, through the guard of all calls to where users say ([`outbound`]), retried by the job queue.

use std::fmt::Write as _;

use db::Tx;
use hmac::{Hmac, Mac as _};
use kernel::clock::rfc3339;
use kernel::ctx::Ctx;
use kernel::event::Event;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::job::{self, Job};
use crate::{Error, House, outbound};

#[derive(Debug, Serialize, Deserialize)]
struct Call {
    url: String,
    secret: Option<String>,
    event: String,
    body: String,
}

/// Queues the call of the webhook of the monitor that an alert belongs to.
pub fn decide(tx: &mut Tx<'_>, ctx: &Ctx, event: &Event) -> Result<(), Error> {
    let name = event.subject.strip_prefix("monitor/").unwrap_or_default();
    let Some(monitor) = monitoring::monitor::find(tx, ctx, name)? else { return Ok(()) };
    let Some(url) = monitor.webhook.clone() else { return Ok(()) };
    let body = json!({
        "event": event.kind, "at": rfc3339(event.at_us), "monitor": name, "model": event.model, "payload": event.payload,
    });
    let call = Call { url, secret: monitor.webhook_secret.clone(), event: event.kind.clone(), body: body.to_string() };
    job::enqueue(tx, ctx, job::Kind::Webhook, &event.seq.to_string(), &call)
}

/// Makes the call. The job's key is the delivery id: a receiver that has seen it may ignore a repetition.
pub(crate) async fn work(house: &House, job: &Job) -> Result<(), Error> {
    let call: Call = job.payload()?;
    let timestamp = house.clock.now_us() / 1_000_000;
    let mut headers = vec![
        ("x-rondo-event", call.event.clone()),
        ("x-rondo-delivery", job.key.clone()),
        ("x-rondo-timestamp", timestamp.to_string()),
    ];
    if let Some(secret) = &call.secret {
        headers.push(("x-rondo-signature", signature(secret, &job.key, timestamp, &call.body)));
    }
    let target = outbound::judge(house, &call.url).await?;
    match outbound::post(target, &headers, call.body).await?.status {
        200..=299 => {}
        status => return Err(Error::Webhook { url: call.url, answer: status.to_string() }),
    }
    let (ctx, key) = (house.conductor_ctx(), job.key.clone());
    house.db.write(move |tx| job::finish(tx, &ctx, &key)).await
}

/// `v1,` and the hexadecimal HMAC-SHA256 of `delivery.timestamp.body`.
fn signature(secret: &str, delivery: &str, timestamp: i64, body: &str) -> String {
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{delivery}.{timestamp}.{body}").as_bytes());
    mac.finalize().into_bytes().iter().fold("v1,".to_owned(), |mut text, byte| {
        let _into_a_string = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_hmac_of_delivery_timestamp_and_body() {
        // printf '%s' 'webhook/7.1700000000.{}' | openssl dgst -sha256 -hmac secret
        let expect = "v1,b6016e079037c52d30ad091d1eb2afc8fd125434ca63e10e44ca01003fc53549";
        assert_eq!(signature("secret", "webhook/7", 1_700_000_000, "{}"), expect);
    }
}
