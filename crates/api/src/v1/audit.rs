//! The audit trail as evidence: whether its chain is whole, and all of it as lines of JSON.

use std::convert::Infallible;

use access::Permission::{Server, View};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use conductor::House;
use db::events::chain::{self, Link, Progress};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Error, Query, Routes};
use crate::route::get;

pub(super) fn routes() -> Routes {
    Routes::new().route("/audit/verify", get(View, verify)).route("/audit/export", get(Server, export))
}

#[derive(Debug, Deserialize)]
struct Expected {
    expect: Option<String>,
}

/// `GET /audit/verify?expect=SEQ:HASH`: walks the whole chain; `expect` is a head that was noted before.
async fn verify(State(house): State<House>, Query(query): Query<Expected>) -> Answer {
    let expected = query.expect.as_deref().map(head).transpose()?;
    let mut link = Link::start();
    loop {
        let (from, noted) = (link.clone(), expected.clone());
        match house.db.read(move |tx| chain::verify(tx, &from, noted.as_ref())).await? {
            Progress::Sound(further) => link = further,
            Progress::Whole(head) => {
                return Ok(Json(json!({ "whole": true, "events": head.seq + 1, "head": head })));
            }
            Progress::Broken { seq, reason } => {
                return Ok(Json(json!({ "whole": false, "events": seq, "broken": { "seq": seq, "reason": reason } })));
            }
        }
    }
}

fn head(text: &str) -> Result<Link, Error> {
    let read = || {
        let (seq, hash) = text.split_once(':')?;
        Some(Link { seq: seq.parse().ok()?, hash: hash.to_owned() })
    };
    read().ok_or_else(|| Error::invalid("expect", "it must be SEQ:HASH, the head that a check printed"))
}

#[derive(Debug, Deserialize)]
struct After {
    after: Option<i64>,
}

/// `GET /audit/export?after=`: every event with its hash, one a line, oldest first, in constant memory.
async fn export(State(house): State<House>, Query(query): Query<After>) -> Result<Response, Error> {
    let first = chunk(&house, query.after.unwrap_or(-1)).await?;
    let rest = stream::unfold((house, first.1), |(house, after)| async move {
        match chunk(&house, after?).await {
            Ok((bytes, next)) => Some((Ok(bytes), (house, next))),
            // A line that is not JSON, so that nobody takes half of a trail for the whole.
            Err(error) => {
                tracing::warn!(?error, "an export of the trail was cut off");
                Some((Ok(Bytes::from_static(b"the export was cut off\n")), (house, None)))
            }
        }
    });
    let lines = stream::iter([Ok::<_, Infallible>(first.0)]).chain(rest);
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// The next lines, and after which event to go on, if there may be more.
async fn chunk(house: &House, after: i64) -> Result<(Bytes, Option<i64>), Error> {
    let events = house.db.read(move |tx| chain::export(tx, after)).await?;
    let mut lines = Vec::new();
    for event in &events {
        if serde_json::to_writer(&mut lines, event).is_ok() {
            lines.push(b'\n');
        }
    }
    Ok((Bytes::from(lines), events.last().map(|event| event.seq)))
}
