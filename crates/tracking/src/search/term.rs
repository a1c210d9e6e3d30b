//! One comparison in SQL: the column is static text, the value is bound.

use db::{Sql, Value};
use kernel::filter::{self, Clause, Literal, Op};

use crate::{Error, check};

/// Parses a filter; an error says where.
pub(super) fn parse(filter: &str) -> Result<Vec<Clause>, Error> {
    filter::parse(filter).map_err(|error| {
        let text = if filter.trim().is_empty() {
            format!("Invalid filter '{filter}'. Could not be parsed.")
        } else {
            format!("Invalid clause(s) in filter string: {error} in '{filter}'")
        };
        Error::search(text)
    })
}

/// Parses one item of an ordering.
pub(super) fn parse_order(order_by: &str) -> Result<filter::Order, Error> {
    filter::parse_order(order_by)
        .map_err(|error| Error::search(format!("Invalid order_by clause '{order_by}'. Could not be parsed: {error}")))
}

/// An operator that is none of those allowed.
pub(super) fn allow(op: Op, allowed: &[Op]) -> Result<(), Error> {
    if allowed.contains(&op) {
        return Ok(());
    }
    let allowed: Vec<String> = allowed.iter().map(|op| format!("'{op}'")).collect();
    Err(Error::search(format!("Invalid comparator '{op}' not one of '{{{}}}'", allowed.join(", "))))
}

pub(super) const NUMERIC: &[Op] = &[Op::Eq, Op::Ne, Op::Gt, Op::Ge, Op::Lt, Op::Le];
pub(super) const TEXT: &[Op] = &[Op::Eq, Op::Ne, Op::Like, Op::ILike];
pub(super) const TEXT_OR_LIST: &[Op] = &[Op::Eq, Op::Ne, Op::Like, Op::ILike, Op::In, Op::NotIn];
/// What traces are searched by.
pub(super) const TRACE_TEXT: &[Op] = &[Op::Eq, Op::Ne, Op::Like, Op::ILike, Op::RLike, Op::In, Op::NotIn];
pub(super) const TRACE_TAG: &[Op] = &[Op::Eq, Op::Ne, Op::Like, Op::ILike, Op::RLike, Op::IsNull, Op::IsNotNull];
pub(super) const TAG: &[Op] = &[Op::Eq, Op::Ne, Op::Like, Op::ILike, Op::IsNull, Op::IsNotNull];

/// `column op text`, or `column IN (texts)`. A backslash means nothing in a pattern.
pub(super) fn text(sql: &mut Sql, column: &'static str, op: Op, value: &Literal) -> Result<(), Error> {
    match (op, value) {
        (Op::In, Literal::List(items)) => sql.push(column).push(" IN ").bind_list(items),
        (Op::NotIn, Literal::List(items)) => sql.push(column).push(" NOT IN ").bind_list(items),
        (Op::Like, Literal::Text(text)) => sql.push(column).push(" LIKE ").bind(text).push(" ESCAPE '\u{1}'"),
        (Op::ILike, Literal::Text(text)) => {
            sql.push("lower(").push(column).push(") LIKE lower(").bind(text).push(") ESCAPE '\u{1}'")
        }
        (Op::RLike, Literal::Text(text)) => {
            if let Err(error) = regex::Regex::new(text) {
                return Err(Error::search(format!("Invalid regular expression '{text}': {error}")));
            }
            sql.push("regexp_like(").push(column).push(", ").bind(text).push(")")
        }
        (Op::Ne, Literal::Text(text)) => sql.push(column).push(" <> ").bind(text),
        (Op::Eq, Literal::Text(text)) => sql.push(column).push(" = ").bind(text),
        (_, other) => {
            return Err(Error::search(format!("Expected a quoted string value (e.g. 'my-value'). Got value {other}")));
        }
    };
    Ok(())
}

/// `column op number` for a column of whole numbers.
pub(super) fn integer(sql: &mut Sql, column: &'static str, key: &str, clause: &Clause) -> Result<(), Error> {
    let Literal::Int(value) = clause.value else {
        let text = format!("Expected numeric value type for numeric attribute: {key}. Found {}", clause.value);
        return match clause.value.as_f64() {
            Some(value) => number(sql, column, clause.op, value),
            None => Err(Error::search(text)),
        };
    };
    sql.push(column).push(sign(clause.op)?).bind(value);
    Ok(())
}

/// `column op number` for any column.
pub(super) fn number(sql: &mut Sql, column: &'static str, op: Op, value: f64) -> Result<(), Error> {
    sql.push("CAST(").push(column).push(" AS DOUBLE PRECISION)").push(sign(op)?).bind(value);
    Ok(())
}

/// `column op number` for a column of doubles.
pub(super) fn compare(sql: &mut Sql, column: &'static str, op: Op, value: f64) -> Result<(), Error> {
    sql.push(column).push(sign(op)?).bind(value);
    Ok(())
}

/// A metric's value: NaN is unequal to everything and in no order with anything. `value` and `flag` are the columns.
pub(super) fn metric(sql: &mut Sql, (value, flag): (&'static str, &'static str), clause: &Clause) -> Result<(), Error> {
    allow(clause.op, NUMERIC)?;
    let number = clause
        .value
        .as_f64()
        .ok_or_else(|| Error::search(format!("Expected numeric value type for metric. Found {}", clause.value)))?;
    if clause.op == Op::Ne {
        sql.push("(").push(flag).push(" OR ").push(value).push(" <> ").bind(number).push(")");
    } else {
        sql.push("(NOT ").push(flag).push(" AND ").push(value).push(sign(clause.op)?).bind(number).push(")");
    }
    Ok(())
}

/// An experiment's id, which is written as text and compared as a number.
pub(super) fn experiment_id(sql: &mut Sql, column: &'static str, clause: &Clause) -> Result<(), Error> {
    let list = |items: &[String]| items.iter().map(|id| check::experiment_id(id)).collect::<Result<Vec<i64>, _>>();
    match (&clause.value, clause.op) {
        (Literal::Text(id), Op::Eq) => sql.push(column).push(" = ").bind(check::experiment_id(id)?),
        (Literal::Text(id), Op::Ne) => sql.push(column).push(" <> ").bind(check::experiment_id(id)?),
        (Literal::List(ids), Op::In) => sql.push(column).push(" IN ").bind_list(list(ids)?),
        (Literal::List(ids), Op::NotIn) => sql.push(column).push(" NOT IN ").bind_list(list(ids)?),
        (_, op) => return Err(Error::search(format!("Invalid comparator for experiment_id: {op}"))),
    };
    Ok(())
}

/// `EXISTS` over a table of keys and values: `head` ends before the key, `tail` closes the brackets. `IS NULL` asks for absence.
pub(super) fn keyed(sql: &mut Sql, head: &'static str, value: &'static str, clause: &Clause) -> Result<(), Error> {
    allow(clause.op, TAG)?;
    exists(sql, head, value, clause)
}

/// The same with an operator that was allowed.
pub(super) fn exists(sql: &mut Sql, head: &'static str, value: &'static str, clause: &Clause) -> Result<(), Error> {
    if clause.op == Op::IsNull {
        sql.push("NOT ");
    }
    sql.push("EXISTS (").push(head).bind(&clause.key);
    if !matches!(clause.op, Op::IsNull | Op::IsNotNull) {
        sql.push(" AND ");
        text(sql, value, clause.op, &clause.value)?;
    }
    sql.push(")");
    Ok(())
}

fn sign(op: Op) -> Result<&'static str, Error> {
    Ok(match op {
        Op::Eq => " = ",
        Op::Ne => " <> ",
        Op::Lt => " < ",
        Op::Le => " <= ",
        Op::Gt => " > ",
        Op::Ge => " >= ",
        _ => {
            allow(op, NUMERIC)?;
            " = "
        }
    })
}

/// Texts as a list of values.
pub(super) fn texts(items: &[&'static str]) -> Vec<Value> {
    items.iter().map(|item| Value::from(*item)).collect()
}
