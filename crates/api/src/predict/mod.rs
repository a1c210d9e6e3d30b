//! Our own way to ask for predictions: `POST /deployments/{name}/predict`.
//!
//! The body is `{"rows": [..]}` with objects or arrays, or `{"inputs": {..}}` for one row; the answer carries the id of every
//! prediction, by which the truth is told later. The exact shapes are in `docs/API-DESIGN.md`.

pub(crate) mod answer;
mod error;
mod fields;
mod request;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use conductor::House;
use serving::{Call, Error};

use self::error::Refusal;
use crate::scoring::{self, MediaType};

/// The routes of this protocol.
pub fn routes() -> Router<House> {
    Router::new().route("/deployments/{name}/predict", post(predict))
}

async fn predict(State(house): State<House>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let request_id = scoring::request_id(&headers);
    match answered(&house, &name, &headers, body).await {
        Ok((version, body)) => {
            let head = [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (scoring::VERSION, version),
                (scoring::REQUEST_ID, request_id),
            ];
            (head, body).into_response()
        }
        Err(error) => Refusal { error, request_id }.into_response(),
    }
}

async fn answered(
    house: &House,
    name: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<(HeaderValue, Vec<u8>), error::Error> {
    let media = MediaType::of(headers);
    if !(media.essence.is_empty() || media.is_json()) || media.parameter("charset").is_some_and(|set| set != "utf-8") {
        return Err(error::Error::MediaType(media.essence));
    }
    let body = scoring::read(house, headers, body).await?;
    let done = scoring::run(house, name, body.len(), move |call| work(call, &body)).await?;
    Ok(done)
}

/// Decode, run, log, encode: on the thread that the fleet chose.
fn work(call: &Call, body: &[u8]) -> Result<(HeaderValue, Vec<u8>), Error> {
    let request = request::decode(call.live(), body)?;
    let answer = call.predict(request.batch)?;
    Ok((scoring::header(call.live().version()), answer::encode(call.live(), &answer, request.probabilities)))
}
