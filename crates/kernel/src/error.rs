//! How an error is classed. Each crate has its own error type; the edge needs only its class, its text, the field and a hint.

/// What kind of failure it is, independent of any protocol; each protocol maps kinds to its status codes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is malformed or breaks a rule; repeating it unchanged cannot succeed.
    Invalid,
    /// The thing named does not exist.
    NotFound,
    /// A thing of that name exists already.
    AlreadyExists,
    /// The request is well formed but the present state forbids it (a gate refuses, the run is deleted).
    Precondition,
    /// Who asks may not do this.
    PermissionDenied,
    /// The payload is larger than is accepted.
    TooLarge,
    /// A bounded queue is full; try again later.
    Overloaded,
    /// Something needed is not there now (disk full, store away, model still loading).
    Unavailable,
    /// The feature is not built.
    NotImplemented,
    /// A defect or an unexpected failure of ours.
    Internal,
}

/// An error that knows its class. `Display` is the message for the user: lower case, no full stop, its source not repeated.
pub trait Classified: std::error::Error {
    /// The class.
    fn kind(&self) -> Kind;
    /// The request field at fault, if one is.
    fn field(&self) -> Option<&str> {
        None
    }
    /// What to do next, if we know.
    fn hint(&self) -> Option<String> {
        None
    }
}
