//! Workspaces, and who is what to the one that the request is about.

use access::Permission::{Admin, Server, View};
use access::{Role, member, workspace};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use conductor::House;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Body, Routes};
use crate::principal::Caller;
use crate::route::{get, put};
use crate::visitor::Visitor;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/workspaces", get(View, list).post(Server, create))
        .route("/workspaces/{name}", get(View, one).patch(Server, change).delete(Server, remove))
        .route("/members", get(Admin, members))
        .route("/members/{user}", put(Admin, set_member).delete(Admin, remove_member))
}

/// `GET /workspaces`: those that the caller may enter.
async fn list(State(house): State<House>, Extension(visitor): Extension<Visitor>) -> Answer {
    let mut all = house.db.read(workspace::list).await?;
    all.retain(|one| visitor.may_enter(&one.name));
    Ok(Json(json!({ "workspaces": all })))
}

async fn one(State(house): State<House>, Extension(visitor): Extension<Visitor>, Path(name): Path<String>) -> Answer {
    if !visitor.may_enter(&name) {
        return Err(access::Error::NoWorkspace { name }.into());
    }
    Ok(Json(json!(house.db.read(move |tx| workspace::get(tx, &name)).await?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    description: Option<String>,
}

/// `POST /workspaces {"name", "description"?}`
async fn create(State(house): State<House>, Caller(who): Caller, Body(new): Body<New>) -> Answer {
    let ctx = house.ctx(who);
    let make = move |tx: &mut db::Tx<'_>| workspace::create(tx, &ctx, &new.name, new.description.as_deref());
    Ok(Json(json!(house.db.write(make).await?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    description: Option<String>,
}

/// `PATCH /workspaces/NAME {"description"}`
async fn change(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(change): Body<Change>,
) -> Answer {
    let ctx = house.ctx(who);
    let put = move |tx: &mut db::Tx<'_>| workspace::describe(tx, &ctx, &name, change.description.as_deref());
    Ok(Json(json!(house.db.write(put).await?)))
}

/// `DELETE /workspaces/NAME`: only an empty one; its name stays taken.
async fn remove(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>) -> Answer {
    conductor::workspace::delete(&house, house.ctx(who), &name).await?;
    Ok(Json(json!({})))
}

/// `GET /members`: users of other workspaces who are something to this one.
async fn members(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let members = house.db.read(move |tx| member::list(tx, &ctx)).await?;
    Ok(Json(json!({ "members": members })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Membership {
    role: Role,
}

/// `PUT /members/USER {"role"}`
async fn set_member(
    State(house): State<House>,
    Caller(who): Caller,
    Path(user): Path<String>,
    Body(new): Body<Membership>,
) -> Answer {
    let ctx = house.ctx(who);
    let member = house.db.write(move |tx| member::put(tx, &ctx, &user, new.role)).await?;
    house.access.forget();
    Ok(Json(json!(member)))
}

/// `DELETE /members/USER`
async fn remove_member(State(house): State<House>, Caller(who): Caller, Path(user): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    house.db.write(move |tx| member::remove(tx, &ctx, &user)).await?;
    house.access.forget();
    Ok(Json(json!({})))
}
