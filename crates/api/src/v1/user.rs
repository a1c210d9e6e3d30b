//! Users, and who the caller is.

use access::Permission::{Admin, View};
use access::Role;
use access::user::{self, PasswordHash};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use conductor::House;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Body, Error, Routes};
use crate::principal::Caller;
use crate::route::get;
use crate::visitor::Visitor;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/me", get(View, me))
        .route("/users", get(Admin, list).post(Admin, create))
        .route("/users/{name}", get(Admin, one).patch(Admin, change).delete(Admin, delete))
}

/// `GET /me`: who the server takes the caller for, and what it may do.
async fn me(State(house): State<House>, Caller(who): Caller, Extension(visitor): Extension<Visitor>) -> Answer {
    let mut workspaces = house.db.read(access::workspace::list).await?;
    workspaces.retain(|one| visitor.may_enter(&one.name));
    let workspaces: Vec<String> = workspaces.into_iter().map(|one| one.name).collect();
    let shown = match visitor {
        Visitor::Known(identity) => json!({
            "authenticates": true, "principal": who.to_string(), "workspace": identity.workspace, "role": identity.role,
            "token": identity.token, "expires_us": identity.expires_us,
            "permissions": access::Permission::SCOPES.into_iter().filter(|one| identity.may(*one)).collect::<Vec<_>>(),
            "workspaces": workspaces,
        }),
        _ => json!({
            "authenticates": false, "principal": who.to_string(), "workspace": &*house.workspace, "workspaces": workspaces,
        }),
    };
    Ok(Json(shown))
}

async fn list(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let users = house.db.read(move |tx| user::list(tx, &ctx)).await?;
    Ok(Json(json!({ "users": users })))
}

async fn one(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let user = house.db.read(move |tx| user::get(tx, &ctx, &name)).await?;
    Ok(Json(json!(user)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    role: Role,
    password: Option<String>,
}

/// `POST /users {"name", "role", "password"?}`: without a password the user has only tokens.
async fn create(State(house): State<House>, Caller(who): Caller, Body(new): Body<New>) -> Answer {
    let (ctx, password) = (house.ctx(who), hashed(new.password).await?);
    let user = house.db.write(move |tx| user::create(tx, &ctx, &new.name, new.role, password)).await?;
    Ok(Json(json!(user)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    role: Option<Role>,
    password: Option<String>,
}

/// `PATCH /users/NAME {"role"?, "password"?}`: counts from the next request on.
async fn change(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(change): Body<Change>,
) -> Answer {
    let (ctx, password) = (house.ctx(who), hashed(change.password).await?);
    let user = house.db.write(move |tx| user::change(tx, &ctx, &name, change.role, password)).await?;
    house.access.forget();
    Ok(Json(json!(user)))
}

/// `DELETE /users/NAME`: its tokens end too.
async fn delete(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    house.db.write(move |tx| user::delete(tx, &ctx, &name)).await?;
    house.access.forget();
    Ok(Json(json!({})))
}

/// The hash of a password, computed where it stops nobody.
async fn hashed(password: Option<String>) -> Result<Option<PasswordHash>, Error> {
    let Some(password) = password else { return Ok(None) };
    let hashing = tokio::task::spawn_blocking(move || PasswordHash::of(&password));
    match hashing.await {
        Ok(hash) => Ok(Some(hash?)),
        Err(error) => Err(access::Error::Hash { reason: error.to_string() }.into()),
    }
}
