//! Sessions over `/api/v1`: what ways there are, one more, one less.

use access::{Credential, Denied, Secret, session};
use axum::Json;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use kernel::ctx::Principal;
use serde::Deserialize;
use serde_json::json;

use super::{base, cookie};
use crate::route::refuse;
use crate::v1::{Answer, Body, Error, V1};
use crate::visitor::{Refusal, Unproven};

/// How the cookie of a session goes along: with requests of our own pages only.
const REST: &str = "SameSite=Strict; Path=/; Max-Age=43200";
const GONE: &str = "SameSite=Strict; Path=/";

/// `GET /session`: how somebody can sign in here.
pub(crate) async fn ways(State(house): State<House>) -> Answer {
    let provider = house.sign_in().provider.as_ref().map(|provider| provider.options().issuer.clone());
    Ok(Json(json!({ "provider": provider })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

/// `POST /session {"user", "password"}` or `{"token"}`: a session in a cookie.
pub(crate) async fn create(
    State(house): State<House>,
    headers: HeaderMap,
    Body(new): Body<New>,
) -> Result<Response, Error> {
    let proof = match (new.token, new.user, new.password) {
        (Some(token), None, None) => Credential::Token(token),
        (None, Some(user), Some(password)) => Credential::basic(&user, &password),
        _ => return Err(Error::invalid("token", "give a token, or a user and a password")),
    };
    let identity = match house.access.verify(&proof).await {
        Ok(identity) => identity,
        Err(why) => return Ok(denied(why)),
    };
    let (ctx, secret) = (house.ctx(identity.principal.clone()), Secret::random()?);
    let shown = secret.reveal().to_owned();
    house.db.write(move |tx| session::start(tx, &ctx, &identity, &proof, &secret)).await?;
    Ok(with_cookie(Some(&shown), &base(&house, &headers), Json(json!({})).into_response()))
}

/// `DELETE /session`: the session of the cookie is over.
pub(crate) async fn end(State(house): State<House>, headers: HeaderMap) -> Result<Response, Error> {
    if let Some(secret) = cookie::value(&headers, cookie::SESSION).map(str::to_owned) {
        house.db.write(move |tx| session::end(tx, &secret)).await?;
        house.access.forget();
    }
    Ok(with_cookie(None, &base(&house, &headers), Json(json!({})).into_response()))
}

fn denied(why: Denied) -> Response {
    let mut response = refuse::<V1>(&Refusal::NoProof(Unproven::Denied(why)));
    // No browser is to ask for a password of its own accord.
    response.headers_mut().remove(axum::http::header::WWW_AUTHENTICATE);
    response
}

/// Starts the session of somebody whom the provider vouched for, and goes on to a path of ours.
pub(super) async fn vouched(
    house: &House,
    user: String,
    issuer: String,
    go_to: &str,
    base: &str,
) -> Result<Response, access::Error> {
    let (ctx, secret) = (house.ctx(Principal::Person(user.clone())), Secret::random()?);
    let shown = secret.reveal().to_owned();
    house.db.write(move |tx| session::start_vouched(tx, &ctx, &user, &issuer, &secret)).await?;
    Ok(with_cookie(Some(&shown), base, super::oidc::go(go_to)))
}

fn with_cookie(secret: Option<&str>, base: &str, mut response: Response) -> Response {
    let rest = if secret.is_some() { REST } else { GONE };
    match cookie::set(cookie::SESSION, secret, rest, base) {
        Some(value) => {
            response.headers_mut().append(SET_COOKIE, value);
            response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
            response
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
