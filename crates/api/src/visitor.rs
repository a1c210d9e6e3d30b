//! The one in front of a route: known, a stranger, or anybody where nothing is asked.

use access::{Grants, Permission, Role};
use axum::http::header::RETRY_AFTER;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode};

/// The guard puts one into every request.
#[derive(Clone, Debug)]
pub(crate) enum Visitor {
    /// Authentication is off: anybody may do everything, under the name they give.
    Anybody,
    /// Nobody that is known.
    Stranger,
}

impl Visitor {
    /// The visitor that the guard has seen. A request that did not pass the guard is a stranger's.
    pub(crate) fn of(extensions: &Extensions) -> &Self {
        extensions.get().unwrap_or(&Self::Stranger)
    }

    /// Whether the visitor may do this, and if not, why.
    pub(crate) fn check(&self, needs: Permission) -> Result<(), Refusal> {
        match self {
            Self::Anybody => Ok(()),
            Self::Stranger if Grants::default().allow(needs) => Ok(()),
            Self::Stranger => Err(Refusal::NoProof),
        }
    }
}

/// Why a visitor may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request says nothing of who sends it.
    NoProof,
    /// The caller is known, and may not do this.
    #[expect(dead_code, reason = "nobody is known yet")]
    TooWeak { who: String, needs: Permission },
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoProof => StatusCode::UNAUTHORIZED,
            Self::TooWeak { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// The class, in the words of our own protocols.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NoProof => "unauthenticated",
            Self::TooWeak { .. } => "permission_denied",
        }
    }

    /// The class, in the words of MLflow's protocols.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoProof => "UNAUTHENTICATED",
            Self::TooWeak { .. } => "PERMISSION_DENIED",
        }
    }

    /// Whether another proof of identity could help.
    pub(crate) fn asks_for_proof(&self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::NoProof => "this server asks who calls, and the request does not say".to_owned(),
            Self::TooWeak { who, needs } => format!("{who} lacks the permission `{needs}`"),
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoProof => "send a token as `Authorization: Bearer TOKEN` (rondo: RONDO_TOKEN, mlflow: \
                              MLFLOW_TRACKING_TOKEN)"
                .to_owned(),
            Self::TooWeak { needs, .. } => {
                let role = Role::weakest_for(*needs).map_or("viewer", Role::as_str);
                format!("it comes with the role {role}; an admin gives it with `rondo token create` or `rondo user`")
            }
        }
    }

    /// Headers that go with it.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        if self.status() == StatusCode::SERVICE_UNAVAILABLE || self.status() == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
}
