//! The search language of MLflow: text to AST. No SQL here; each layer turns the AST into its own, and decides which entities,
//! keys and operators it knows.
//!
//! A filter is clauses joined by `AND`: `metrics.mae < 0.2 AND params."n estimators" = '200' AND tags.team IN ('a', 'b')`. An `AND`
//! too many or too few is passed over, as MLflow does. There is no `OR`, no `NOT` and no grouping. An empty text is no filter; a blank one is an error, as it is with MLflow.

mod lex;
mod parse;

use std::fmt;

pub use parse::{parse, parse_order};

/// One clause: `[entity.]key op value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// What stands before the first dot, as written (`metrics`, `metric`, `attribute` ...); `None` for a bare key.
    pub entity: Option<String>,
    /// What stands behind it, without its quotes; it may contain dots.
    pub key: String,
    /// The operator.
    pub op: Op,
    /// The value; [`Literal::None`] for `IS NULL` and `IS NOT NULL`.
    pub value: Literal,
    /// Where the clause begins, counted in characters from 1.
    pub position: usize,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `LIKE`: case-sensitive, `%` and `_`, no escape.
    Like,
    /// `ILIKE`: the same without case.
    ILike,
    /// `RLIKE`: a regular expression; only trace searches know it.
    RLike,
    /// `IN ('a', 'b')`
    In,
    /// `NOT IN ('a', 'b')`
    NotIn,
    /// `IS NULL`: there is no such param or tag.
    IsNull,
    /// `IS NOT NULL`
    IsNotNull,
}

impl Op {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Like => "LIKE",
            Self::ILike => "ILIKE",
            Self::RLike => "RLIKE",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
            Self::IsNull => "IS NULL",
            Self::IsNotNull => "IS NOT NULL",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The value of a clause.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// A quoted text, without its quotes. Doubled quotes stay doubled.
    Text(String),
    /// A list of quoted texts, never empty.
    List(Vec<String>),
    /// No value.
    None,
}

impl Literal {
    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::List(items) => write!(f, "('{}')", items.join("', '")),
            Self::None => f.write_str("nothing"),
        }
    }
}

/// One item of an ordering: `[entity.]key [ASC|DESC]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What stands before the first dot, as written; `None` for a bare key.
    pub entity: Option<String>,
    /// What stands behind it, without its quotes.
    pub key: String,
    /// False for `DESC`.
    pub ascending: bool,
}

/// Why a text is not of this language: what was expected where, and what stood there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at position {position}, found {found}")]
pub struct ParseError {
    /// Counted in characters from 1.
    pub position: usize,
    /// What could have stood there.
    pub expected: &'static str,
    /// What stood there.
    pub found: String,
}
