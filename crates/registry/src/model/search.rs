//! Searching models, and what the search of versions shares with it: paging, comparisons, the hiding of prompts.

use db::{Sql, Tx};
use kernel::ctx::Ctx;
use kernel::filter::{self, Clause, Literal, Op};
use kernel::page::{self, Page};
use serde::{Deserialize, Serialize};

use super::{Model, SELECT, fetch};
use crate::tag::IS_PROMPT;
use crate::{Error, Result};

/// Most models on a page.
const MAX_MODELS: i64 = 1_000;

/// What is searched for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// In the language of [`kernel::filter`]; empty for everything.
    pub filter: String,
    /// Keys with `ASC` or `DESC`.
    pub order_by: Vec<String>,
    /// Length of a page.
    pub max_results: i64,
    /// The token of the page before.
    pub page_token: Option<String>,
}

/// Models that match. Prompts are shown only to a search that asks for them.
pub fn search(tx: &mut Tx<'_>, ctx: &Ctx, search: &Search) -> Result<Page<Model>> {
    let offset = search.offset(MAX_MODELS)?;
    let clauses = filter::parse(&search.filter)?;
    let mut sql = Sql::new();
    sql.push(SELECT).push(" WHERE m.workspace = ").bind(ctx.workspace.as_str());
    let prompts = asks_for_prompts(&clauses);
    if !prompts {
        sql.push(" AND NOT EXISTS (SELECT 1 FROM registered_model_tags p WHERE p.model_uid = m.uid AND p.key = ");
        sql.bind(IS_PROMPT).push(" AND p.value = 'true')");
    }
    for clause in clauses.iter().filter(|clause| prompts || !is_prompt_clause(clause)) {
        match entity(clause)? {
            Entity::Attribute if clause.key == "name" => text(&mut sql, &NAME, clause, true)?,
            Entity::Attribute => return Err(unknown_attribute(&clause.key, "name")),
            Entity::Tag => {
                sql.push(" AND EXISTS (SELECT 1 FROM registered_model_tags t WHERE t.model_uid = m.uid AND t.key = ");
                sql.bind(clause.key.as_str());
                text(&mut sql, &TAG_VALUE, clause, false)?;
                sql.push(")");
            }
        }
    }
    let keys = [
        ("name", "m.name"),
        ("timestamp", "m.updated_ms"),
        ("last_updated_timestamp", "m.updated_ms"),
        ("creation_timestamp", "m.created_ms"),
    ];
    order(&mut sql, &search.order_by, &keys, &[("m.name", "m.name ASC")])?;
    sql.push(" LIMIT ").bind(search.max_results + 1).push(" OFFSET ").bind(offset);
    Ok(search.page(fetch(tx, &sql)?, offset))
}

#[derive(Serialize, Deserialize)]
struct Position {
    offset: i64,
}

impl Search {
    /// Where the page begins; an error if the page is too long or the token not ours.
    pub(crate) fn offset(&self, most: i64) -> Result<i64> {
        if self.max_results < 1 {
            let message = format!(
                "Invalid value {} for parameter 'max_results' supplied. It must be a positive integer",
                self.max_results
            );
            return Err(Error::invalid("max_results", message));
        }
        if self.max_results > most {
            let message = format!(
                "Invalid value for request parameter max_results. It must be at most {most}, but got value {}",
                self.max_results
            );
            return Err(Error::invalid("max_results", message));
        }
        match self.page_token.as_deref().filter(|token| !token.is_empty()) {
            None => Ok(0),
            Some(token) => page::decode::<Position>(token)
                .map(|position| position.offset)
                .filter(|offset| *offset >= 0)
                .ok_or_else(|| Error::invalid("page_token", "Invalid page token, could not base64-decode")),
        }
    }

    /// A page from what was fetched with one item to spare.
    pub(crate) fn page<T>(&self, mut items: Vec<T>, offset: i64) -> Page<T> {
        let length = usize::try_from(self.max_results).unwrap_or(usize::MAX);
        let more = items.len() > length;
        items.truncate(length);
        let next_token = more.then(|| page::encode(&Position { offset: offset + self.max_results }));
        Page { items, next_token }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entity {
    Attribute,
    Tag,
}

pub(crate) fn entity(clause: &Clause) -> Result<Entity> {
    match clause.entity.as_deref() {
        None | Some("attribute") => Ok(Entity::Attribute),
        Some("tag" | "tags") => Ok(Entity::Tag),
        Some(other) => {
            let message = format!("Invalid entity type '{other}'. Valid entity types are 'attribute' and 'tag'");
            Err(Error::invalid("filter", message))
        }
    }
}

pub(crate) fn unknown_attribute(key: &str, known: &str) -> Error {
    Error::invalid("filter", format!("Invalid attribute name: {key}. Valid ones are {known}"))
}

pub(crate) fn is_prompt_clause(clause: &Clause) -> bool {
    clause.key == IS_PROMPT && matches!(entity(clause), Ok(Entity::Tag))
}

/// As MLflow has it: only `= 'true'` and `!= 'false'` on the tag ask for prompts. Any other clause on it means models.
pub(crate) fn asks_for_prompts(clauses: &[Clause]) -> bool {
    let about = clauses.iter().find(|clause| is_prompt_clause(clause));
    about.is_some_and(|clause| match (clause.op, &clause.value) {
        (Op::Eq, Literal::Text(value)) => value.eq_ignore_ascii_case("true"),
        (Op::Ne, Literal::Text(value)) => value.eq_ignore_ascii_case("false"),
        _ => false,
    })
}

/// The fragments of a comparison of one text column.
pub(crate) struct TextColumn {
    pub(crate) plain: &'static str,
    pub(crate) folded: &'static str,
}

pub(crate) const NAME: TextColumn = TextColumn { plain: " AND m.name", folded: " AND lower(m.name) LIKE lower(" };
pub(crate) const TAG_VALUE: TextColumn =
    TextColumn { plain: " AND t.value", folded: " AND lower(t.value) LIKE lower(" };

/// `AND column op value` for a text column.
pub(crate) fn text(sql: &mut Sql, column: &TextColumn, clause: &Clause, lists: bool) -> Result<()> {
    match (clause.op, &clause.value) {
        (Op::Eq, Literal::Text(value)) => sql.push(column.plain).push(" = ").bind(value),
        (Op::Ne, Literal::Text(value)) => sql.push(column.plain).push(" <> ").bind(value),
        (Op::Like, Literal::Text(value)) => sql.push(column.plain).push(" LIKE ").bind(value),
        (Op::ILike, Literal::Text(value)) => sql.push(column.folded).bind(value).push(")"),
        (Op::In, Literal::List(values)) if lists => sql.push(column.plain).push(" IN ").bind_list(values),
        (Op::NotIn, Literal::List(values)) if lists => sql.push(column.plain).push(" NOT IN ").bind_list(values),
        (Op::Eq | Op::Ne | Op::Like | Op::ILike, other) => {
            let message = format!("'{}' is a text: expected a value in quotes, got {other}", clause.key);
            return Err(Error::invalid("filter", message));
        }
        (op, _) => {
            let message = format!("Invalid comparator for '{}': {op}", clause.key);
            return Err(Error::invalid("filter", message));
        }
    };
    Ok(())
}

/// `ORDER BY` from what was asked for, then from the tie-breakers on columns not named yet.
pub(crate) fn order(
    sql: &mut Sql,
    asked: &[String],
    keys: &[(&'static str, &'static str)],
    then: &[(&'static str, &'static str)],
) -> Result<()> {
    let mut used: Vec<&'static str> = Vec::new();
    for item in asked {
        let order = filter::parse_order(item)?;
        let known = order.entity.as_deref().is_none_or(|entity| entity == "attribute");
        let column = keys.iter().find(|(key, _)| known && *key == order.key).map(|(_, column)| *column);
        let Some(column) = column else {
            let valid = keys.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ");
            let message = format!("Invalid order by key '{}' specified. Valid keys are {valid}", order.key);
            return Err(Error::invalid("order_by", message));
        };
        if used.contains(&column) {
            return Err(Error::invalid("order_by", format!("`order_by` contains duplicate fields: {asked:?}")));
        }
        sql.push(if used.is_empty() { " ORDER BY " } else { ", " }).push(column);
        sql.push(if order.ascending { " ASC" } else { " DESC" });
        used.push(column);
    }
    for (column, clause) in then {
        if !used.contains(column) {
            sql.push(if used.is_empty() { " ORDER BY " } else { ", " }).push(clause);
            used.push(column);
        }
    }
    Ok(())
}
