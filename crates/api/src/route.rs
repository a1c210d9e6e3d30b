//! Routes that cannot be registered without saying what they need.
//!
//! A protocol builds its routes with [`Routes`] and [`get`], [`post`] and so on, each of which takes the [`Permission`] before the
//! handler. The check is part of the handler: whatever way a request takes to it, it is made. How a refusal is told is the protocol's
//! own ([`Protocol`]). The table of what was declared comes out beside the router, and tests walk it.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use access::Permission;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, header::WWW_AUTHENTICATE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{self, MethodFilter, MethodRouter};
use conductor::House;
use futures_util::future::Either;

use crate::visitor::{Refusal, Visitor};

/// How a protocol tells a caller that it may not.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// What a client of this protocol can log in with, as in `WWW-Authenticate`.
    const CHALLENGE: &'static str = "Bearer realm=\"rondo\"";

    /// The refusal in the shape of this protocol's errors.
    fn refusal(refusal: &Refusal) -> Response;
}

/// A protocol of plain text.
pub(crate) struct Plain;

impl Protocol for Plain {
    const CHALLENGE: &'static str = "Bearer realm=\"rondo\", Basic realm=\"rondo\"";

    fn refusal(refusal: &Refusal) -> Response {
        format!("{}\n{}\n", refusal.message(), refusal.hint()).into_response()
    }
}

/// The refusal of a protocol, with the header that says how to log in.
pub(crate) fn refuse<P: Protocol>(refusal: &Refusal) -> Response {
    let mut response = P::refusal(refusal);
    *response.status_mut() = refusal.status();
    refusal.mark(response.headers_mut());
    if refusal.asks_for_proof() {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(P::CHALLENGE));
    }
    response
}

/// What was declared for one method of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The method.
    pub method: Method,
    /// The path as registered, with `{name}` and `{*path}` for what varies.
    pub path: String,
    /// What it needs.
    pub needs: Permission,
}

/// The routes of a protocol, and what each needs.
pub(crate) struct Routes<P> {
    router: Router<House>,
    table: Vec<Declared>,
    protocol: PhantomData<P>,
}

impl<P> Clone for Routes<P> {
    fn clone(&self) -> Self {
        Self { router: self.router.clone(), table: self.table.clone(), protocol: PhantomData }
    }
}

impl<P: Protocol> Routes<P> {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), table: Vec::new(), protocol: PhantomData }
    }

    /// Adds a path.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub(crate) fn route(mut self, path: &str, endpoint: Endpoint<P>) -> Self {
        let declared = endpoint.needs.into_iter();
        self.table.extend(declared.map(|(method, needs)| Declared { method, path: path.to_owned(), needs }));
        Self { router: self.router.route(path, endpoint.methods), ..self }
    }

    /// Adds all routes of another part of the protocol.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.table.extend(other.table);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Adds all routes of another part below a prefix.
    pub(crate) fn nest(mut self, prefix: &str, other: Self) -> Self {
        let below = |one: Declared| Declared { path: format!("{prefix}{}", one.path), ..one };
        self.table.extend(other.table.into_iter().map(below));
        Self { router: self.router.nest(prefix, other.router), ..self }
    }

    /// Bounds the bodies of these routes, bytes.
    pub(crate) fn body_limit(self, bytes: usize) -> Self {
        Self { router: self.router.layer(DefaultBodyLimit::max(bytes)), ..self }
    }

    /// What answers paths and methods that are not there: they only say so.
    pub(crate) fn otherwise<H, T, M, U>(self, no_route: H, no_method: M) -> Self
    where
        H: Handler<T, House>,
        T: 'static,
        M: Handler<U, House>,
        U: 'static,
    {
        Self { router: self.router.fallback(no_route).method_not_allowed_fallback(no_method), ..self }
    }

    /// The router, and what was declared.
    pub(crate) fn finish(self) -> (Router<House>, Vec<Declared>) {
        (self.router, self.table)
    }
}

/// The methods of one path.
pub(crate) struct Endpoint<P> {
    methods: MethodRouter<House>,
    needs: Vec<(Method, Permission)>,
    protocol: PhantomData<P>,
}

impl<P: Protocol> Endpoint<P> {
    fn on<H, T>(mut self, filter: MethodFilter, method: Method, needs: Permission, handler: H) -> Self
    where
        H: Handler<T, House>,
        T: 'static,
    {
        self.needs.push((method, needs));
        let checked = Checked { handler, needs, protocol: PhantomData::<P> };
        Self { methods: self.methods.on(filter, checked), ..self }
    }
}

macro_rules! methods {
    ($($function:ident $filter:ident $method:ident;)*) => {
        $(
            /// A path that answers this method to a caller who may.
            pub(crate) fn $function<P, H, T>(needs: Permission, handler: H) -> Endpoint<P>
            where
                P: Protocol,
                H: Handler<T, House>,
                T: 'static,
            {
                let none = Endpoint { methods: routing::MethodRouter::new(), needs: Vec::new(), protocol: PhantomData };
                none.on(MethodFilter::$filter, Method::$method, needs, handler)
            }
        )*

        impl<P: Protocol> Endpoint<P> {
            $(
                /// Answers this method too.
                pub(crate) fn $function<H, T>(self, needs: Permission, handler: H) -> Self
                where
                    H: Handler<T, House>,
                    T: 'static,
                {
                    self.on(MethodFilter::$filter, Method::$method, needs, handler)
                }
            )*
        }
    };
}

methods! {
    get GET GET;
    post POST POST;
    put PUT PUT;
    patch PATCH PATCH;
    delete DELETE DELETE;
}

/// A handler behind the check of its permission.
struct Checked<H, P> {
    handler: H,
    needs: Permission,
    protocol: PhantomData<P>,
}

impl<H: Clone, P> Clone for Checked<H, P> {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), needs: self.needs, protocol: PhantomData }
    }
}

impl<H, T, P> Handler<T, House> for Checked<H, P>
where
    H: Handler<T, House>,
    T: 'static,
    P: Protocol,
{
    type Future = Either<Ready<Response>, H::Future>;

    fn call(self, request: Request, house: House) -> Self::Future {
        match Visitor::of(request.extensions()).check(self.needs) {
            Ok(()) => {
                // What the guard found to be another workspace than the default one.
                let house = request.extensions().get().cloned().unwrap_or(house);
                Either::Right(self.handler.call(request, house))
            }
            Err(refusal) => Either::Left(ready(refuse::<P>(&refusal))),
        }
    }
}
