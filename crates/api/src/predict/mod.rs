//! Our own way to ask for predictions: `POST /deployments/{name}/predict`.
//!
//! The body is `{"rows": [..]}` with objects or arrays, or `{"inputs": {..}}` for one row; the answer carries the id of every
//! prediction, by which the truth is told later. The exact shapes are in `docs/API-DESIGN.md`.

pub(crate) mod answer;
mod error;
mod fields;
mod request;

use access::Permission::Predict;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use serving::{Call, Error};

pub(crate) use self::error::Predictions;
use self::error::Refusal;
use crate::route::post;
use crate::scoring::{self, MediaType};

/// Routes of this protocol.
type Routes = crate::route::Routes<error::Predictions>;

/// The routes of this protocol.
pub(crate) fn routes() -> Routes {
    Routes::new().route("/deployments/{name}/predict", post(Predict, predict))
}

async fn predict(State(house): State<House>, Path(name): Path<String>, request: Request) -> Response {
    handle(house, name, request).await
}

/// The deployment of a request that this protocol's only route would take, if its name needs no decoding.
pub(crate) fn plain_deployment(request: &Request) -> Option<&str> {
    let path = request.uri().path();
    let name = path.strip_prefix("/deployments/")?.strip_suffix("/predict")?;
    let plain = !name.is_empty() && !name.bytes().any(|byte| matches!(byte, b'/' | b'%'));
    (plain && *request.method() == Method::POST).then_some(name)
}

/// Answers a request for predictions.
pub(crate) async fn handle(house: House, name: String, request: Request) -> Response {
    let (Parts { headers, .. }, body) = request.into_parts();
    match answered(&house, &name, &headers, body).await {
        Ok(Done { version, first_id, body }) => {
            // a request without an id of its own goes by that of its first prediction
            let request_id = scoring::given_request_id(&headers).unwrap_or(first_id);
            let mut response = Response::new(Body::from(body));
            let head = response.headers_mut();
            head.reserve(8); // these, the guard's and hyper's, without growing
            head.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            head.insert(scoring::VERSION, version);
            head.insert(scoring::REQUEST_ID, request_id);
            response
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
