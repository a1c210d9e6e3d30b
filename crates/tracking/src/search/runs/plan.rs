//! By which index a search goes. All ways give the same rows in the same order; they differ in how many runs they look at.
//!
//! 1. A test of a metric that few runs pass: those runs, then sorted.
//! 2. Ordered by a metric: along that metric's values, until the page is full. Runs where it is NaN or absent come behind all
//!    others, so when the page does not fill and they could belong to it, the third way is gone as well.
//! 3. Along the runs of the experiments, the newest first, or all of them sorted.
//!
//! The engines cannot choose so: neither knows beforehand how many runs pass `metrics.mae < 0.2`, but both count the first few
//! thousand of an index in a millisecond.

use db::{Row, Sql, Tx};
use kernel::filter::{Clause, Op};

use super::{Ask, Entity, Start, entity, points, statement};
use crate::Error;

/// Up to so many runs are sorted without further thought.
const FEW: i64 = 500;
/// More runs than this are not counted, and not sorted if there is another way.
const MANY: i64 = 10_000;
/// So many points of a metric are counted at most.
const COUNTED: i64 = 50_000;

/// The rows of a page, and one more if there are more.
pub(super) fn rows(tx: &mut Tx<'_>, ask: &Ask<'_>) -> Result<Vec<Row>, Error> {
    let general = statement(ask, Start::Runs)?;
    let [experiment] = ask.experiments.as_slice() else {
        return Ok(tx.query_built(&general)?);
    };
    if let Some(few) = few(tx, ask, *experiment)? {
        return Ok(tx.query_built(&statement(ask, few)?)?);
    }
    if let Some(first) = ask.orders.first().filter(|order| order.entity == Entity::Metric) {
        let tests = || tests(ask).filter(|clause| clause.key == first.key);
        let start = Start::Metric { experiment: *experiment, key: &first.key, test: tests().next() };
        let rows = tx.query_built(&statement(ask, start)?)?;
        if rows.len() as i64 >= ask.limit || tests().next().is_some() {
            return Ok(rows);
        }
    }
    Ok(tx.query_built(&general)?)
}

/// The tests that only a run with a number can pass.
fn tests<'a>(ask: &'a Ask<'_>) -> impl Iterator<Item = &'a Clause> {
    let ordered = |op| matches!(op, Op::Eq | Op::Gt | Op::Ge | Op::Lt | Op::Le);
    let of_metric = |clause: &Clause| matches!(entity(clause.entity.as_deref(), &clause.key), Ok(Entity::Metric));
    ask.clauses.iter().filter(move |clause| ordered(clause.op) && of_metric(clause))
}

/// The test that the fewest runs pass, if sorting those is less than going on until the page is full.
fn few<'a>(tx: &mut Tx<'_>, ask: &'a Ask<'_>, experiment: i64) -> Result<Option<Start<'a>>, Error> {
    let mut fewest: Option<(i64, &Clause)> = None;
    for clause in tests(ask) {
        let limit = fewest.map_or(MANY, |(passed, _)| passed);
        let passed = count(tx, experiment, clause, Some(clause), limit)?;
        if passed < limit {
            fewest = Some((passed, clause));
        }
    }
    let Some((passed, clause)) = fewest else { return Ok(None) };
    let start = Start::Metric { experiment, key: &clause.key, test: Some(clause) };
    if passed <= FEW {
        return Ok(Some(start));
    }
    // To fill a page one looks at page * all / passed runs on the way, at about the price of sorting one that passed.
    let page = ask.limit.saturating_add(ask.offset);
    let worth = passed.saturating_mul(passed) / page.max(1);
    let all = count(tx, experiment, clause, None, worth.min(COUNTED))?;
    Ok((all >= worth.min(COUNTED)).then_some(start))
}

/// How many latest points of the clause's metric pass the test, counted up to a limit.
fn count(tx: &mut Tx<'_>, experiment: i64, clause: &Clause, test: Option<&Clause>, limit: i64) -> Result<i64, Error> {
    let mut sql = Sql::new();
    sql.push("SELECT COUNT(*) AS passed FROM (SELECT 1 FROM metric_series d WHERE ");
    points(&mut sql, experiment, &clause.key, test)?;
    sql.push(" LIMIT ").bind(limit).push(") AS counted");
    let rows = tx.query_built(&sql)?;
    Ok(rows.first().map_or(Ok(0), |row| row.i64("passed"))?)
}
