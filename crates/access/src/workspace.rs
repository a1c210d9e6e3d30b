//! Workspaces: parts of a server whose things do not see each other. Names are as MLflow has them.

use db::{Row, Tx};
use kernel::ctx::{Ctx, DEFAULT_WORKSPACE};
use kernel::event::{NewEvent, kind};
use serde::Serialize;
use serde_json::json;

use crate::Error;

/// Names that would be taken for parts of addresses.
const RESERVED: [&str; 4] = ["workspaces", "api", "ajax-api", "static-files"];

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workspace {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Microseconds since the epoch; 0 for the default one.
    pub created_us: i64,
    /// Who made it.
    pub created_by: String,
}

/// Makes a workspace.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, description: Option<&str>) -> Result<Workspace, Error> {
    if name == DEFAULT_WORKSPACE {
        return Err(Error::Reserved { done: "created" });
    }
    check_name(name)?;
    let made = tx.execute(
        "INSERT INTO workspaces (name, description, created_us, created_by) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO NOTHING",
        &[name.into(), description.map(str::to_owned).into(), ctx.now_us.into(), ctx.principal.to_string().into()],
    )?;
    if made == 0 {
        return Err(match find(tx, name)? {
            Some(_) => Error::WorkspaceExists { name: name.to_owned() },
            None => Error::WorkspaceGone { name: name.to_owned() },
        });
    }
    emit(tx, ctx, kind::WORKSPACE_CREATED, name)?;
    get(tx, name)
}

/// Changes what a workspace is said to be for.
pub fn describe(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, description: Option<&str>) -> Result<Workspace, Error> {
    get(tx, name)?;
    tx.execute(
        "UPDATE workspaces SET description = $1 WHERE name = $2",
        &[description.map(str::to_owned).into(), name.into()],
    )?;
    emit(tx, ctx, kind::WORKSPACE_CHANGED, name)?;
    get(tx, name)
}

/// Deletes a workspace in which there is nothing any more; its tokens and memberships end. Whoever calls has looked for things of other
/// layers.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<(), Error> {
    if name == DEFAULT_WORKSPACE {
        return Err(Error::Reserved { done: "deleted" });
    }
    get(tx, name)?;
    let users = tx.query_opt("SELECT count(*) AS n FROM users WHERE workspace = $1", &[name.into()])?;
    let users = users.map(|row| row.i64("n")).transpose()?.unwrap_or(0);
    if users > 0 {
        return Err(Error::WorkspaceInUse { name: name.to_owned(), table: "users".to_owned(), rows: users });
    }
    tx.execute(
        "UPDATE tokens SET revoked_us = $1 WHERE workspace = $2 AND revoked_us IS NULL",
        &[ctx.now_us.into(), name.into()],
    )?;
    tx.execute("DELETE FROM members WHERE workspace = $1", &[name.into()])?;
    tx.execute("UPDATE workspaces SET deleted_us = $1 WHERE name = $2", &[ctx.now_us.into(), name.into()])?;
    emit(tx, ctx, kind::WORKSPACE_DELETED, name)
}

/// A workspace by name.
pub fn get(tx: &mut Tx<'_>, name: &str) -> Result<Workspace, Error> {
    if name != DEFAULT_WORKSPACE {
        check_name(name)?;
    }
    find(tx, name)?.ok_or_else(|| Error::NoWorkspace { name: name.to_owned() })
}

/// All of them by name.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Workspace>, Error> {
    let rows = tx.query(
        "SELECT name, description, created_us, created_by FROM workspaces WHERE deleted_us IS NULL ORDER BY name",
        &[],
    )?;
    Ok(rows.iter().map(read).collect::<Result<_, db::Error>>()?)
}

fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Workspace>, Error> {
    let row = tx.query_opt(
        "SELECT name, description, created_us, created_by FROM workspaces WHERE name = $1 AND deleted_us IS NULL",
        &[name.into()],
    )?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Two to 63 of lower-case letters, digits and inner hyphens.
pub fn check_name(name: &str) -> Result<(), Error> {
    let wrong = |why| Err(Error::WorkspaceName { name: name.chars().take(80).collect(), why });
    if !(2..=63).contains(&name.chars().count()) {
        return wrong("must be between 2 and 63 characters.");
    }
    let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !plain || name.starts_with('-') || name.ends_with('-') {
        return wrong(
            "must match the pattern ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ (lowercase alphanumeric with optional internal hyphens).",
        );
    }
    if RESERVED.contains(&name) {
        return wrong("is reserved and cannot be used.");
    }
    Ok(())
}

fn read(row: &Row) -> Result<Workspace, db::Error> {
    Ok(Workspace {
        name: row.text("name")?,
        description: row.opt_text("description")?,
        created_us: row.i64("created_us")?,
        created_by: row.text("created_by")?,
    })
}

/// The event is one of the workspace itself.
fn emit(tx: &mut Tx<'_>, ctx: &Ctx, kind: &'static str, name: &str) -> Result<(), Error> {
    let event = NewEvent { kind, subject: format!("workspace/{name}"), model: None, payload: json!({}) };
    db::events::emit(tx, &ctx.within(name), event)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_mlflow_takes() {
        let long = "a".repeat(63);
        for name in ["team-a", "ab", "0a", "a--b", &long] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let longer = "a".repeat(64);
        for name in ["", "a", "Team", "-ab", "ab-", "a_b", "a b", "a/b", "..", "api", "workspaces", &longer] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert_eq!(check_name("api").unwrap_err().to_string(), "Workspace name 'api' is reserved and cannot be used.");
    }
}
