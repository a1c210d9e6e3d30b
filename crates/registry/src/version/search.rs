//! Searching versions.

use db::{Sql, Tx};
use kernel::ctx::Ctx;
use kernel::filter::{self, Clause, Literal, Op};
use kernel::page::Page;

use super::{SELECT, Version, fetch};
use crate::model::Search;
use crate::model::search::{
    Entity, NAME, TAG_VALUE, TextColumn, asks_for_prompts, entity, is_prompt_clause, order, text, unknown_attribute,
};
use crate::tag::IS_PROMPT;
use crate::{Error, Result};

/// Most versions on a page.
const MAX_VERSIONS: i64 = 200_000;

const RUN_ID: TextColumn = TextColumn { plain: " AND v.run_id", folded: " AND lower(v.run_id) LIKE lower(" };
const SOURCE: TextColumn = TextColumn { plain: " AND v.source", folded: " AND lower(v.source) LIKE lower(" };

/// Versions that match, the last changed first. Versions of prompts are shown only to a search that asks for them.
pub fn search(tx: &mut Tx<'_>, ctx: &Ctx, search: &Search) -> Result<Page<Version>> {
    let offset = search.offset(MAX_VERSIONS)?;
    let clauses = filter::parse(&search.filter)?;
    let mut sql = Sql::new();
    sql.push(SELECT).push(" WHERE v.workspace = ").bind(ctx.workspace.as_str()).push(" AND NOT v.deleted");
    let prompts = asks_for_prompts(&clauses);
    if !prompts {
        sql.push(
            " AND NOT EXISTS (SELECT 1 FROM model_version_tags p
             WHERE p.model_uid = v.model_uid AND p.version = v.version AND p.key = ",
        );
        sql.bind(IS_PROMPT).push(" AND p.value = 'true')");
    }
    for clause in clauses.iter().filter(|clause| prompts || !is_prompt_clause(clause)) {
        match entity(clause)? {
            Entity::Attribute => attribute(&mut sql, clause)?,
            Entity::Tag => {
                sql.push(
                    " AND EXISTS (SELECT 1 FROM model_version_tags t
                     WHERE t.model_uid = v.model_uid AND t.version = v.version AND t.key = ",
                );
                sql.bind(clause.key.as_str());
                text(&mut sql, &TAG_VALUE, clause, false)?;
                sql.push(")");
            }
        }
    }
    let keys = [
        ("name", "m.name"),
        ("version_number", "v.version"),
        ("creation_timestamp", "v.created_ms"),
        ("last_updated_timestamp", "v.updated_ms"),
    ];
    let by_name = [("m.name", "m.name ASC"), ("v.version", "v.version DESC")];
    let newest = [("v.updated_ms", "v.updated_ms DESC"), by_name[0], by_name[1]];
    let then = if search.order_by.is_empty() { newest.as_slice() } else { by_name.as_slice() };
    order(&mut sql, &search.order_by, &keys, then)?;
    sql.push(" LIMIT ").bind(search.max_results + 1).push(" OFFSET ").bind(offset);
    let found = fetch(tx, &sql)?.into_iter().map(|(_, version)| version).collect();
    Ok(search.page(found, offset))
}

/// The versions of a model, the newest first, those of a prompt too.
pub fn of_model(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, limit: i64) -> Result<Vec<Version>> {
    let mut sql = Sql::new();
    sql.push(SELECT).push(" WHERE v.workspace = ").bind(ctx.workspace.as_str()).push(" AND NOT v.deleted");
    sql.push(" AND m.name = ").bind(name).push(" ORDER BY v.version DESC LIMIT ").bind(limit);
    Ok(fetch(tx, &sql)?.into_iter().map(|(_, version)| version).collect())
}

fn attribute(sql: &mut Sql, clause: &Clause) -> Result<()> {
    match clause.key.as_str() {
        "name" => text(sql, &NAME, clause, true),
        "run_id" => text(sql, &RUN_ID, clause, true),
        "source_path" => text(sql, &SOURCE, clause, false),
        "version_number" => number(sql, clause),
        other => Err(unknown_attribute(other, "name, version_number, run_id, source_path")),
    }
}

fn number(sql: &mut Sql, clause: &Clause) -> Result<()> {
    let fragment = match clause.op {
        Op::Eq => " AND v.version = ",
        Op::Ne => " AND v.version <> ",
        Op::Lt => " AND v.version < ",
        Op::Le => " AND v.version <= ",
        Op::Gt => " AND v.version > ",
        Op::Ge => " AND v.version >= ",
        op => {
            let message = format!("Invalid comparator for attribute {}: {op}", clause.key);
            return Err(Error::invalid("filter", message));
        }
    };
    let value = match &clause.value {
        Literal::Int(value) => Some(*value),
        Literal::Text(text) => text.parse().ok(),
        _ => None,
    };
    let Some(value) = value else {
        let message = format!("Invalid value for numeric attribute '{}': {}", clause.key, clause.value);
        return Err(Error::invalid("filter", message));
    };
    sql.push(fragment).bind(value);
    Ok(())
}
