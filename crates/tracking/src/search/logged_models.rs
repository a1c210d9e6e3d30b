//! Searching logged models.

use db::{Sql, Tx};
use kernel::ctx::Ctx;
use kernel::filter::{Clause, Literal, Op};
use kernel::page::{self, Page};
use serde::{Deserialize, Serialize};

use crate::logged_model::{self, LoggedModel};
use crate::search::{term, token};
use crate::{Error, check};

/// What to look for.
#[derive(Clone, Debug)]
pub struct ModelSearch {
    /// In these experiments.
    pub experiment_ids: Vec<String>,
    /// `metrics.mae < 0.2 AND params.depth = '4'`, or empty.
    pub filter: String,
    /// Only metrics measured on one of these count; without a metric in the filter, any metric on one of them will do.
    pub datasets: Vec<DatasetFilter>,
    /// At least 1.
    pub max_results: i64,
    /// In this order; then the newest first.
    pub order_by: Vec<ModelOrder>,
    /// From the page before.
    pub page_token: Option<String>,
}

/// A dataset by name, and by digest if one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetFilter {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Option<String>,
}

/// One item of an ordering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOrder {
    /// `creation_time`, `name`, `metrics.mae` ...
    pub field_name: String,
    /// False for the greatest first.
    pub ascending: bool,
    /// Only metrics measured on this dataset.
    pub dataset_name: Option<String>,
    /// Only metrics measured on this version of it.
    pub dataset_digest: Option<String>,
}

/// The token says which search it continues, and is refused for another one.
#[derive(Serialize, Deserialize)]
struct Token {
    offset: i64,
    experiment_ids: Vec<String>,
    filter_string: String,
    order_by: Vec<ModelOrder>,
}

/// The logged models that match and are not deleted.
pub fn logged_models(tx: &mut Tx<'_>, ctx: &Ctx, search: &ModelSearch) -> Result<Page<LoggedModel>, Error> {
    if search.datasets.iter().any(|dataset| dataset.name.is_empty()) {
        let text = "`dataset_name` in the `datasets` clause must be specified.";
        return Err(Error::invalid("datasets", text));
    }
    let max_results = check::max_results(search.max_results)?;
    let offset = offset(search)?;
    let ids = check::experiment_ids(&search.experiment_ids)?;
    let mut sql = Sql::new();
    sql.push(logged_model::COLUMNS).bind(&ctx.workspace);
    sql.push(" AND l.lifecycle_stage = 'active' AND l.experiment_id IN ").bind_list(ids);
    let mut by_metric = false;
    for clause in term::parse(&search.filter)? {
        by_metric |= clause.entity.as_deref() == Some("metrics");
        sql.push(" AND ");
        condition(&mut sql, &clause, &search.datasets)?;
    }
    if !by_metric && !search.datasets.is_empty() {
        sql.push(" AND EXISTS (SELECT 1 FROM logged_model_metrics m WHERE m.model_id = l.model_id");
        on_datasets(&mut sql, &search.datasets);
        sql.push(")");
    }
    order(&mut sql, &search.order_by)?;
    sql.push(" LIMIT ").bind(max_results + 1).push(" OFFSET ").bind(offset);
    let rows = tx.query_built(&sql)?;
    let found = rows.iter().map(logged_model::read).collect::<Result<Vec<LoggedModel>, Error>>()?;
    let page = token::page(found, max_results, offset);
    let next_token = page.next_token.map(|_| {
        page::encode(&Token {
            offset: offset + max_results,
            experiment_ids: search.experiment_ids.clone(),
            filter_string: search.filter.clone(),
            order_by: search.order_by.clone(),
        })
    });
    Ok(Page { items: logged_model::fill(tx, page.items)?, next_token })
}

fn offset(search: &ModelSearch) -> Result<i64, Error> {
    let Some(text) = search.page_token.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(0);
    };
    let wrong = |text: String| Err(Error::invalid("page_token", text));
    let Some(token) = page::decode::<Token>(text).filter(|token| token.offset >= 0) else {
        return wrong(format!("Invalid page token: {text}."));
    };
    if token.experiment_ids != search.experiment_ids {
        return wrong("Experiment IDs in the page token do not match the requested experiment IDs.".to_owned());
    }
    if token.filter_string != search.filter {
        return wrong("Filter string in the page token does not match the requested filter string.".to_owned());
    }
    if token.order_by != search.order_by {
        return wrong("Order by in the page token does not match the requested order by.".to_owned());
    }
    Ok(token.offset)
}

const ATTRIBUTES: &[(&str, &str)] = &[
    ("model_id", "l.model_id"),
    ("experiment_id", "l.experiment_id"),
    ("name", "l.name"),
    ("artifact_location", "l.artifact_location"),
    ("creation_time", "l.created_ms"),
    ("creation_timestamp", "l.created_ms"),
    ("creation_timestamp_ms", "l.created_ms"),
    ("last_updated_timestamp", "l.updated_ms"),
    ("last_updated_timestamp_ms", "l.updated_ms"),
    ("status", "l.status"),
    ("status_message", "l.status_message"),
    ("lifecycle_stage", "l.lifecycle_stage"),
    ("model_type", "l.model_type"),
    ("source_run_id", "l.source_run_id"),
];

fn attribute(key: &str) -> Option<&'static str> {
    ATTRIBUTES.iter().find(|(name, _)| *name == key).map(|(_, column)| *column)
}

fn condition(sql: &mut Sql, clause: &Clause, datasets: &[DatasetFilter]) -> Result<(), Error> {
    match clause.entity.as_deref() {
        Some("metrics") => {
            sql.push("EXISTS (SELECT 1 FROM logged_model_metrics m WHERE m.model_id = l.model_id AND m.key = ");
            sql.bind(&clause.key).push(" AND ");
            term::metric(sql, ("m.value", "m.is_nan"), clause)?;
            on_datasets(sql, datasets);
            sql.push(")");
            Ok(())
        }
        Some("params") => {
            let head = "SELECT 1 FROM logged_model_params p WHERE p.model_id = l.model_id AND p.key = ";
            pair(sql, head, "p.value", clause)
        }
        Some("tags") => {
            let head = "SELECT 1 FROM logged_model_tags t WHERE t.model_id = l.model_id AND t.key = ";
            pair(sql, head, "t.value", clause)
        }
        None | Some("attributes") => {
            let column = attribute(&clause.key)
                .ok_or_else(|| Error::search(format!("Invalid attribute key '{}' specified.", clause.key)))?;
            by_attribute(sql, column, clause)
        }
        Some(other) => Err(Error::search(format!(
            "Invalid entity type: '{other}'. Expected one of ['attributes', 'metrics', 'params', 'tags']."
        ))),
    }
}

fn by_attribute(sql: &mut Sql, column: &'static str, clause: &Clause) -> Result<(), Error> {
    match column {
        "l.created_ms" | "l.updated_ms" => {
            term::allow(clause.op, term::NUMERIC)?;
            term::integer(sql, column, &clause.key, clause)
        }
        "l.experiment_id" => term::experiment_id(sql, column, clause),
        _ => {
            term::allow(clause.op, term::TEXT_OR_LIST)?;
            term::text(sql, column, clause.op, &clause.value)
        }
    }
}

fn pair(sql: &mut Sql, head: &'static str, value: &'static str, clause: &Clause) -> Result<(), Error> {
    term::allow(clause.op, term::TEXT_OR_LIST)?;
    sql.push("EXISTS (").push(head).bind(&clause.key).push(" AND ");
    // MLflow takes params.lr = 0.01 here, as the text '0.01'.
    let value_text = match (&clause.value, clause.op) {
        (Literal::Int(_) | Literal::Float(_), Op::Eq | Op::Ne) => Literal::Text(clause.value.to_string()),
        (other, _) => other.clone(),
    };
    term::text(sql, value, clause.op, &value_text)?;
    sql.push(")");
    Ok(())
}

fn on_datasets(sql: &mut Sql, datasets: &[DatasetFilter]) {
    let mut lead = " AND (";
    for dataset in datasets {
        sql.push(lead).push("(m.dataset_name = ").bind(&dataset.name);
        if let Some(digest) = &dataset.digest {
            sql.push(" AND m.dataset_digest = ").bind(digest);
        }
        sql.push(")");
        lead = " OR ";
    }
    if !datasets.is_empty() {
        sql.push(")");
    }
}

fn order(sql: &mut Sql, order_by: &[ModelOrder]) -> Result<(), Error> {
    sql.push(" ORDER BY ");
    let (mut by_time, mut by_id) = (false, false);
    for item in order_by {
        let direction = if item.ascending { " ASC, " } else { " DESC, " };
        let name = &item.field_name;
        if let Some(key) = name.strip_prefix("metrics.") {
            sql.push("CASE WHEN ");
            latest_metric(sql, key, item);
            sql.push(" IS NULL THEN 1 ELSE 0 END, ");
            latest_metric(sql, key, item);
            sql.push(direction);
        } else if name.contains('.') {
            let text = format!("Invalid order by field name: {name}. Only metrics are supported.");
            return Err(Error::search(text));
        } else {
            let column =
                attribute(name).ok_or_else(|| Error::search(format!("Invalid order by field name: {name}")))?;
            by_time |= column == "l.created_ms";
            by_id |= column == "l.model_id";
            sql.push("CASE WHEN ").push(column).push(" IS NULL THEN 1 ELSE 0 END, ").push(column).push(direction);
        }
    }
    if !by_time {
        sql.push("l.created_ms DESC, ");
    }
    sql.push(if by_id { "l.name" } else { "l.model_id" });
    Ok(())
}

/// The value that was measured last.
fn latest_metric(sql: &mut Sql, key: &str, item: &ModelOrder) {
    sql.push("(SELECT m.value FROM logged_model_metrics m WHERE m.model_id = l.model_id AND m.key = ").bind(key);
    if let Some(name) = &item.dataset_name {
        sql.push(" AND m.dataset_name = ").bind(name);
    }
    if let Some(digest) = &item.dataset_digest {
        sql.push(" AND m.dataset_digest = ").bind(digest);
    }
    sql.push(" ORDER BY m.timestamp_ms DESC, m.step DESC, m.run_id LIMIT 1)");
}
