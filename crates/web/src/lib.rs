//! The browser app, embedded: plain ES modules and one style sheet that need no build, and use nothing but `/api/v1`.
//!
//! All files live under one address that changes with their content (`/ui/<digest>/...`), so browsers keep them for ever; the
//! page itself is asked for anew each time. Nothing is ever loaded from elsewhere, which the content security policy enforces.

mod assets;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;

/// Only our own files, no inline code, no frames, no plain-text injection.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

#[expect(clippy::disallowed_methods, reason = "the page and its files are for everybody")]
/// The routes of the app, for a router of any state: `/` and `/ui/...`.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(page)).route("/ui/{version}/{*path}", get(asset))
}

async fn page(headers: HeaderMap) -> Response<Body> {
    let etag = format!("\"{}\"", assets::version());
    let known =
        headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(&etag));
    let answer = response("text/html; charset=utf-8").header(ETAG, etag).header(CACHE_CONTROL, "no-cache");
    if known {
        return finish(answer.status(StatusCode::NOT_MODIFIED), Body::empty());
    }
    finish(answer.header(CONTENT_SECURITY_POLICY, POLICY), Body::from(assets::page()))
}

async fn asset(Path((version, path)): Path<(String, String)>) -> Response<Body> {
    match assets::find(&path).filter(|_| version == assets::version()) {
        Some(asset) => finish(
            response(asset.content_type).header(CACHE_CONTROL, "public, max-age=31536000, immutable"),
            Body::from(asset.bytes),
        ),
        None => finish(
            response("text/plain; charset=utf-8").status(StatusCode::NOT_FOUND),
            Body::from("no such file; reload the page\n"),
        ),
    }
}

fn response(content_type: &'static str) -> axum::http::response::Builder {
    Response::builder()
        .header(CONTENT_TYPE, content_type)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(REFERRER_POLICY, "same-origin")
}

fn finish(builder: axum::http::response::Builder, body: Body) -> Response<Body> {
    // All headers are ours and valid; an empty answer is what a defect here would look like.
    builder.body(body).unwrap_or_default()
}
