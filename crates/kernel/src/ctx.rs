//! Who acts, where and when: the context that every rule takes first.

use std::fmt;

/// The workspace of whatever names no other. It is always there.
pub const DEFAULT_WORKSPACE: &str = "default";

/// The one who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A person or a program of theirs, by name.
    Person(String),
    /// A program with a token of its own, by the token's name.
    Service(String),
    /// A part of Rondo that acts on its own, by name (`conductor`, `scheduler`).
    System(&'static str),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(f, "person:{name}"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

/// The context of one unit of work. Its time is read once, so that everything one request writes carries the same instant.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// Who acts.
    pub principal: Principal,
    /// The workspace whose rows may be seen and written.
    pub workspace: String,
    /// Microseconds since the epoch.
    pub now_us: i64,
}

impl Ctx {
    /// A context in the default workspace.
    pub fn new(principal: Principal, now_us: i64) -> Self {
        Self { principal, workspace: DEFAULT_WORKSPACE.to_owned(), now_us }
    }

    /// The same in another workspace.
    #[must_use]
    pub fn within(&self, workspace: &str) -> Self {
        Self { principal: self.principal.clone(), workspace: workspace.to_owned(), now_us: self.now_us }
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_us / 1_000
    }
}
