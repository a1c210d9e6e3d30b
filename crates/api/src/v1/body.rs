//! What a request carries, read so that a mistake is named by its field: a JSON body and a query.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Error;

/// The body of a request as a value. An empty body is an empty object.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let mut json = serde_json::Deserializer::from_slice(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| refused(&error))?;
        json.end().map_err(|error| Error::invalid("body", format!("there is more than one value: {error}")))?;
        Ok(Self(value))
    }
}

/// The body of a request as it is.
#[derive(Debug)]
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        Bytes::from_request(request, state).await.map(Self).map_err(|error: BytesRejection| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Error::too_large(error.body_text())
            } else {
                Error::invalid("body", error.body_text())
            }
        })
    }
}

/// The query of a request as a value.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        read.map(|query| Self(query.0)).map_err(|error| {
            let text = error.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            let (field, message) = text.split_once(": ").unwrap_or(("query", text));
            Error::invalid(field, format!("the query is not what is expected here: {field}: {message}"))
        })
    }
}

/// A value that came as JSON, as what it should be.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| refused(&error))
}

fn refused(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let field = field(error);
    Error::invalid(&field, format!("the body is not what is expected here: {}", error.inner()))
}

/// Where the mistake is, as `rules[0].op`; `body` if it is nowhere in particular.
fn field(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let message = error.inner().to_string();
    let path = error.path().to_string();
    let path = [".?", "?", "."].iter().find_map(|nowhere| path.strip_suffix(nowhere)).unwrap_or(&path);
    let named =
        ["missing field `", "unknown field `"].iter().find_map(|text| message.strip_prefix(text)?.split('`').next());
    if let Some(named) = named
        && path.rsplit('.').next() != Some(named)
    {
        return if path.is_empty() { named.to_owned() } else { format!("{path}.{named}") };
    }
    if path.is_empty() || error.inner().is_syntax() || error.inner().is_eof() {
        "body".to_owned()
    } else {
        path.to_owned()
    }
}
