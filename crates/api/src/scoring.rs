//! What the protocols that answer predictions share: a bounded body, the content type, the id of a request, and the way to a
//! deployment. Wire shapes and status codes belong to each protocol.

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use conductor::House;
use serving::{Call, Error};

use crate::coding::Coding;

/// The version that answered.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("x-rondo-version");
/// The id of the request: the caller's or ours.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The id of the prediction, where the body has no place for it and there is only one.
pub(crate) const PREDICTION_ID: HeaderName = HeaderName::from_static("x-rondo-prediction-id");
/// Seconds after which a refused caller may come again.
pub(crate) const RETRY_AFTER: &str = "1";

/// Reads a body up to the limit of the fleet, which holds for what comes and for what it unpacks to.
pub(crate) async fn read(house: &House, headers: &HeaderMap, body: Body) -> Result<Bytes, Error> {
    let coding = Coding::of_body(headers)?;
    let limit = house.fleet.options().max_body_bytes;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(Error::TooLarge { what: format!("{} bytes", announced.unwrap_or_default()), limit });
    }
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|error| {
        let too_long = std::error::Error::source(&error)
            .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if too_long {
            Error::TooLarge { what: format!("more than {limit} bytes"), limit }
        } else {
            Error::request("body", "the body ended before its time")
        }
    })?;
    match coding {
        None => Ok(bytes),
        Some(coding) => {
            let unpacked = tokio::task::spawn_blocking(move || coding.unpack(&bytes, limit)).await;
            unpacked.unwrap_or(Err(Error::Defect)).map(Bytes::from)
        }
    }
}

/// Runs a request through a deployment. One that the fleet does not know may still exist, with nothing to serve yet.
pub(crate) async fn run<T: Send + 'static>(
    house: &House,
    deployment: &str,
    bytes: usize,
    work: impl FnOnce(&Call) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match house.fleet.run(deployment, bytes, work).await {
        Err(Error::NotFound(name)) => Err(missing(house, name).await),
        result => result,
    }
}

/// What is wrong with a deployment that the fleet does not know.
pub(crate) async fn missing(house: &House, name: String) -> Error {
    let ctx = house.conductor_ctx();
    let wanted = name.clone();
    match house.db.read(move |tx| serving::deployment::find(tx, &ctx, &wanted)).await {
        Ok(Some(deployment)) => {
            house.fleet.declare(&name, deployment.config);
            Error::Empty { deployment: name, reason: None }
        }
        Ok(None) => Error::NotFound(name),
        Err(error) => error,
    }
}

/// The id that the caller gave to its request, if it can be repeated in a header and is not too long.
pub(crate) fn given_request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    const LONGEST: usize = 128;
    headers.get(&REQUEST_ID).filter(|id| !id.is_empty() && id.len() <= LONGEST).cloned()
}

/// The id of a request: the caller's or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    given_request_id(headers).unwrap_or_else(|| header(&kernel::id::new()))
}

/// A text as a header; text that no header may hold becomes empty.
pub(crate) fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A media type and its parameters.
pub(crate) struct MediaType {
    /// `application/json`, in lower case; empty if there is none.
    pub(crate) essence: String,
    /// Parameters, names and values in lower case.
    pub(crate) parameters: Vec<(String, String)>,
}

impl MediaType {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/json") {
            return Self { essence: "application/json".to_owned(), parameters: Vec::new() };
        }
        let text =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_owned();
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim().to_owned(), value.trim().trim_matches('"').to_owned())
        };
        Self { essence, parameters: parts.filter(|part| !part.is_empty()).map(pair).collect() }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_json(&self) -> bool {
        self.essence == "application/json"
            || (self.essence.starts_with("application/") && self.essence.ends_with("+json"))
    }
}
