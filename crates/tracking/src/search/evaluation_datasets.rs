//! Searching evaluation datasets.

use db::{Sql, Tx};
use kernel::ctx::Ctx;
use kernel::filter::{Clause, Literal, Op};
use kernel::page::Page;

use crate::evaluation_dataset::{self, EvaluationDataset};
use crate::search::{term, token};
use crate::{Error, check};

/// What to look for.
#[derive(Clone, Debug)]
pub struct EvaluationDatasetSearch {
    /// Only those of these experiments; empty is all.
    pub experiment_ids: Vec<String>,
    /// `name LIKE 'visit%' AND tags.team = 'a'`, or empty.
    pub filter: String,
    /// 1 to 50,000.
    pub max_results: i64,
    /// `name ASC` ...; otherwise the newest first.
    pub order_by: Vec<String>,
    /// From the page before.
    pub page_token: Option<String>,
}

/// The datasets that match, without their records.
pub fn evaluation_datasets(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    search: &EvaluationDatasetSearch,
) -> Result<Page<EvaluationDataset>, Error> {
    let max_results = check::max_results(search.max_results)?;
    let offset = token::offset(search.page_token.as_deref())?;
    let mut sql = Sql::new();
    sql.push(evaluation_dataset::COLUMNS).bind(&ctx.workspace);
    if !search.experiment_ids.is_empty() {
        let ids = search.experiment_ids.iter().map(|id| check::experiment_id(id)).collect::<Result<Vec<_>, _>>()?;
        sql.push(" AND d.dataset_id IN (SELECT dataset_id FROM evaluation_dataset_experiments WHERE experiment_id IN ");
        sql.bind_list(ids).push(")");
    }
    for clause in term::parse(&search.filter)? {
        sql.push(" AND ");
        condition(&mut sql, &clause)?;
    }
    order(&mut sql, &search.order_by)?;
    sql.push(" LIMIT ").bind(max_results + 1).push(" OFFSET ").bind(offset);
    let found = tx.query_built(&sql)?.iter().map(evaluation_dataset::read).collect::<Result<Vec<_>, Error>>()?;
    let mut page = token::page(found, max_results, offset);
    evaluation_dataset::fill_tags(tx, &mut page.items)?;
    Ok(page)
}

fn condition(sql: &mut Sql, clause: &Clause) -> Result<(), Error> {
    match clause.entity.as_deref() {
        Some("tags") => {
            term::allow(clause.op, term::TEXT)?;
            let head = "SELECT 1 FROM evaluation_dataset_tags t WHERE t.dataset_id = d.dataset_id AND t.key = ";
            term::keyed(sql, head, "t.value", clause)
        }
        Some(other) => Err(Error::search(format!("Invalid identifier token '{other}' specified"))),
        None => match clause.key.as_str() {
            "name" => {
                if clause.op == Op::NotIn {
                    return Err(Error::search("List values for 'name' are only supported with the IN comparator."));
                }
                text(sql, "d.name", clause, term::TEXT_OR_LIST)
            }
            "created_by" => text(sql, "d.created_by", clause, term::TEXT),
            "last_updated_by" => text(sql, "d.updated_by", clause, term::TEXT),
            key => {
                let column =
                    column(key, &["name", "created_time", "last_update_time", "created_by", "last_updated_by"])?;
                term::allow(clause.op, term::NUMERIC)?;
                if let Literal::Float(value) = clause.value {
                    return Err(Error::search(format!("Invalid value for numeric attribute '{key}': '{value}'")));
                }
                term::integer(sql, column, key, clause)
            }
        },
    }
}

/// A text column; MLflow also takes it for ordered.
fn text(sql: &mut Sql, column: &'static str, clause: &Clause, allowed: &[Op]) -> Result<(), Error> {
    let sign = match clause.op {
        Op::Lt => " < ",
        Op::Le => " <= ",
        Op::Gt => " > ",
        Op::Ge => " >= ",
        op => {
            term::allow(op, allowed)?;
            return term::text(sql, column, op, &clause.value);
        }
    };
    let Literal::Text(text) = &clause.value else {
        return Err(Error::search(format!(
            "Expected a quoted string value (e.g. 'my-value'). Got value {}",
            clause.value
        )));
    };
    sql.push(column).push(sign).bind(text);
    Ok(())
}

fn column(key: &str, valid: &[&str]) -> Result<&'static str, Error> {
    match key {
        "name" => Ok("d.name"),
        "created_time" => Ok("d.created_ms"),
        "last_update_time" => Ok("d.updated_ms"),
        _ => {
            let valid: Vec<String> = valid.iter().map(|key| format!("'{key}'")).collect();
            let valid = valid.join(", ");
            Err(Error::search(format!("Invalid attribute key '{key}' specified. Valid keys are: {{{valid}}}")))
        }
    }
}

fn order(sql: &mut Sql, order_by: &[String]) -> Result<(), Error> {
    sql.push(" ORDER BY ");
    if order_by.is_empty() {
        sql.push("d.created_ms DESC, ");
    }
    for item in order_by {
        let order = term::parse_order(item)?;
        match order.entity.as_deref() {
            None => {}
            Some("tags") => return Err(Error::search("Invalid order_by entity: tag")),
            Some(other) => return Err(Error::search(format!("Invalid identifier token '{other}' specified"))),
        }
        let column = column(&order.key, &["name", "created_time", "last_update_time"])?;
        sql.push(column).push(if order.ascending { " ASC, " } else { " DESC, " });
    }
    sql.push("d.dataset_id DESC");
    Ok(())
}
