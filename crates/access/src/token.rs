//! Tokens: what programs prove themselves with. One acts as itself, or in the name of a user and with no more than the user's role.

use db::{Row, Tx};
use kernel::ctx::{Ctx, DEFAULT_WORKSPACE, Principal};
use kernel::event::{NewEvent, kind};
use serde::Serialize;
use serde_json::json;

use crate::permission::{Permission, Role};
use crate::user::{self, check_name, read_role};
use crate::{Denied, Error, Identity, Reach, Secret};

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The user in whose name it acts.
    pub user: Option<String>,
    /// Its role.
    pub role: Role,
    /// What it is narrowed to; empty is everything that the role may.
    pub scopes: Vec<Permission>,
    /// Microseconds since the epoch.
    pub created_us: i64,
    /// Who made it.
    pub created_by: String,
    /// When it ends, microseconds since the epoch.
    pub expires_us: Option<i64>,
    /// When it was revoked.
    pub revoked_us: Option<i64>,
    /// When it was used last, to the minute.
    pub last_used_us: Option<i64>,
}

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Name; no other live token may have it.
    pub name: String,
    /// The user in whose name it acts.
    pub user: Option<String>,
    /// Its role.
    pub role: Role,
    /// What it is narrowed to; empty is everything that the role may.
    pub scopes: Vec<Permission>,
    /// When it ends, microseconds since the epoch.
    pub expires_us: Option<i64>,
}

/// Makes a token for a secret, of which only the digest is stored.
pub fn create(tx: &mut Tx<'_>, ctx: &Ctx, new: &NewToken, secret: &Secret) -> Result<Token, Error> {
    check_name(&new.name)?;
    if new.expires_us.is_some_and(|end| end <= ctx.now_us) {
        return Err(Error::ExpiresBefore);
    }
    if let Some(user) = &new.user {
        let missing = || Error::Missing { what: "user", name: user.clone() };
        // Not an admin of the server who is no member here: nobody else acts in that name.
        let here = user::is_of(tx, user, &ctx.workspace)?;
        here.then_some(()).ok_or_else(missing)?;
    }
    let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
    let id = kernel::id::new();
    let made = tx.execute(
        "INSERT INTO tokens (id, workspace, name, user_name, role, scopes, digest, created_us, created_by, expires_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        &[
            id.as_str().into(),
            ctx.workspace.as_str().into(),
            new.name.as_str().into(),
            new.user.clone().into(),
            new.role.as_str().into(),
            scopes.join(" ").into(),
            secret.digest().into(),
            ctx.now_us.into(),
            ctx.principal.to_string().into(),
            new.expires_us.into(),
        ],
    )?;
    if made == 0 {
        return Err(Error::Exists { what: "token", name: new.name.clone() });
    }
    let payload = json!({
        "id": id, "user": new.user, "role": new.role, "scopes": new.scopes, "expires_us": new.expires_us,
    });
    emit(tx, ctx, kind::TOKEN_CREATED, &new.name, payload)?;
    find(tx, ctx, &id)
}

/// Ends a token, by id or by the name of a live one.
pub fn revoke(tx: &mut Tx<'_>, ctx: &Ctx, id_or_name: &str) -> Result<Token, Error> {
    let token = find(tx, ctx, id_or_name)?;
    if token.revoked_us.is_some() {
        return Ok(token);
    }
    tx.execute(
        "UPDATE tokens SET revoked_us = $1 WHERE workspace = $2 AND id = $3",
        &[ctx.now_us.into(), ctx.workspace.as_str().into(), token.id.as_str().into()],
    )?;
    emit(tx, ctx, kind::TOKEN_REVOKED, &token.name, json!({ "id": token.id }))?;
    find(tx, ctx, &token.id)
}

/// All tokens, the newest first, ended ones too.
pub fn list(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<Token>, Error> {
    let rows = tx.query(
        "SELECT id, name, user_name, role, scopes, created_us, created_by, expires_us, revoked_us, last_used_us
         FROM tokens WHERE workspace = $1 ORDER BY created_us DESC, id DESC",
        &[ctx.workspace.as_str().into()],
    )?;
    Ok(rows.iter().map(read).collect::<Result<_, db::Error>>()?)
}

/// Makes a token `admin` if nobody could administer otherwise, and tells its secret.
pub fn first_admin(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Option<Secret>, Error> {
    let one = |row: Option<Row>| row.is_some();
    let user = one(tx.query_opt(
        "SELECT name FROM users WHERE role = 'admin' AND workspace = $1 LIMIT 1",
        &[DEFAULT_WORKSPACE.into()],
    )?);
    let token = one(tx.query_opt(
        "SELECT id FROM tokens WHERE role = 'admin' AND user_name IS NULL AND revoked_us IS NULL
         AND (expires_us IS NULL OR expires_us > $1) AND scopes = '' AND workspace = $2 LIMIT 1",
        &[ctx.now_us.into(), DEFAULT_WORKSPACE.into()],
    )?);
    if user || token {
        return Ok(None);
    }
    let name = match find(tx, ctx, "admin") {
        Ok(_) => format!("admin-{}", ctx.now_us / 1_000_000),
        Err(_) => "admin".to_owned(),
    };
    let secret = Secret::random()?;
    let new = NewToken { name, user: None, role: Role::Admin, scopes: Vec::new(), expires_us: None };
    create(tx, ctx, &new, &secret)?;
    Ok(Some(secret))
}

/// The token of a secret and whom it makes of its bearer.
pub(crate) fn identify(
    tx: &mut Tx<'_>,
    digest: &str,
    now_us: i64,
) -> Result<Result<(Token, Identity), Denied>, db::Error> {
    let row = tx.query_opt(
        "SELECT id, name, user_name, role, scopes, created_us, created_by, expires_us, revoked_us, last_used_us, workspace
         FROM tokens WHERE digest = $1",
        &[digest.into()],
    )?;
    let Some(row) = row else { return Ok(Err(Denied::Unknown { what: "token" })) };
    let token = read(&row)?;
    if token.revoked_us.is_some() {
        return Ok(Err(Denied::Revoked { name: token.name }));
    }
    if token.expires_us.is_some_and(|end| end <= now_us) {
        return Ok(Err(Denied::Expired { name: token.name }));
    }
    let workspace = row.text("workspace")?;
    let (role, principal) = match &token.user {
        None => (token.role, Principal::Service(token.name.clone())),
        Some(user) => match user::role_in(tx, user, &workspace)? {
            Some(role) => (token.role.min(role), Principal::Person(user.clone())),
            None => return Ok(Err(Denied::Revoked { name: token.name })),
        },
    };
    let scopes = Some(token.scopes.as_slice()).filter(|scopes| !scopes.is_empty());
    let identity = Identity {
        token: Some(token.name.clone()),
        expires_us: token.expires_us,
        ..Identity::at_home(principal, workspace, role, scopes, Reach::Bound)
    };
    Ok(Ok((token, identity)))
}

/// Notes that a token was used.
pub(crate) fn used(tx: &mut Tx<'_>, id: &str, now_us: i64) -> Result<(), db::Error> {
    tx.execute("UPDATE tokens SET last_used_us = $1 WHERE id = $2", &[now_us.into(), id.into()])?;
    Ok(())
}

fn find(tx: &mut Tx<'_>, ctx: &Ctx, id_or_name: &str) -> Result<Token, Error> {
    let row = tx.query_opt(
        "SELECT id, name, user_name, role, scopes, created_us, created_by, expires_us, revoked_us, last_used_us
         FROM tokens WHERE workspace = $1 AND (id = $2 OR name = $2 AND revoked_us IS NULL)",
        &[ctx.workspace.as_str().into(), id_or_name.into()],
    )?;
    let missing = || Error::Missing { what: "token", name: id_or_name.to_owned() };
    Ok(read(&row.ok_or_else(missing)?)?)
}

fn read(row: &Row) -> Result<Token, db::Error> {
    let scopes = row.text("scopes")?;
    let scopes = scopes.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    Ok(Token {
        id: row.text("id")?,
        name: row.text("name")?,
        user: row.opt_text("user_name")?,
        role: read_role(row, "role")?,
        scopes: scopes.map_err(|error: crate::permission::UnknownWord| db::Error::corrupt("scopes", error))?,
        created_us: row.i64("created_us")?,
        created_by: row.text("created_by")?,
        expires_us: row.opt_i64("expires_us")?,
        revoked_us: row.opt_i64("revoked_us")?,
        last_used_us: row.opt_i64("last_used_us")?,
    })
}

fn emit(tx: &mut Tx<'_>, ctx: &Ctx, kind: &'static str, name: &str, payload: serde_json::Value) -> Result<(), Error> {
    db::events::emit(tx, ctx, NewEvent { kind, subject: format!("token/{name}"), model: None, payload })?;
    Ok(())
}
