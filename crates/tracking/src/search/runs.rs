//! Searching runs. `plan.rs` decides by which index a search goes.

mod plan;

use std::collections::HashSet;

use db::{Sql, Tx};
use kernel::ctx::Ctx;
use kernel::filter::{Clause, Op};
use kernel::page::Page;

use crate::dataset::CONTEXT_TAG;
use crate::run::{self, Run};
use crate::search::{term, token};
use crate::{Error, View, check, metric};

/// What to look for.
#[derive(Clone, Debug)]
pub struct RunSearch {
    /// In these experiments; unknown ones have no runs.
    pub experiment_ids: Vec<String>,
    /// `metrics.mae < 0.2 AND params.depth = '4'`, or empty.
    pub filter: String,
    /// Deleted ones too?
    pub view: View,
    /// 1 to 50,000.
    pub max_results: i64,
    /// `metrics.mae DESC` ...; then the newest first.
    pub order_by: Vec<String>,
    /// From the page before.
    pub page_token: Option<String>,
}

/// What a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Entity {
    Metric,
    Param,
    Tag,
    Attribute(&'static str),
    Dataset,
}

/// The runs that match, each with everything it logged. A search that asks for metrics of which some wait is
/// [`Error::Unsettled`]: then it takes [`settled_runs`].
pub fn runs(tx: &mut Tx<'_>, ctx: &Ctx, search: &RunSearch) -> Result<Page<Run>, Error> {
    let max_results = check::max_results(search.max_results)?;
    let offset = token::offset(search.page_token.as_deref())?;
    let ids = check::experiment_ids(&search.experiment_ids)?;
    let mut experiments = ids;
    experiments.sort_unstable();
    experiments.dedup();
    let ask = Ask {
        workspace: &ctx.workspace,
        experiments,
        view: search.view,
        clauses: term::parse(&search.filter)?,
        orders: orders(&search.order_by)?,
        limit: max_results + 1,
        offset,
    };
    if ask.is_about_metrics() && !metric::waiting_of_experiments(tx, &ask.experiments)?.is_empty() {
        return Err(Error::Unsettled);
    }
    let rows = plan::rows(tx, &ask)?;
    let infos = rows.iter().map(run::read_info).collect::<Result<Vec<_>, Error>>()?;
    let page = token::page(infos, max_results, offset);
    Ok(Page { items: run::fill(tx, page.items)?, next_token: page.next_token })
}

/// The same in a unit of work that writes: it first settles what waits in these experiments.
pub fn settled_runs(tx: &mut Tx<'_>, ctx: &Ctx, search: &RunSearch) -> Result<Page<Run>, Error> {
    let experiments = check::experiment_ids(&search.experiment_ids)?;
    let waiting = metric::waiting_of_experiments(tx, &experiments)?;
    metric::settle_each(tx, &waiting)?;
    runs(tx, ctx, search)
}

/// A search that was read.
struct Ask<'a> {
    workspace: &'a str,
    /// Each once.
    experiments: Vec<i64>,
    view: View,
    clauses: Vec<Clause>,
    orders: Vec<Order>,
    limit: i64,
    offset: i64,
}

impl Ask<'_> {
    fn is_about_metrics(&self) -> bool {
        let filtered = |clause: &Clause| matches!(entity(clause.entity.as_deref(), &clause.key), Ok(Entity::Metric));
        self.clauses.iter().any(filtered) || self.orders.iter().any(|order| order.entity == Entity::Metric)
    }
}

/// One item of an ordering, its entity known.
struct Order {
    entity: Entity,
    key: String,
    ascending: bool,
}

/// Where a statement begins: at the runs, or at the latest points of one metric in one experiment, that are no NaN and pass `test`.
#[derive(Clone, Copy)]
enum Start<'a> {
    Runs,
    Metric { experiment: i64, key: &'a str, test: Option<&'a Clause> },
}

impl Start<'_> {
    fn is_at(&self, wanted: &str) -> bool {
        matches!(self, Self::Metric { key, .. } if *key == wanted)
    }

    fn tests(&self, clause: &Clause) -> bool {
        matches!(self, Self::Metric { test: Some(test), .. } if std::ptr::eq(*test, clause))
    }
}

fn statement(ask: &Ask<'_>, start: Start<'_>) -> Result<Sql, Error> {
    let mut sql = Sql::new();
    sql.push(
        "SELECT r.run_id, r.experiment_id, r.name, r.user_id, r.status, r.start_ms, r.end_ms, r.artifact_uri,
            r.lifecycle_stage FROM ",
    );
    match start {
        Start::Runs => _ = sql.push("runs r WHERE "),
        Start::Metric { experiment, key, test } => {
            // For SQLite a cross join says which table comes first.
            sql.push("metric_series d CROSS JOIN runs r WHERE r.run_id = d.run_id AND ");
            points(&mut sql, experiment, key, test)?;
            sql.push(" AND ");
        }
    }
    sql.push("r.workspace = ").bind(ask.workspace);
    sql.push(" AND r.experiment_id IN ").bind_list(ask.experiments.iter().copied());
    sql.push(" AND r.lifecycle_stage IN ").bind_list(term::texts(ask.view.stages()));
    for clause in ask.clauses.iter().filter(|clause| !start.tests(clause)) {
        sql.push(" AND ");
        condition(&mut sql, clause)?;
    }
    order(&mut sql, &ask.orders, start)?;
    sql.push(" LIMIT ").bind(ask.limit).push(" OFFSET ").bind(ask.offset);
    Ok(sql)
}

/// The latest points of one metric in one experiment, that are no NaN and pass a test.
fn points(sql: &mut Sql, experiment: i64, key: &str, test: Option<&Clause>) -> Result<(), Error> {
    sql.push("d.experiment_id = ").bind(experiment).push(" AND d.key = ").bind(key);
    sql.push(" AND d.is_nan = ").bind(false);
    if let Some((clause, value)) = test.and_then(|clause| Some((clause, clause.value.as_f64()?))) {
        sql.push(" AND ");
        term::compare(sql, "d.value", clause.op, value)?;
    }
    Ok(())
}

const ATTRIBUTES: &[(&str, &str)] = &[
    ("run_id", "r.run_id"),
    ("run_name", "r.name"),
    ("run name", "r.name"),
    ("Run name", "r.name"),
    ("Run Name", "r.name"),
    ("status", "r.status"),
    ("user_id", "r.user_id"),
    ("artifact_uri", "r.artifact_uri"),
    ("start_time", "r.start_ms"),
    ("created", "r.start_ms"),
    ("Created", "r.start_ms"),
    ("end_time", "r.end_ms"),
];

fn entity(entity: Option<&str>, key: &str) -> Result<Entity, Error> {
    match entity.unwrap_or("attribute") {
        "metric" | "metrics" => Ok(Entity::Metric),
        "parameter" | "parameters" | "param" | "params" => Ok(Entity::Param),
        "tag" | "tags" => Ok(Entity::Tag),
        "dataset" | "datasets" => Ok(Entity::Dataset),
        "attribute" | "attributes" | "attr" | "run" => {
            let column = ATTRIBUTES.iter().find(|(name, _)| *name == key).map(|(_, column)| Entity::Attribute(column));
            column.ok_or_else(|| {
                let known: Vec<String> = ATTRIBUTES.iter().map(|(name, _)| format!("'{name}'")).collect();
                let known = known.join(", ");
                Error::search(format!("Invalid attribute key '{key}' specified. Valid keys are '{{{known}}}'"))
            })
        }
        other => Err(Error::search(format!(
            "Invalid entity type '{other}'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"
        ))),
    }
}

fn condition(sql: &mut Sql, clause: &Clause) -> Result<(), Error> {
    match entity(clause.entity.as_deref(), &clause.key)? {
        Entity::Metric => {
            sql.push("EXISTS (SELECT 1 FROM metric_series m WHERE m.run_id = r.run_id AND m.key = ");
            sql.bind(&clause.key).push(" AND ");
            term::metric(sql, ("m.value", "m.is_nan"), clause)?;
            sql.push(")");
            Ok(())
        }
        Entity::Param => {
            let head = "SELECT 1 FROM run_params p WHERE p.run_id = r.run_id AND p.key = ";
            term::keyed(sql, head, "p.value", clause)
        }
        Entity::Tag => {
            let head = "SELECT 1 FROM run_tags t WHERE t.run_id = r.run_id AND t.key = ";
            term::keyed(sql, head, "t.value", clause)
        }
        Entity::Dataset => dataset(sql, clause),
        Entity::Attribute(column @ ("r.start_ms" | "r.end_ms")) => {
            term::allow(clause.op, term::NUMERIC)?;
            term::integer(sql, column, &clause.key, clause)
        }
        Entity::Attribute(column) => {
            term::allow(clause.op, term::TEXT_OR_LIST)?;
            if matches!(clause.op, Op::In | Op::NotIn) && column != "r.run_id" {
                let text = "Only ['run_id'] attributes support comparison with a list of quoted string values.";
                return Err(Error::search(text));
            }
            term::text(sql, column, clause.op, &clause.value)
        }
    }
}

fn dataset(sql: &mut Sql, clause: &Clause) -> Result<(), Error> {
    term::allow(clause.op, term::TEXT_OR_LIST)?;
    let column = match clause.key.as_str() {
        "name" => "d.name",
        "digest" => "d.digest",
        "context" => {
            sql.push("EXISTS (SELECT 1 FROM run_dataset_tags c WHERE c.run_id = r.run_id AND c.key = ");
            sql.bind(CONTEXT_TAG).push(" AND ");
            term::text(sql, "c.value", clause.op, &clause.value)?;
            sql.push(")");
            return Ok(());
        }
        other => {
            return Err(Error::search(format!(
                "Invalid dataset key '{other}' specified. Valid keys are '{{'name', 'digest', 'context'}}'"
            )));
        }
    };
    sql.push(
        "EXISTS (SELECT 1 FROM run_datasets e JOIN datasets d ON d.dataset_id = e.dataset_id
         WHERE e.run_id = r.run_id AND ",
    );
    term::text(sql, column, clause.op, &clause.value)?;
    sql.push(")");
    Ok(())
}

fn orders(order_by: &[String]) -> Result<Vec<Order>, Error> {
    let mut seen = HashSet::new();
    let mut orders = Vec::with_capacity(order_by.len());
    for item in order_by {
        let order = term::parse_order(item)?;
        let entity = entity(order.entity.as_deref(), &order.key)?;
        let attribute = matches!(entity, Entity::Attribute(_));
        if !seen.insert((entity, if attribute { String::new() } else { order.key.clone() })) {
            return Err(Error::search(format!("`order_by` contains duplicate fields: {order_by:?}")));
        }
        orders.push(Order { entity, key: order.key, ascending: order.ascending });
    }
    Ok(orders)
}

/// Absent values come last in both directions, and NaN just before them.
fn order(sql: &mut Sql, orders: &[Order], start: Start<'_>) -> Result<(), Error> {
    sql.push(" ORDER BY ");
    for order in orders {
        if order.entity == Entity::Metric && start.is_at(&order.key) {
            sql.push("d.value");
        } else {
            order_value(sql, order.entity, &order.key)?;
        }
        sql.push(if order.ascending { " ASC, " } else { " DESC, " });
    }
    if !orders.iter().any(|order| order.entity == Entity::Attribute("r.start_ms")) {
        sql.push("r.start_ms DESC, ");
    }
    sql.push("r.run_id");
    Ok(())
}

/// The rank of presence, then the value.
fn order_value(sql: &mut Sql, entity: Entity, key: &str) -> Result<(), Error> {
    let value = match entity {
        // The only one that may be absent; a rank before the others would keep them from their index.
        Entity::Attribute(column) if column != "r.end_ms" => {
            sql.push(column);
            return Ok(());
        }
        Entity::Attribute(column) => {
            sql.push("CASE WHEN ").push(column).push(" IS NULL THEN 1 ELSE 0 END, ").push(column);
            return Ok(());
        }
        Entity::Metric => {
            sql.push("COALESCE((SELECT CASE WHEN o.is_nan THEN 1 ELSE 0 END FROM metric_series o");
            sql.push(" WHERE o.run_id = r.run_id AND o.key = ").bind(key).push("), 2), ");
            "(SELECT o.value FROM metric_series o WHERE o.run_id = r.run_id AND o.key = "
        }
        Entity::Param => {
            sql.push("CASE WHEN EXISTS (SELECT 1 FROM run_params o WHERE o.run_id = r.run_id AND o.key = ");
            sql.bind(key).push(") THEN 0 ELSE 1 END, ");
            "(SELECT o.value FROM run_params o WHERE o.run_id = r.run_id AND o.key = "
        }
        Entity::Tag => {
            sql.push("CASE WHEN EXISTS (SELECT 1 FROM run_tags o WHERE o.run_id = r.run_id AND o.key = ");
            sql.bind(key).push(") THEN 0 ELSE 1 END, ");
            "(SELECT o.value FROM run_tags o WHERE o.run_id = r.run_id AND o.key = "
        }
        Entity::Dataset => return Err(Error::search("Invalid identifier type 'dataset'")),
    };
    sql.push(value).bind(key).push(")");
    Ok(())
}
