//! The one in front of a route: known, a stranger, or anybody where nothing is asked.

use std::sync::Arc;

use access::{Credential, Denied, Grants, Identity, Permission, Role};
use axum::http::header::{AUTHORIZATION, ORIGIN, RETRY_AFTER};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::sign_in::cookie;

/// The guard puts one into every request.
#[derive(Clone, Debug)]
pub(crate) enum Visitor {
    /// Authentication is off: anybody may do everything, under the name they give.
    Anybody,
    /// Somebody who is known.
    Known(Arc<Identity>),
    /// Nobody that is known, and why not.
    Stranger(Unproven),
    /// Somebody in front of a workspace that they have no part in, or that cannot be entered.
    Outside(Closed),
}

/// Why a workspace cannot be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The caller is nothing there; whether it exists is not told.
    NotAMember {
        /// Who.
        who: String,
        /// Where.
        workspace: String,
    },
    /// There is none of this name, or this is no name of one, or it cannot be opened now.
    Failed {
        /// The class.
        status: StatusCode,
        /// In words.
        message: String,
    },
}

/// Why a visitor is a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// The request says nothing of who sends it.
    Nothing,
    /// What it says cannot be read.
    Unreadable,
    /// A browser sends a session along with a request that does not come from a page of ours.
    ForeignPage,
    /// What it says is not so.
    Denied(Denied),
}

impl Visitor {
    /// The visitor that the guard has seen. A request that did not pass the guard is a stranger's.
    pub(crate) fn of(extensions: &Extensions) -> &Self {
        extensions.get().unwrap_or(&Self::Stranger(Unproven::Nothing))
    }

    /// Whether the visitor has a part in a workspace.
    pub(crate) fn may_enter(&self, workspace: &str) -> bool {
        match self {
            Self::Anybody => true,
            Self::Known(identity) => identity.within(workspace).is_some(),
            Self::Stranger(_) | Self::Outside(_) => false,
        }
    }

    /// Whether the visitor may do this, and if not, why.
    pub(crate) fn check(&self, needs: Permission) -> Result<(), Refusal> {
        match self {
            Self::Anybody => Ok(()),
            Self::Known(identity) if identity.may(needs) => Ok(()),
            Self::Known(identity) => Err(Refusal::TooWeak { who: identity.principal.to_string(), needs }),
            Self::Stranger(_) | Self::Outside(_) if Grants::default().allow(needs) => Ok(()),
            Self::Stranger(why) => Err(Refusal::NoProof(why.clone())),
            Self::Outside(why) => Err(Refusal::Outside(why.clone())),
        }
    }
}

/// What a request proves itself with: a token (`Bearer`), a name with a password or token (`Basic`), or the session of a browser.
pub(crate) fn credential(method: &Method, headers: &HeaderMap) -> Result<Credential, Unproven> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return session(method, headers) };
    let text = value.to_str().ok().filter(|_| values.next().is_none()).ok_or(Unproven::Unreadable)?;
    let (scheme, rest) = text.split_once(' ').ok_or(Unproven::Unreadable)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        return Ok(Credential::Token(rest.to_owned()));
    }
    let basic = || {
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Credential::basic(user, password))
    };
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    is_basic.then(basic).flatten().ok_or(Unproven::Unreadable)
}

/// The session in the cookie. Browsers send it by themselves, so a change must come from a page of ours, which browsers say; the guard
/// has seen that the origin is ours if there is one.
fn session(method: &Method, headers: &HeaderMap) -> Result<Credential, Unproven> {
    let secret = cookie::value(headers, cookie::SESSION).ok_or(Unproven::Nothing)?;
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let same = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || reads && site == "none");
    if !same || !reads && !headers.contains_key(ORIGIN) {
        return Err(Unproven::ForeignPage);
    }
    Ok(Credential::Session(secret.to_owned()))
}

/// Why a visitor may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Who calls is not known.
    NoProof(Unproven),
    /// The workspace is closed to the caller.
    Outside(Closed),
    /// The caller is known, and may not do this.
    TooWeak { who: String, needs: Permission },
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoProof(Unproven::Denied(Denied::Busy)) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoProof(Unproven::Denied(Denied::Unavailable { .. })) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoProof(_) => StatusCode::UNAUTHORIZED,
            Self::TooWeak { .. } | Self::Outside(Closed::NotAMember { .. }) => StatusCode::FORBIDDEN,
            Self::Outside(Closed::Failed { status, .. }) => *status,
        }
    }

    /// The class, in the words of our own protocols.
    pub(crate) fn kind(&self) -> &'static str {
        match self.status() {
            StatusCode::TOO_MANY_REQUESTS => "overloaded",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            StatusCode::FORBIDDEN => "permission_denied",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::BAD_REQUEST => "invalid",
            _ => "unauthenticated",
        }
    }

    /// The class, in the words of MLflow's protocols.
    pub(crate) fn code(&self) -> &'static str {
        match self.status() {
            StatusCode::TOO_MANY_REQUESTS => "REQUEST_LIMIT_EXCEEDED",
            StatusCode::SERVICE_UNAVAILABLE => "TEMPORARILY_UNAVAILABLE",
            StatusCode::FORBIDDEN => "PERMISSION_DENIED",
            StatusCode::NOT_FOUND => "RESOURCE_DOES_NOT_EXIST",
            StatusCode::BAD_REQUEST => "INVALID_PARAMETER_VALUE",
            _ => "UNAUTHENTICATED",
        }
    }

    /// Whether another proof of identity could help.
    pub(crate) fn asks_for_proof(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::NoProof(Unproven::Nothing) => "this server asks who calls, and the request does not say".to_owned(),
            Self::NoProof(Unproven::Unreadable) => {
                "the header `authorization` must be there once, as `Bearer TOKEN` or as HTTP basic authentication"
                    .to_owned()
            }
            Self::NoProof(Unproven::ForeignPage) => {
                "a session counts only in requests of a page of this server".to_owned()
            }
            Self::NoProof(Unproven::Denied(why)) => why.to_string(),
            Self::Outside(Closed::NotAMember { who, workspace }) => {
                format!("{who} has no role in the workspace `{workspace}`")
            }
            Self::Outside(Closed::Failed { message, .. }) => message.clone(),
            Self::TooWeak { who, needs } => format!("{who} lacks the permission `{needs}`"),
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoProof(Unproven::Denied(Denied::Busy | Denied::Unavailable { .. })) => "try again".to_owned(),
            Self::NoProof(Unproven::Denied(Denied::Expired { .. } | Denied::Revoked { .. })) => {
                "an admin makes a new one with `rondo token create`".to_owned()
            }
            Self::NoProof(_) => {
                "send a token as `Authorization: Bearer TOKEN` (rondo: RONDO_TOKEN, mlflow: MLFLOW_TRACKING_TOKEN)"
                    .to_owned()
            }
            Self::Outside(Closed::NotAMember { .. }) => {
                "a token opens the workspace in which it was made; an admin makes a user a member with `rondo member set`"
                    .to_owned()
            }
            Self::Outside(_) => {
                "the header x-mlflow-workspace says which is meant (mlflow: MLFLOW_WORKSPACE, rondo: --workspace)"
                    .to_owned()
            }
            Self::TooWeak { needs: Permission::Server, .. } => {
                "it belongs to admins of the default workspace, with a token that is not narrowed to scopes".to_owned()
            }
            Self::TooWeak { needs, .. } => {
                let role = Role::weakest_for(*needs).map_or("viewer", Role::as_str);
                format!(
                    "it comes with the role {role}, if the token is not narrowed to other scopes; an admin gives it"
                )
            }
        }
    }

    /// Headers that go with it.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        if matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_read_in_each_form() {
        let check = |values: &[&str], expect: Result<Credential, Unproven>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(credential(&Method::GET, &headers), expect, "{values:?}");
        };
        let token = |text: &str| Ok(Credential::Token(text.to_owned()));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        check(&[], Err(Unproven::Nothing));
        check(&["Bearer rondo_x"], token("rondo_x"));
        check(&["bearer rondo_x"], token("rondo_x"));
        let ada = Credential::Password { user: "ada".to_owned(), password: "a:b".to_owned() };
        check(&[&basic("ada:a:b")], Ok(ada));
        check(&[&basic("whoever:rondo_x")], token("rondo_x"));
        for unreadable in ["Bearer", "Bearer ", "Basic x", "Digest x", "rondo_x", &basic("no colon")] {
            check(&[unreadable], Err(Unproven::Unreadable));
        }
        check(&["Bearer a", "Bearer b"], Err(Unproven::Unreadable));
    }

    #[test]
    fn a_session_counts_in_requests_of_our_own_pages() {
        let check = |method: Method, more: &[(&'static str, &str)], is_taken: bool| {
            let mut headers = HeaderMap::new();
            headers.insert("cookie", HeaderValue::from_static("rondo_session=x"));
            for (name, value) in more {
                headers.insert(*name, value.parse().unwrap());
            }
            let expect = if is_taken { Ok(Credential::Session("x".to_owned())) } else { Err(Unproven::ForeignPage) };
            assert_eq!(credential(&method, &headers), expect, "{method} {more:?}");
        };
        let own = ("origin", "http://localhost:5000");
        check(Method::GET, &[], true);
        check(Method::GET, &[("sec-fetch-site", "same-origin")], true);
        check(Method::GET, &[("sec-fetch-site", "none")], true);
        check(Method::GET, &[("sec-fetch-site", "cross-site")], false);
        check(Method::GET, &[("sec-fetch-site", "same-site")], false);
        check(Method::POST, &[own], true);
        check(Method::POST, &[own, ("sec-fetch-site", "same-origin")], true);
        check(Method::DELETE, &[], false);
        check(Method::POST, &[own, ("sec-fetch-site", "same-site")], false);
        check(Method::POST, &[("sec-fetch-site", "same-origin")], false);
    }
}
