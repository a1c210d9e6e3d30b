//! Signing in with a browser: by way of an OpenID Connect provider (authorization code with PKCE), or with a password or a token. What
//! comes of it is a session in a cookie.

pub(crate) mod cookie;
mod oidc;
pub(crate) mod session;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use conductor::House;

/// Routes outside of any protocol.
type Routes = crate::route::Routes<crate::route::Plain>;

/// The routes.
pub(crate) fn routes() -> Routes {
    oidc::routes()
}

/// The address under which the browser reaches this server. The guard has seen that its name is ours.
fn base(house: &House, headers: &HeaderMap) -> String {
    let host = || headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost");
    house.sign_in().public_url.clone().unwrap_or_else(|| format!("http://{}", host()))
}
