//! To the provider and back.
//!
//! What goes there is remembered here under its state, and bound to the browser by a cookie: a state counts once, in one browser, for ten
//! minutes. Afterwards the browser goes to a path of ours and nowhere else.

use access::Permission::Public;
use access::Secret;
use access::oidc::{Voucher, admit, roles};
use access::session::{self, SignIn};
use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use conductor::oidc::{self, Challenge, Provider};
use kernel::ctx::Principal;
use kernel::error::{Classified as _, Kind};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Routes, base, cookie};
use crate::route::get;

const CALLBACK: &str = "/auth/oidc/callback";
/// The browser comes back from another site, so the cookie must go along with that.
const REST: &str = "SameSite=Lax; Path=/auth; Max-Age=600";
const GONE: &str = "SameSite=Lax; Path=/auth";

pub(super) fn routes() -> Routes {
    Routes::new().route("/auth/oidc/start", get(Public, start)).route(CALLBACK, get(Public, callback))
}

/// Why somebody is not signed in, told to the person in front of the browser.
struct Failed(StatusCode, String);

impl From<oidc::Error> for Failed {
    fn from(error: oidc::Error) -> Self {
        let status = match &error {
            oidc::Error::Token(_) | oidc::Error::NoClaim(_) => StatusCode::FORBIDDEN,
            oidc::Error::Provider { .. } => StatusCode::BAD_GATEWAY,
            oidc::Error::Address(_) | oidc::Error::Secret(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::warn!(%error, "a sign-in at the provider failed");
        // What is wrong with the own set-up is for the log.
        match error {
            oidc::Error::Secret(_) => Self(status, "the client secret cannot be read; the log says more".to_owned()),
            other => Self(status, other.to_string()),
        }
    }
}

impl From<access::Error> for Failed {
    fn from(error: access::Error) -> Self {
        let status = match error.kind() {
            Kind::Invalid | Kind::PermissionDenied => StatusCode::FORBIDDEN,
            Kind::AlreadyExists => StatusCode::CONFLICT,
            Kind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hint = error.hint().map(|hint| format!("\n{hint}")).unwrap_or_default();
        Self(status, format!("{error}{hint}"))
    }
}

impl axum::response::IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, format!("You are not signed in: {}\nThe way back is /\n", self.1)).into_response()
    }
}

fn provider(house: &House) -> Result<&Provider, Failed> {
    let missing = || Failed(StatusCode::NOT_FOUND, "this server knows no provider to sign in at".to_owned());
    house.sign_in().provider.as_ref().ok_or_else(missing)
}

#[derive(Debug, Deserialize)]
struct Start {
    #[serde(rename = "return")]
    return_to: Option<String>,
}

/// `GET /auth/oidc/start?return=PATH`
async fn start(State(house): State<House>, headers: HeaderMap, Query(start): Query<Start>) -> Result<Response, Failed> {
    let (provider, base) = (provider(&house)?, base(&house, &headers));
    let [state, nonce, verifier, browser] = random()?;
    let new = SignIn {
        return_to: own_path(start.return_to.as_deref().unwrap_or("/")).to_owned(),
        redirect_uri: format!("{base}{CALLBACK}"),
        nonce,
        verifier,
    };
    let challenge =
        Challenge { state: &state, nonce: &new.nonce, verifier: &new.verifier, redirect_uri: &new.redirect_uri };
    let url = provider.authorize_url(&challenge).await?;
    let (ctx, mark) = (house.ctx(Principal::System("sign-in")), browser.clone());
    house.db.write(move |tx| session::begin_sign_in(tx, &ctx, &state, &mark, &new)).await?;
    let mut response = go(&url);
    if let Some(value) = cookie::set(cookie::BROWSER, Some(&browser), REST, &base) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    Ok(response)
}

fn random() -> Result<[String; 4], access::Error> {
    let one = || Secret::random().map(|secret| secret.reveal().to_owned());
    Ok([one()?, one()?, one()?, one()?])
}

#[derive(Debug, Deserialize)]
struct Back {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// `GET /auth/oidc/callback?state=&code=`
async fn callback(State(house): State<House>, headers: HeaderMap, Query(back): Query<Back>) -> Response {
    let base = base(&house, &headers);
    let mut response = came_back(&house, &headers, back, &base).await.unwrap_or_else(Failed::into_response);
    if let Some(value) = cookie::set(cookie::BROWSER, None, GONE, &base) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

async fn came_back(house: &House, headers: &HeaderMap, back: Back, base: &str) -> Result<Response, Failed> {
    let provider = provider(house)?;
    let unknown = || {
        let why = "this sign-in was not begun in this browser, or was ended already, or took too long; begin again";
        Failed(StatusCode::FORBIDDEN, why.to_owned())
    };
    let state = back.state.ok_or_else(unknown)?;
    let browser = cookie::value(headers, cookie::BROWSER).ok_or_else(unknown)?.to_owned();
    let (ctx, key) = (house.ctx(Principal::System("sign-in")), state.clone());
    let taken = house.db.write(move |tx| session::take_sign_in(tx, &ctx, &key, &browser)).await?;
    let began = taken.ok_or_else(unknown)?;
    if let Some(error) = back.error {
        let shown: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
        return Err(Failed(StatusCode::FORBIDDEN, format!("the provider says {shown}")));
    }
    let code = back.code.ok_or_else(unknown)?;
    let SignIn { nonce, verifier, return_to, redirect_uri } = began;
    let challenge = Challenge { state: &state, nonce: &nonce, verifier: &verifier, redirect_uri: &redirect_uri };
    let claims = provider.redeem(&code, &challenge).await?;
    let (ctx, voucher) = (house.ctx(Principal::System("sign-in")), voucher(provider, &claims)?);
    let issuer = voucher.issuer.clone();
    let user = house.db.write(move |tx| admit(tx, &ctx, &voucher)).await?;
    house.access.forget();
    Ok(super::session::vouched(house, user, issuer, &return_to, base).await?)
}

/// Whom the claims are of, and what they give.
fn voucher(provider: &Provider, claims: &Map<String, Value>) -> Result<Voucher, oidc::Error> {
    let options = provider.options();
    let text = |claim: &str| {
        let found = claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty());
        found.map(str::to_owned).ok_or_else(|| oidc::Error::NoClaim(claim.to_owned()))
    };
    // An address of mail that nobody checked can be anybody's.
    if options.user_claim == "email" && claims.get("email_verified").is_some_and(|is| *is != Value::Bool(true)) {
        return Err(oidc::Error::NoClaim("email_verified".to_owned()));
    }
    let given = roles(&options.rules, claims.get(&options.role_claim));
    Ok(Voucher {
        issuer: options.issuer.clone(),
        subject: text("sub")?,
        name: text(&options.user_claim)?,
        roles: given,
    })
}

/// A redirect.
pub(super) fn go(url: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::from_str(url) {
        Ok(url) => response.headers_mut().insert(LOCATION, url),
        Err(_) => response.headers_mut().insert(LOCATION, HeaderValue::from_static("/")),
    };
    response
}

/// A path of ours; anything that a browser could take for another place is the first page.
fn own_path(text: &str) -> &str {
    let plain = text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= 500
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if plain { text } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_to_this_server() {
        for own in ["/", "/#/models", "/#/models/a%20b?x=1"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "evil.example",
            "",
            "/\t/evil.example",
            "/\r\nset-cookie: a=b",
            " //evil.example",
        ] {
            assert_eq!(own_path(other), "/", "{other:?}");
        }
    }
}
