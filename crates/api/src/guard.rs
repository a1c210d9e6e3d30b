//! The guard in front of every protocol: a web page elsewhere must not steer a server on this machine.
//!
//! Who calls is found out here, before the routes, each of which says what it needs. The `Host` must be one of ours (else DNS rebinding would let any page read answers), and a request that changes state and carries
//! an `Origin` must come from a page that we served.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use access::Permission;
use axum::Router;
use axum::extract::Request;
use axum::http::header::{HOST, HeaderName, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::future::RouteFuture;
use conductor::House;
use futures_util::future::{BoxFuture, Either, FutureExt as _, MapOk, TryFutureExt as _};
use tower::Service;

use crate::predict::{self, Predictions};
use crate::route::refuse;
use crate::visitor::{Unproven, Visitor, credential};
use crate::workspace::{self, Chosen};

/// What the guard asks.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    /// Whether a request must prove who sends it.
    pub authenticates: bool,
    /// Names of this server beside those of this machine, in lower case and without a port.
    pub hosts: Vec<String>,
    /// Whether it may be called by any address that is a number, as it is if it listens beyond loopback.
    pub any_address: bool,
}

/// The routes behind the guard: it checks a request, and marks the answer. A service of its own, since a middleware of the router
/// would cost every request two allocations; and the one request that has to be fast need not pass through the router at all.
#[derive(Clone, Debug)]
pub struct Guard {
    pub(crate) routes: Router,
    pub(crate) house: House,
    pub(crate) edge: Arc<Edge>,
}

impl Service<Request> for Guard {
    type Response = Response;
    type Error = Infallible;
    type Future = MapOk<Answered, fn(Response) -> Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let answered = match self.edge.refusal(&request) {
            Some(why) => at_once((StatusCode::FORBIDDEN, why).into_response()),
            None => self.receive(request),
        };
        answered.map_ok(mark as fn(Response) -> Response)
    }
}

/// A refusal, a prediction, or whatever the router found.
type Answered = Either<
    Ready<Result<Response, Infallible>>,
    Either<BoxFuture<'static, Result<Response, Infallible>>, RouteFuture<Infallible>>,
>;

fn at_once(response: Response) -> Answered {
    Either::Left(ready(Ok(response)))
}

impl Guard {
    /// Finds out who calls, and for which workspace. Only somebody who was not seen for a while has to wait for it.
    fn receive(&mut self, request: Request) -> Answered {
        if !self.edge.authenticates {
            return self.enter(Visitor::Anybody, request);
        }
        let credential = match credential(request.method(), request.headers()) {
            Ok(credential) => credential,
            Err(why) => return self.admit(Visitor::Stranger(why), None, request),
        };
        if let Some(identity) = self.house.access.lookup(&credential) {
            return self.enter(Visitor::Known(identity), request);
        }
        let mut this = self.clone();
        let asked = async move {
            match this.house.access.verify(&credential).await {
                Ok(identity) => this.enter(Visitor::Known(identity), request).await,
                Err(why) => this.admit(Visitor::Stranger(Unproven::Denied(why)), None, request).await,
            }
        };
        Either::Right(Either::Left(asked.boxed()))
    }

    /// Finds the workspace. Only one that was not seen for a while has to be waited for.
    fn enter(&mut self, visitor: Visitor, request: Request) -> Answered {
        let (visitor, workspace) = match workspace::chosen(&visitor, &request) {
            Chosen::Default => return self.admit(visitor, None, request),
            Chosen::Other(visitor, workspace) => (visitor, workspace),
            Chosen::Closed(why) => return self.admit(Visitor::Outside(why), None, request),
        };
        if let Some(house) = self.house.known(&workspace) {
            return self.admit(visitor, Some(house), request);
        }
        let mut this = self.clone();
        let asked = async move {
            match this.house.within(&workspace).await {
                Ok(house) => this.admit(visitor, Some(house), request).await,
                Err(error) => this.admit(Visitor::Outside(workspace::closed(&error)), None, request).await,
            }
        };
        Either::Right(Either::Left(asked.boxed()))
    }

    /// Hands a request on. The house is that of the workspace, if it is not the default one.
    fn admit(&mut self, visitor: Visitor, house: Option<House>, mut request: Request) -> Answered {
        let Some(name) = predict::plain_deployment(&request) else {
            request.extensions_mut().insert(visitor);
            if let Some(house) = house {
                request.extensions_mut().insert(house);
            }
            return Either::Right(Either::Right(self.routes.call(request)));
        };
        if let Err(refusal) = visitor.check(Permission::Predict) {
            return at_once(refuse::<Predictions>(&refusal));
        }
        let (house, name) = (house.unwrap_or_else(|| self.house.clone()), name.to_owned());
        Either::Right(Either::Left(predict::handle(house, name, request).map(Ok as fn(Response) -> _).boxed()))
    }
}

impl Edge {
    fn refusal(&self, request: &Request) -> Option<&'static str> {
        if !self.host_is_ours(request) {
            return Some(
                "Invalid Host header - possible DNS rebinding attack detected; a name of this server belongs into the \
                 setting `hosts` (RONDO_HOSTS)",
            );
        }
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        (changes && !self.origin_is_ours(request.headers())).then_some("Cross-origin request blocked")
    }

    /// Every name that the request gives its host, in the header and in the address, must be ours. A request without one is not a
    /// browser's.
    fn host_is_ours(&self, request: &Request) -> bool {
        let headers = request.headers().get_all(HOST).iter();
        let mut named = headers.map(|value| value.to_str().unwrap_or_default());
        let is_ours = |authority: &str| self.is_ours(authority);
        named.all(is_ours) && request.uri().authority().is_none_or(|authority| is_ours(authority.as_str()))
    }

    fn origin_is_ours(&self, headers: &HeaderMap) -> bool {
        match headers.get(ORIGIN) {
            None => true,
            Some(origin) => origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")))
                .is_some_and(|authority| self.is_ours(authority)),
        }
    }

    /// A name of this server, with or without a port.
    fn is_ours(&self, authority: &str) -> bool {
        let (name, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').unwrap_or_default(),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port_is_plain = port.strip_prefix(':').unwrap_or(port).bytes().all(|byte| byte.is_ascii_digit());
        let address = name.parse::<std::net::IpAddr>();
        port_is_plain
            && (address.is_ok_and(|address| self.any_address || address.is_loopback())
                || is_localhost(name)
                || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name)))
    }
}

fn mark(mut response: Response) -> Response {
    let marks: [(HeaderName, &'static str); 2] = [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (X_FRAME_OPTIONS, "SAMEORIGIN")];
    for (name, value) in marks {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_localhost(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
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
            assert_eq!(Edge::default().host_is_ours(&request), expect, "{uri} {hosts:?}");
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
        let check =
            |authority: &str, expect: bool| assert_eq!(Edge::default().is_ours(authority), expect, "{authority}");
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
    #[test]
    fn names_that_are_configured_are_ours_too() {
        let hosts = vec!["rondo.example".to_owned()];
        let edge = Edge { hosts, any_address: true, ..Edge::default() };
        let check = |authority: &str, expect: bool| assert_eq!(edge.is_ours(authority), expect, "{authority}");
        check("rondo.example:5000", true);
        check("Rondo.Example", true);
        check("10.0.0.1:5000", true);
        check("[fd00::1]", true);
        check("localhost", true);
        check("evil.example", false);
        check("rondo.example.evil.example", false);
        check("rondo.example@evil.example", false);
        check("", false);
    }
}
