//! Pages of a listing. A token is opaque to clients: base64 of a JSON object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, de::DeserializeOwned};

/// One page and the token of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Present when there are more.
    pub next_token: Option<String>,
}

impl<T> Page<T> {
    /// The same page with each item changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_token: self.next_token }
    }
}

/// Writes a position as a token.
pub fn encode<P: Serialize>(position: &P) -> String {
    STANDARD.encode(serde_json::to_vec(position).unwrap_or_default())
}

/// Reads a token; `None` if it is not one of ours.
pub fn decode<P: DeserializeOwned>(token: &str) -> Option<P> {
    serde_json::from_slice(&STANDARD.decode(token).ok()?).ok()
}
