//! Members: users who are something to another workspace than their own.

use std::collections::BTreeMap;

use db::{Row, Tx};
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde::Serialize;
use serde_json::json;

use crate::permission::Role;
use crate::user::read_role;
use crate::{Error, user, workspace};

/// What a user is to this workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The user.
    pub user: String,
    /// Its role here.
    pub role: Role,
    /// Microseconds since the epoch.
    pub created_us: i64,
    /// Who made it one.
    pub created_by: String,
}

/// Makes a user of whatever workspace a member of this one, or changes the role.
pub fn put(tx: &mut Tx<'_>, ctx: &Ctx, user_name: &str, role: Role) -> Result<Member, Error> {
    workspace::get(tx, &ctx.workspace)?;
    let missing = || Error::Missing { what: "user", name: user_name.to_owned() };
    let login = user::login(tx, user_name)?.ok_or_else(missing)?;
    if login.workspace == ctx.workspace {
        return Err(Error::Own { name: user_name.to_owned() });
    }
    let before = role_of(tx, ctx, user_name)?;
    if before != Some(role) {
        tx.execute(
            "INSERT INTO members (workspace, user_name, role, created_us, created_by) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (workspace, user_name) DO UPDATE SET role = excluded.role",
            &[
                ctx.workspace.as_str().into(),
                user_name.into(),
                role.as_str().into(),
                ctx.now_us.into(),
                ctx.principal.to_string().into(),
            ],
        )?;
        emit(tx, ctx, user_name, before, Some(role))?;
    }
    let members = list(tx, ctx)?.into_iter();
    members.into_iter().find(|member| member.user == user_name).ok_or_else(missing)
}

/// Makes a user a member of these workspaces, as these roles, and of no others.
pub(crate) fn settle(tx: &mut Tx<'_>, ctx: &Ctx, user_name: &str, roles: &BTreeMap<String, Role>) -> Result<(), Error> {
    for (workspace, _) in of_user(tx, user_name)? {
        if !roles.contains_key(&workspace) {
            remove(tx, &ctx.within(&workspace), user_name)?;
        }
    }
    for (workspace, role) in roles {
        put(tx, &ctx.within(workspace), user_name, *role)?;
    }
    Ok(())
}

/// Ends a membership.
pub fn remove(tx: &mut Tx<'_>, ctx: &Ctx, user_name: &str) -> Result<(), Error> {
    let before = role_of(tx, ctx, user_name)?;
    if before.is_none() {
        return Err(Error::Missing { what: "member", name: user_name.to_owned() });
    }
    tx.execute(
        "DELETE FROM members WHERE workspace = $1 AND user_name = $2",
        &[ctx.workspace.as_str().into(), user_name.into()],
    )?;
    emit(tx, ctx, user_name, before, None)
}

/// The members of this workspace by name.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Member>, Error> {
    let rows = tx.query(
        "SELECT user_name, role, created_us, created_by FROM members WHERE workspace = $1 ORDER BY user_name",
        &[ctx.workspace.as_str().into()],
    )?;
    let read = |row: &Row| {
        Ok(Member {
            user: row.text("user_name")?,
            role: read_role(row, "role")?,
            created_us: row.i64("created_us")?,
            created_by: row.text("created_by")?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, db::Error>>()?)
}

/// What a user is to other workspaces than its own, by their names.
pub(crate) fn of_user(tx: &mut Tx<'_>, user_name: &str) -> Result<Vec<(String, Role)>, db::Error> {
    let rows =
        tx.query("SELECT workspace, role FROM members WHERE user_name = $1 ORDER BY workspace", &[user_name.into()])?;
    rows.iter().map(|row| Ok((row.text("workspace")?, read_role(row, "role")?))).collect()
}

fn role_of(tx: &mut Tx<'_>, ctx: &Ctx, user_name: &str) -> Result<Option<Role>, Error> {
    let row = tx.query_opt(
        "SELECT role FROM members WHERE workspace = $1 AND user_name = $2",
        &[ctx.workspace.as_str().into(), user_name.into()],
    )?;
    Ok(row.map(|row| read_role(&row, "role")).transpose()?)
}

fn emit(tx: &mut Tx<'_>, ctx: &Ctx, user_name: &str, from: Option<Role>, role: Option<Role>) -> Result<(), Error> {
    let payload = json!({ "from": from, "role": role });
    let event = NewEvent { kind: kind::MEMBER_CHANGED, subject: format!("user/{user_name}"), model: None, payload };
    db::events::emit(tx, ctx, event)?;
    Ok(())
}
