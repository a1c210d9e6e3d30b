//! A JSON body, read so that a mistake is named by its field.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Error;

/// The body of a request as a value. An empty body is an empty object.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes =
            Bytes::from_request(request, state).await.map_err(|error| Error::invalid("body", error.body_text()))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let message = error.to_string();
            let field = message.split('`').nth(1).filter(|_| message.contains("field")).unwrap_or("body").to_owned();
            Error::invalid(&field, format!("the body is not what is expected here: {message}"))
        })
    }
}
