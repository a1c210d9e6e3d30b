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
    match answered(&house, &name, &headers, body).await {
        Ok(done) => {
            // a request without an id of its own goes by that of its first prediction
            let request_id = scoring::given_request_id(&headers).unwrap_or(done.first_id);
            let head = [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (scoring::VERSION, done.version),
                (scoring::REQUEST_ID, request_id),
            ];
            (head, done.body).into_response()
        }
        Err(error) => Refusal { error, request_id: scoring::request_id(&headers) }.into_response(),
    }
}

/// A body and what goes into the headers.
struct Done {
    version: HeaderValue,
    first_id: HeaderValue,
    body: Vec<u8>,
}

async fn answered(house: &House, name: &str, headers: &HeaderMap, body: Body) -> Result<Done, error::Error> {
    let media = MediaType::of(headers);
    if !(media.essence.is_empty() || media.is_json()) || media.parameter("charset").is_some_and(|set| set != "utf-8") {
        return Err(error::Error::MediaType(media.essence));
    }
    let body = scoring::read(house, headers, body).await?;
    Ok(scoring::run(house, name, body.len(), move |call| work(call, &body)).await?)
}

/// Decode, run, log, encode: on the thread that the fleet chose.
fn work(call: &Call, body: &[u8]) -> Result<Done, Error> {
    let live = call.live();
    let request = request::decode(live, body)?;
    let answer = call.predict(request.batch)?;
    Ok(Done {
        version: scoring::header(live.version()),
        first_id: scoring::header(answer.ids.first().map_or("", String::as_str)),
        body: answer::encode(live, &answer, request.probabilities),
    })
}
