//! Who calls, as the audit trail shows it: who was proven, or, where authentication is off, the name that the request gives.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::ctx::Principal;

use crate::visitor::Visitor;

/// The caller: who the guard knows it to be. Only where authentication is off, the header `x-rondo-user`, else the user of HTTP basic
/// authentication (what `MLFLOW_TRACKING_USERNAME` sends), else `anonymous`.
#[derive(Clone, Debug)]
pub struct Caller(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        match Visitor::of(&parts.extensions) {
            Visitor::Known(identity) => return Ok(Self(identity.principal.clone())),
            Visitor::Stranger(_) | Visitor::Outside(_) => return Ok(Self(Principal::Person("anonymous".to_owned()))),
            Visitor::Anybody => {}
        }
        let named = parts.headers.get("x-rondo-user").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let basic = || {
            let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
            let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
            decoded.split_once(':').map(|(user, _)| user.to_owned())
        };
        let name = named.or_else(basic).filter(|name| !name.is_empty()).unwrap_or_else(|| "anonymous".to_owned());
        Ok(Self(Principal::Person(name)))
    }
}
