//! Searching traces: by what is known of them, their tags, their spans, and what was said of them.

use db::{Sql, Tx};
use kernel::ctx::Ctx;
use kernel::filter::{Clause, Literal, Op};
use kernel::page::Page;

use crate::search::{term, token};
use crate::trace::{self, NAME_TAG, RUN_KEY, Trace};
use crate::{Error, check};

/// Most traces on a page.
const MAX_TRACES: i64 = 500;

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct TraceSearch {
    /// Where.
    pub experiment_ids: Vec<String>,
    /// `status = 'ERROR' AND tags.env = 'prod'`, or empty.
    pub filter: String,
    /// `timestamp_ms DESC` ...; otherwise the newest first.
    pub order_by: Vec<String>,
    /// 1 to 500.
    pub max_results: i64,
    /// From the page before.
    pub page_token: Option<String>,
}

/// The traces that match.
pub fn traces(tx: &mut Tx<'_>, ctx: &Ctx, search: &TraceSearch) -> Result<Page<Trace>, Error> {
    if !(1..=MAX_TRACES).contains(&search.max_results) {
        let message = format!(
            "Invalid value {} for parameter 'max_results' supplied. It must be a positive integer, at most {MAX_TRACES}",
            search.max_results
        );
        return Err(Error::invalid("max_results", message));
    }
    let offset = token::offset(search.page_token.as_deref())?;
    let mut sql = Sql::new();
    sql.push(trace::COLUMNS).bind(&ctx.workspace);
    sql.push(" AND t.experiment_id IN ").bind_list(check::experiment_ids(&search.experiment_ids)?);
    let (of_spans, others): (Vec<Clause>, Vec<Clause>) =
        term::parse(&search.filter)?.into_iter().partition(|clause| clause.entity.as_deref() == Some("span"));
    for clause in others {
        sql.push(" AND ");
        condition(&mut sql, &clause)?;
    }
    spans(&mut sql, &of_spans)?;
    order(&mut sql, &search.order_by)?;
    sql.push(" LIMIT ").bind(search.max_results + 1).push(" OFFSET ").bind(offset);
    Ok(token::page(trace::fetch(tx, &sql)?, search.max_results, offset))
}

/// What holds of a trace.
pub(super) fn condition(sql: &mut Sql, clause: &Clause) -> Result<(), Error> {
    match clause.entity.as_deref() {
        None | Some("attribute" | "attributes" | "trace") => attribute(sql, clause),
        Some("tag" | "tags") => keyed(sql, TAG, "p.value", clause),
        Some("metadata" | "request_metadata") => keyed(sql, METADATA, "p.value", clause),
        Some("feedback") => assessment(sql, FEEDBACK, clause),
        Some("expectation") => assessment(sql, EXPECTATION, clause),
        Some("issue") if clause.key == "id" && clause.op == Op::Eq => {
            sql.push(ISSUE);
            term::text(sql, "a.name", clause.op, &clause.value)?;
            sql.push(")");
            Ok(())
        }
        Some(other) => Err(Error::search(format!(
            "Invalid entity type '{other}'. Valid entity types are attribute, tag, metadata, span, feedback, expectation, issue.id"
        ))),
    }
}

fn keyed(sql: &mut Sql, head: &'static str, value: &'static str, clause: &Clause) -> Result<(), Error> {
    term::allow(clause.op, term::TRACE_TAG)?;
    term::exists(sql, head, value, clause)
}

const TAG: &str = "SELECT 1 FROM trace_tags p WHERE p.trace_id = t.trace_id AND p.key = ";
const METADATA: &str = "SELECT 1 FROM trace_metadata p WHERE p.trace_id = t.trace_id AND p.key = ";
const FEEDBACK: &str =
    "SELECT 1 FROM assessments a WHERE a.trace_id = t.trace_id AND a.valid AND a.kind = 'feedback' AND a.name = ";
const EXPECTATION: &str =
    "SELECT 1 FROM assessments a WHERE a.trace_id = t.trace_id AND a.valid AND a.kind = 'expectation' AND a.name = ";
const ISSUE: &str = "EXISTS (SELECT 1 FROM assessments a WHERE a.trace_id = t.trace_id AND a.kind = 'issue' AND ";

/// The column of an attribute, and whether it is a number.
fn column(key: &str) -> Option<(&'static str, bool)> {
    Some(match key {
        "request_id" => ("t.trace_id", false),
        "timestamp" | "timestamp_ms" => ("t.request_ms", true),
        "execution_time" | "execution_time_ms" => ("t.duration_ms", true),
        "end_time" | "end_time_ms" => ("(t.request_ms + COALESCE(t.duration_ms, 0))", true),
        "status" => ("t.state", false),
        "client_request_id" => ("t.client_request_id", false),
        _ => return None,
    })
}

fn attribute(sql: &mut Sql, clause: &Clause) -> Result<(), Error> {
    if let Some((column, is_number)) = column(&clause.key) {
        return if is_number {
            term::allow(clause.op, term::NUMERIC)?;
            if let ("timestamp", Literal::Float(value)) = (clause.key.as_str(), &clause.value) {
                return Err(Error::search(format!("A timestamp is a whole number of milliseconds, not {value}")));
            }
            term::integer(sql, column, &clause.key, clause)
        } else {
            term::allow(clause.op, term::TRACE_TEXT)?;
            term::text(sql, column, clause.op, &clause.value)
        };
    }
    match clause.key.as_str() {
        "name" => keyed(sql, TAG, "p.value", &Clause { key: NAME_TAG.to_owned(), ..clause.clone() })?,
        "run_id" => run(sql, clause)?,
        "prompt" => prompt(sql, clause)?,
        "text" if clause.entity.as_deref() == Some("trace") => {
            term::allow(clause.op, &[Op::Like, Op::ILike])?;
            sql.push("EXISTS (SELECT 1 FROM trace_spans s WHERE s.trace_id = t.trace_id AND ");
            term::text(sql, "s.content", clause.op, &clause.value)?;
            sql.push(")");
        }
        other => {
            return Err(Error::search(format!(
                "Invalid attribute key '{other}' specified. Valid keys are request_id, timestamp, execution_time, end_time, \
                 status, client_request_id, name, run_id, prompt; trace.text"
            )));
        }
    }
    Ok(())
}

/// The run that a trace came from, or one that it was linked to later.
fn run(sql: &mut Sql, clause: &Clause) -> Result<(), Error> {
    term::allow(clause.op, term::TRACE_TAG)?;
    let of = |op: Op| Clause { key: RUN_KEY.to_owned(), op, ..clause.clone() };
    if clause.op == Op::IsNull {
        term::exists(sql, METADATA, "p.value", &of(Op::IsNull))?;
        sql.push(" AND NOT EXISTS (").push(RUN_LINK).push(")");
        return Ok(());
    }
    sql.push("(");
    term::exists(sql, METADATA, "p.value", &of(clause.op))?;
    sql.push(" OR EXISTS (").push(RUN_LINK);
    if clause.op != Op::IsNotNull {
        sql.push(" AND ");
        term::text(sql, "k.target", clause.op, &clause.value)?;
    }
    sql.push("))");
    Ok(())
}

const RUN_LINK: &str = "SELECT 1 FROM trace_links k WHERE k.trace_id = t.trace_id AND k.kind = 'run'";

/// `prompt = 'name/version'`: linked here, or noted by the client in a tag.
fn prompt(sql: &mut Sql, clause: &Clause) -> Result<(), Error> {
    let wrong = || Error::search("A prompt is searched as prompt = 'name/version'");
    let (Op::Eq, Literal::Text(text)) = (clause.op, &clause.value) else { return Err(wrong()) };
    let (name, version) = text.split_once('/').filter(|(_, version)| !version.contains('/')).ok_or_else(wrong)?;
    sql.push(
        "(EXISTS (SELECT 1 FROM trace_links k WHERE k.trace_id = t.trace_id AND k.kind = 'prompt' AND k.target = ",
    );
    sql.bind(text).push(") OR EXISTS (").push(TAG).bind("mlflow.linkedPrompts").push(" AND p.value LIKE ");
    let noted = serde_json::json!(name).to_string();
    sql.bind(format!("%{{\"name\": {noted}, \"version\": \"{version}\"}}%")).push("))");
    Ok(())
}

/// Texts are equal or like, numbers are in order.
fn assessment(sql: &mut Sql, head: &'static str, clause: &Clause) -> Result<(), Error> {
    if !matches!(clause.op, Op::Gt | Op::Ge | Op::Lt | Op::Le) {
        return keyed(sql, head, "a.value_text", clause);
    }
    let Some(value) = clause.value.as_f64() else {
        return Err(Error::search(format!("Expected a number to compare {} with, got {}", clause.key, clause.value)));
    };
    sql.push("EXISTS (").push(head).bind(&clause.key).push(" AND ");
    term::number(sql, "a.value_number", clause.op, value)?;
    sql.push(")");
    Ok(())
}

/// All clauses about spans hold for one and the same span.
fn spans(sql: &mut Sql, clauses: &[Clause]) -> Result<(), Error> {
    if clauses.is_empty() {
        return Ok(());
    }
    sql.push(" AND EXISTS (SELECT 1 FROM trace_spans s WHERE s.trace_id = t.trace_id");
    for clause in clauses {
        sql.push(" AND ");
        let (column, allowed) = match clause.key.as_str() {
            "name" => ("s.name", term::TRACE_TEXT),
            "type" => ("s.kind", term::TRACE_TEXT),
            "status" => ("s.status", term::TRACE_TEXT),
            "content" => ("s.content", &[Op::Like, Op::ILike][..]),
            key => match key.strip_prefix("attributes.") {
                Some(name) => {
                    span_attribute(sql, name, clause)?;
                    continue;
                }
                None => {
                    return Err(Error::search(format!(
                        "Invalid span key '{key}'. Valid keys are name, type, status, content, attributes.NAME"
                    )));
                }
            },
        };
        term::allow(clause.op, allowed)?;
        term::text(sql, column, clause.op, &clause.value)?;
    }
    sql.push(")");
    Ok(())
}

/// An attribute whose value is a text, found in the content, where keys stand in order.
fn span_attribute(sql: &mut Sql, name: &str, clause: &Clause) -> Result<(), Error> {
    term::allow(clause.op, &[Op::Eq, Op::Ne, Op::Like, Op::ILike])?;
    let Literal::Text(value) = &clause.value else {
        return Err(Error::search(format!(
            "Expected a quoted string value (e.g. 'my-value'). Got value {}",
            clause.value
        )));
    };
    let (key, value) = (serde_json::json!(name), serde_json::json!(value));
    let pattern = format!("%{{\"key\":{key},\"value\":{{\"string_value\":{value}}}}}%");
    let op = if clause.op == Op::ILike { Op::ILike } else { Op::Like };
    if clause.op == Op::Ne {
        let any = format!("%{{\"key\":{key},\"value\":{{\"string_value\":%");
        term::text(sql, "s.content", Op::Like, &Literal::Text(any))?;
        sql.push(" AND NOT ");
    }
    term::text(sql, "s.content", op, &Literal::Text(pattern))
}

fn order(sql: &mut Sql, order_by: &[String]) -> Result<(), Error> {
    sql.push(" ORDER BY ");
    let mut timed = false;
    for item in order_by {
        let order = term::parse_order(item)?;
        let bad = || Error::search(format!("Invalid order_by key '{}' specified.", order.key));
        let known = matches!(order.entity.as_deref(), None | Some("attribute" | "attributes" | "trace"));
        let (table, key) = match (order.entity.as_deref(), order.key.as_str()) {
            (_, "experiment_id") if known => {
                directed(sql, "t.experiment_id", order.ascending);
                continue;
            }
            (_, key) if known && ORDERED.contains(&key) => {
                let column = column(key).map_or("t.request_ms", |(column, _)| column);
                timed |= column == "t.request_ms";
                directed(sql, column, order.ascending);
                continue;
            }
            (_, "name") if known => (TAG_VALUE, NAME_TAG),
            (_, "run_id") if known => (METADATA_VALUE, RUN_KEY),
            (Some("tag" | "tags"), key) => (TAG_VALUE, key),
            (Some("metadata" | "request_metadata"), key) => (METADATA_VALUE, key),
            _ => return Err(bad()),
        };
        // Absent values come last in both directions.
        sql.push("CASE WHEN ").push(table).bind(key).push(") IS NULL THEN 1 ELSE 0 END, ").push(table).bind(key);
        sql.push(if order.ascending { ") ASC, " } else { ") DESC, " });
    }
    sql.push(if timed { "t.trace_id" } else { "t.request_ms DESC, t.trace_id" });
    Ok(())
}

/// The attributes with columns that traces are ordered by.
const ORDERED: [&str; 6] = ["timestamp", "timestamp_ms", "execution_time", "execution_time_ms", "status", "request_id"];

fn directed(sql: &mut Sql, column: &'static str, ascending: bool) {
    sql.push("CASE WHEN ").push(column).push(" IS NULL THEN 1 ELSE 0 END, ").push(column);
    sql.push(if ascending { " ASC, " } else { " DESC, " });
}

const TAG_VALUE: &str = "(SELECT o.value FROM trace_tags o WHERE o.trace_id = t.trace_id AND o.key = ";
const METADATA_VALUE: &str = "(SELECT o.value FROM trace_metadata o WHERE o.trace_id = t.trace_id AND o.key = ";
