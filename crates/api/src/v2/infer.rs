//! `POST /v2/models/{model}/infer`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use serving::Call;

use super::error::Error;
use super::{answer, metadata, request};
use crate::coding::Coding;
use crate::scoring;

/// Where the JSON part of a body with binary tensors ends.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

pub(super) async fn infer(
    State(house): State<House>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond(&house, &model, None, &headers, body).await
}

pub(super) async fn infer_version(
    State(house): State<House>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond(&house, &model, Some(version), &headers, body).await
}

async fn respond(house: &House, model: &str, version: Option<String>, headers: &HeaderMap, body: Body) -> Response {
    let request_id = scoring::request_id(headers);
    let mut response = match answered(house, model, version, headers, body).await {
        Ok((version, body)) => {
            let mut head = HeaderMap::from_iter([(scoring::VERSION, version)]);
            let media = if body.json_length.is_some() { "application/octet-stream" } else { "application/json" };
            head.insert(CONTENT_TYPE, HeaderValue::from_static(media));
            head.extend(body.json_length.map(|length| (JSON_LENGTH, HeaderValue::from(length))));
            head.extend(body.coding.map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding.name()))));
            (head, body.bytes).into_response()
        }
        Err(error) => Error(error).into_response(),
    };
    response.headers_mut().insert(scoring::REQUEST_ID, request_id);
    response
}

async fn answered(
    house: &House,
    model: &str,
    version: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(HeaderValue, answer::Body), serving::Error> {
    let json_length = json_length(headers)?;
    let coding = Coding::accepted(headers);
    let body = scoring::read(house, headers, body).await?;
    let bytes = body.len();
    let work = move |call: &Call| {
        let (version, body) = work(call, version.as_deref(), &body, json_length)?;
        Ok((version, body.packed(coding)))
    };
    scoring::run(house, model, bytes, work).await
}

fn json_length(headers: &HeaderMap) -> Result<Option<usize>, serving::Error> {
    let Some(value) = headers.get(&JSON_LENGTH) else { return Ok(None) };
    match value.to_str().ok().and_then(|text| text.parse::<usize>().ok()) {
        Some(length) => Ok(Some(length)),
        None => Err(serving::Error::request(JSON_LENGTH.as_str(), "the length of the JSON header must be a number")),
    }
}

fn work(
    call: &Call,
    version: Option<&str>,
    body: &[u8],
    json_length: Option<usize>,
) -> Result<(HeaderValue, answer::Body), serving::Error> {
    let live = call.live();
    metadata::check_version(live, version)?;
    let request = request::decode(live, body, json_length)?;
    let answer = call.predict(request.batch)?;
    Ok((scoring::header(live.version()), answer::encode(live, &answer, &request.wanted, request.id.as_deref())))
}
