//! Statements whose text depends on what was asked for: filters, orders, lists.
//!
//! The text is put together from static fragments and bound values only, so nothing that a user sent can become SQL.

use std::fmt::Write as _;

use crate::{Error, Tx, Value};

/// How many rows of a table belong to a workspace.
pub fn rows_of(tx: &mut Tx<'_>, table: &'static str, workspace: &str) -> Result<i64, Error> {
    let mut sql = Sql::new();
    sql.push("SELECT count(*) AS n FROM ").push(table).push(" WHERE workspace = ").bind(workspace);
    let rows = tx.query_built(&sql)?;
    rows.first().map_or(Ok(0), |row| row.i64("n"))
}

#[derive(Clone, Debug)]
enum Piece {
    Text(&'static str),
    Name(String),
    Bind(Value),
}

/// A statement under construction.
///
/// ```
/// # use rondo_db::Sql;
/// let mut sql = Sql::new();
/// sql.push("SELECT id FROM runs WHERE workspace = ").bind("default").push(" AND status IN ").bind_list(["RUNNING", "FAILED"]);
/// assert_eq!(sql.text(), "SELECT id FROM runs WHERE workspace = $1 AND status IN ($2, $3)");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sql {
    pieces: Vec<Piece>,
}

impl Sql {
    /// An empty statement.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds static text.
    pub fn push(&mut self, fragment: &'static str) -> &mut Self {
        self.pieces.push(Piece::Text(fragment));
        self
    }

    /// Adds the name of a table or column that the database itself told us.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.pieces.push(Piece::Name(format!("\"{}\"", name.replace('"', "\"\""))));
        self
    }

    /// Adds a value and writes its placeholder.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.pieces.push(Piece::Bind(value.into()));
        self
    }

    /// Adds values as a list in brackets, for `IN` or `VALUES`: `($4, $5)`. An empty list becomes `(NULL)`, which is equal to
    /// nothing. A statement takes at most 32,766 values.
    pub fn bind_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        let mut fragment = "(";
        for value in values {
            self.push(fragment).bind(value);
            fragment = ", ";
        }
        self.push(if fragment == "(" { "(NULL)" } else { ")" })
    }

    /// Adds another statement, for instance a sub-query; its placeholders are numbered anew.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// True while nothing was added.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The text with its placeholders, for messages and tests.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut bound = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Text(fragment) => text.push_str(fragment),
                Piece::Name(name) => text.push_str(name),
                Piece::Bind(_) => {
                    bound += 1;
                    // Writing to a String cannot fail.
                    let _ = write!(text, "${bound}");
                }
            }
        }
        text
    }

    /// The bound values, in the order of their placeholders.
    pub(crate) fn values(&self) -> Vec<Value> {
        let bound = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Bind(value) => Some(value.clone()),
            Piece::Text(_) | Piece::Name(_) => None,
        });
        bound.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_through_appended_statements() {
        let mut inner = Sql::new();
        inner.push("SELECT id FROM t WHERE a = ").bind(1_i64);
        let mut sql = Sql::new();
        sql.push("SELECT * FROM u WHERE b = ").bind("x").push(" AND id IN (").append(inner).push(")");
        assert_eq!(sql.text(), "SELECT * FROM u WHERE b = $1 AND id IN (SELECT id FROM t WHERE a = $2)");
        assert_eq!(sql.values(), vec![Value::from("x"), Value::from(1_i64)]);
    }

    #[test]
    fn an_empty_list_equals_nothing() {
        let mut sql = Sql::new();
        sql.push("a IN ").bind_list(Vec::<i64>::new());
        assert_eq!(sql.text(), "a IN (NULL)");
    }
}
