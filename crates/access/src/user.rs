//! Users: people with a name, a role and a password.

use db::{Row, Tx};
use kernel::ctx::{Ctx, DEFAULT_WORKSPACE};
use kernel::event::{NewEvent, kind};
use serde::Serialize;
use serde_json::json;

use crate::permission::Role;
use crate::{Error, member, secret};

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The name, which the audit trail shows.
    pub name: String,
    /// What the person is to the workspace.
    pub role: Role,
    /// Whether there is a password; without one only tokens open.
    pub has_password: bool,
    /// Microseconds since the epoch.
    pub created_us: i64,
    /// Who made it.
    pub created_by: String,
}

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password of at least 12 characters. Takes tens of milliseconds: not for an asynchronous thread, and not inside of a
    /// transaction.
    pub fn of(password: &str) -> Result<Self, Error> {
        secret::hash_password(password).map(Self)
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Makes a user.
pub fn create(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    name: &str,
    role: Role,
    password: Option<PasswordHash>,
) -> Result<User, Error> {
    check_name(name)?;
    let made = tx.execute(
        "INSERT INTO users (workspace, name, role, password_hash, created_us, created_by)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING",
        &[
            ctx.workspace.as_str().into(),
            name.into(),
            role.as_str().into(),
            password.map(|hash| hash.0).into(),
            ctx.now_us.into(),
            ctx.principal.to_string().into(),
        ],
    )?;
    if made == 0 {
        return Err(Error::Exists { what: "user", name: name.to_owned() });
    }
    emit(tx, ctx, kind::USER_CREATED, name, json!({ "role": role }))?;
    get(tx, ctx, name)
}

/// Changes the role, the password, or both.
pub fn change(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    name: &str,
    role: Option<Role>,
    password: Option<PasswordHash>,
) -> Result<User, Error> {
    let before = get(tx, ctx, name)?;
    let role = role.unwrap_or(before.role);
    let new_password = password.is_some();
    tx.execute(
        "UPDATE users SET role = $1, password_hash = coalesce($2, password_hash) WHERE workspace = $3 AND name = $4",
        &[role.as_str().into(), password.map(|hash| hash.0).into(), ctx.workspace.as_str().into(), name.into()],
    )?;
    let payload = json!({ "from": before.role, "role": role, "password": new_password });
    emit(tx, ctx, kind::USER_CHANGED, name, payload)?;
    get(tx, ctx, name)
}

/// Moves a user to a workspace, as this role.
pub(crate) fn place(tx: &mut Tx<'_>, ctx: &Ctx, name: &str, workspace: &str, role: Role) -> Result<(), Error> {
    tx.execute(
        "UPDATE users SET workspace = $1, role = $2 WHERE name = $3",
        &[workspace.into(), role.as_str().into(), name.into()],
    )?;
    emit(tx, &ctx.within(workspace), kind::USER_CHANGED, name, json!({ "role": role, "password": false }))
}

/// Removes a user; what acts in its name ends with it.
pub fn delete(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<(), Error> {
    get(tx, ctx, name)?;
    let workspace = || ctx.workspace.as_str().into();
    tx.execute(
        "UPDATE tokens SET revoked_us = $1 WHERE user_name = $2 AND revoked_us IS NULL",
        &[ctx.now_us.into(), name.into()],
    )?;
    tx.execute("DELETE FROM users WHERE workspace = $1 AND name = $2", &[workspace(), name.into()])?;
    for of_user in [
        "DELETE FROM members WHERE user_name = $1",
        "DELETE FROM sessions WHERE user_name = $1",
        "DELETE FROM oidc_users WHERE user_name = $1",
    ] {
        tx.execute(of_user, &[name.into()])?;
    }
    emit(tx, ctx, kind::USER_DELETED, name, json!({}))
}

/// A user by name.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<User, Error> {
    let row = tx.query_opt(
        "SELECT name, role, password_hash, created_us, created_by FROM users WHERE workspace = $1 AND name = $2",
        &[ctx.workspace.as_str().into(), name.into()],
    )?;
    let missing = || Error::Missing { what: "user", name: name.to_owned() };
    Ok(read(&row.ok_or_else(missing)?)?)
}

/// All users by name.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<User>, Error> {
    let rows = tx.query(
        "SELECT name, role, password_hash, created_us, created_by FROM users WHERE workspace = $1 ORDER BY name",
        &[ctx.workspace.as_str().into()],
    )?;
    Ok(rows.iter().map(read).collect::<Result<_, db::Error>>()?)
}

/// What a login is checked against: workspace, role and the hash of the password.
pub(crate) struct Login {
    pub(crate) workspace: String,
    pub(crate) role: Role,
    pub(crate) hash: Option<String>,
}

/// Whether somebody is a user or a member of a workspace.
pub(crate) fn is_of(tx: &mut Tx<'_>, name: &str, workspace: &str) -> Result<bool, db::Error> {
    let Some(login) = login(tx, name)? else { return Ok(false) };
    Ok(login.workspace == workspace || member::of_user(tx, name)?.iter().any(|(one, _)| one == workspace))
}

/// The role of a user in a workspace, which may be another than its own.
pub(crate) fn role_in(tx: &mut Tx<'_>, name: &str, workspace: &str) -> Result<Option<Role>, db::Error> {
    let Some(login) = login(tx, name)? else { return Ok(None) };
    let rules = login.role == Role::Admin && login.workspace == DEFAULT_WORKSPACE;
    if login.workspace == workspace || rules {
        return Ok(Some(login.role));
    }
    let elsewhere = member::of_user(tx, name)?.into_iter().find(|(name, _)| name == workspace);
    Ok(elsewhere.map(|(_, role)| role))
}

/// A login by name, in whatever workspace.
pub(crate) fn login(tx: &mut Tx<'_>, name: &str) -> Result<Option<Login>, db::Error> {
    let row = tx.query_opt("SELECT workspace, role, password_hash FROM users WHERE name = $1", &[name.into()])?;
    row.map(|row| {
        Ok(Login {
            workspace: row.text("workspace")?,
            role: read_role(&row, "role")?,
            hash: row.opt_text("password_hash")?,
        })
    })
    .transpose()
}

/// A name of a user or a token.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(Error::Name { name: name.to_owned() })
}

pub(crate) fn read_role(row: &Row, column: &str) -> Result<Role, db::Error> {
    let text = row.text(column)?;
    text.parse().map_err(|error| db::Error::corrupt("role", error))
}

fn read(row: &Row) -> Result<User, db::Error> {
    Ok(User {
        name: row.text("name")?,
        role: read_role(row, "role")?,
        has_password: row.opt_text("password_hash")?.is_some(),
        created_us: row.i64("created_us")?,
        created_by: row.text("created_by")?,
    })
}

fn emit(tx: &mut Tx<'_>, ctx: &Ctx, kind: &'static str, name: &str, payload: serde_json::Value) -> Result<(), Error> {
    db::events::emit(tx, ctx, NewEvent { kind, subject: format!("user/{name}"), model: None, payload })?;
    Ok(())
}
