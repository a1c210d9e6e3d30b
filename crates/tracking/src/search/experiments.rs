//! Searching experiments.

use db::{Sql, Tx};
use kernel::ctx::Ctx;
use kernel::filter::{Clause, Literal};
use kernel::page::Page;

use crate::experiment::{self, Experiment};
use crate::search::{term, token};
use crate::{Error, View, check};

/// What to look for.
#[derive(Clone, Debug)]
pub struct ExperimentSearch {
    /// `name LIKE 'visit%' AND tags.team = 'a'`, or empty.
    pub filter: String,
    /// Deleted ones too?
    pub view: View,
    /// 1 to 50,000.
    pub max_results: i64,
    /// `name ASC` ...; otherwise the newest first.
    pub order_by: Vec<String>,
    /// From the page before.
    pub page_token: Option<String>,
}

/// The experiments that match.
pub fn experiments(tx: &mut Tx<'_>, ctx: &Ctx, search: &ExperimentSearch) -> Result<Page<Experiment>, Error> {
    let max_results = check::max_results(search.max_results)?;
    let offset = token::offset(search.page_token.as_deref())?;
    let mut sql = Sql::new();
    sql.push(
        "SELECT e.experiment_id, e.name, e.artifact_location, e.lifecycle_stage, e.created_ms, e.updated_ms
         FROM experiments e WHERE e.workspace = ",
    );
    sql.bind(&ctx.workspace);
    sql.push(" AND e.lifecycle_stage IN ").bind_list(term::texts(search.view.stages()));
    for clause in term::parse(&search.filter)? {
        sql.push(" AND ");
        condition(&mut sql, &clause)?;
    }
    order(&mut sql, &search.order_by)?;
    sql.push(" LIMIT ").bind(max_results + 1).push(" OFFSET ").bind(offset);
    let rows = tx.query_built(&sql)?;
    let found = rows.iter().map(experiment::read).collect::<Result<Vec<Experiment>, Error>>()?;
    let mut page = token::page(found, max_results, offset);
    for found in &mut page.items {
        found.tags = experiment::tags(tx, check::experiment_id(&found.experiment_id)?)?;
    }
    Ok(page)
}

fn condition(sql: &mut Sql, clause: &Clause) -> Result<(), Error> {
    match clause.entity.as_deref() {
        Some("tag" | "tags") => {
            let head = "SELECT 1 FROM experiment_tags t WHERE t.experiment_id = e.experiment_id AND t.key = ";
            term::keyed(sql, head, "t.value", clause)
        }
        entity => match column(entity, &clause.key)? {
            "e.experiment_id" => term::experiment_id(sql, "e.experiment_id", clause),
            "e.name" => {
                term::allow(clause.op, term::TEXT)?;
                term::text(sql, "e.name", clause.op, &clause.value)
            }
            time => {
                term::allow(clause.op, term::NUMERIC)?;
                if let Literal::Float(value) = clause.value {
                    let text = format!("Invalid value for numeric attribute '{}': '{value}'", clause.key);
                    return Err(Error::search(text));
                }
                term::integer(sql, time, &clause.key, clause)
            }
        },
    }
}

fn column(entity: Option<&str>, key: &str) -> Result<&'static str, Error> {
    match (entity, key) {
        (None | Some("attribute"), "name") => Ok("e.name"),
        (None | Some("attribute"), "experiment_id") => Ok("e.experiment_id"),
        (None | Some("attribute"), "creation_time") => Ok("e.created_ms"),
        (None | Some("attribute"), "last_update_time") => Ok("e.updated_ms"),
        (None | Some("attribute"), _) => Err(Error::search(format!(
            "Invalid attribute key '{key}' specified. Valid keys are \
             '{{'name', 'experiment_id', 'creation_time', 'last_update_time'}}'"
        ))),
        (Some(other), _) => Err(Error::search(format!(
            "Invalid entity type '{other}'. Valid entity types are ('attribute', 'tag', 'tags')"
        ))),
    }
}

fn order(sql: &mut Sql, order_by: &[String]) -> Result<(), Error> {
    sql.push(" ORDER BY ");
    if order_by.is_empty() {
        sql.push("e.created_ms DESC, e.experiment_id ASC");
        return Ok(());
    }
    let mut tie_break = true;
    let mut lead = "";
    for item in order_by {
        let order = term::parse_order(item)?;
        if matches!(order.entity.as_deref(), Some("tag" | "tags")) {
            return Err(Error::search("Invalid order_by entity: tag"));
        }
        let column = column(order.entity.as_deref(), &order.key)?;
        tie_break &= column != "e.experiment_id";
        sql.push(lead).push(column).push(if order.ascending { " ASC" } else { " DESC" });
        lead = ", ";
    }
    if tie_break {
        sql.push(", e.experiment_id DESC");
    }
    Ok(())
}
