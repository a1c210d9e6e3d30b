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
    if !host_is_ours(&request) {
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

/// Every name that the request gives its host, in the header and in the address, must be ours. A request without one is not a browser's.
fn host_is_ours(request: &Request) -> bool {
    let headers = request.headers().get_all(HOST).iter();
    let mut named = headers.map(|value| value.to_str().unwrap_or_default());
    named.all(is_ours) && request.uri().authority().is_none_or(|authority| is_ours(authority.as_str()))
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
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or_default(),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port_is_plain = port.strip_prefix(':').unwrap_or(port).bytes().all(|byte| byte.is_ascii_digit());
    let name = name.to_ascii_lowercase();
    let named = name == "localhost" || name.ends_with(".localhost");
    port_is_plain && (named || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_of_a_request_must_be_ours() {
        let check = |uri: &str, hosts: &[&[u8]], expect: bool| {
            let mut request = Request::new(axum::body::Body::empty());
            *request.uri_mut() = uri.parse().unwrap();
            for host in hosts {
                request.headers_mut().append(HOST, HeaderValue::from_bytes(host).unwrap());
            }
            assert_eq!(host_is_ours(&request), expect, "{uri} {hosts:?}");
        };
        check("/", &[], true);
        check("/", &[b"localhost:5000"], true);
        check("http://127.0.0.1:5000/", &[b"localhost:5000"], true);
        check("/", &[b"localhost", b"evil.example"], false);
        check("http://evil.example/", &[b"localhost"], false);
        check("/", &[b"\xff"], false);
    }

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
        check("LocalHost:5000", true);
        check("[::1].evil.example", false);
        check("localhost:5000.evil.example", false);
        check("localhost:1@evil.example", false);
        check("[::1", false);
        check("10.0.0.1", false);
        check("", false);
    }
}
