//! Page tokens that are an offset, as MLflow's are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::page::{self, Page};
use serde::{Deserialize, Serialize};

use crate::Error;

#[derive(Serialize, Deserialize)]
struct Position {
    offset: i64,
}

/// The offset that a token says; none is the beginning.
pub(crate) fn offset(token: Option<&str>) -> Result<i64, Error> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(0);
    };
    let wrong = |message: String| Error::invalid("page_token", message);
    let bytes = STANDARD.decode(token).map_err(|_| wrong("Invalid page token, could not base64-decode".to_owned()))?;
    match serde_json::from_slice::<Position>(&bytes) {
        Ok(position) if position.offset >= 0 => Ok(position.offset),
        _ => Err(wrong(format!("Invalid page token, decoded value={}", String::from_utf8_lossy(&bytes)))),
    }
}

/// A page of what was read with one row more than the page holds.
pub(crate) fn page<T>(mut items: Vec<T>, max_results: i64, offset: i64) -> Page<T> {
    let more = items.len() as i64 > max_results;
    if more {
        items.truncate(max_results as usize);
    }
    let next_token = more.then(|| page::encode(&Position { offset: offset.saturating_add(max_results) }));
    Page { items, next_token }
}
