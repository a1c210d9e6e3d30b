//! The guard in front of every protocol: a web page elsewhere must not steer a server on this machine.
//!
//! The `Host` must be one of ours (else DNS rebinding would let any page read answers), and a request that changes state and carries
//! an `Origin` must come from a page that we served.

use axum::extract::Request;
use axum::http::header::{HOST, HeaderName, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Checks a request, and marks the answer.
pub async fn guard(request: Request, next: Next) -> Response {
    let host = host(&request);
    if !host.as_deref().is_none_or(is_ours) {
        return (StatusCode::FORBIDDEN, "Invalid Host header - possible DNS rebinding attack detected").into_response();
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && !origin_is_ours(request.headers()) {
        return (StatusCode::FORBIDDEN, "Cross-origin request blocked").into_response();
    }
    let mut response = next.run(request).await;
    let marks: [(HeaderName, &'static str); 2] = [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (X_FRAME_OPTIONS, "SAMEORIGIN")];
    for (name, value) in marks {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn host(request: &Request) -> Option<String> {
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok()).map(str::to_owned);
    header.or_else(|| request.uri().authority().map(ToString::to_string))
}

fn origin_is_ours(headers: &HeaderMap) -> bool {
    match headers.get(ORIGIN) {
        None => true,
        Some(origin) => origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")))
            .is_some_and(is_ours),
    }
}

/// A name of this machine, with or without a port.
fn is_ours(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        let check = |authority: &str, expect: bool| assert_eq!(is_ours(authority), expect, "{authority}");
        check("localhost", true);
        check("localhost:5000", true);
        check("127.0.0.1:5000", true);
        check("[::1]:5000", true);
        check("rondo.localhost:80", true);
        check("evil.example", false);
        check("127.0.0.1.evil.example:5000", false);
        check("localhost.evil.example", false);
        check("10.0.0.1", false);
        check("", false);
    }
}
