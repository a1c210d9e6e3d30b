//! Tokens: made, listed, revoked.

use access::Permission::Admin;
use access::token::{self, NewToken};
use access::{Permission, Role, Secret};
use axum::Json;
use axum::extract::{Path, State};
use conductor::House;
use serde::Deserialize;
use serde_json::{Value, json};

use super::outcome::{instant, not_an_instant};
use super::{Answer, Body, Error, Routes};
use crate::principal::Caller;
use crate::route::{delete, get};

pub(super) fn routes() -> Routes {
    Routes::new().route("/tokens", get(Admin, list).post(Admin, create)).route("/tokens/{id}", delete(Admin, revoke))
}

/// `GET /tokens`: the newest first, ended ones too, never a secret.
async fn list(State(house): State<House>, Caller(who): Caller) -> Answer {
    let ctx = house.ctx(who);
    let tokens = house.db.read(move |tx| token::list(tx, &ctx)).await?;
    Ok(Json(json!({ "tokens": tokens })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    role: Role,
    user: Option<String>,
    #[serde(default)]
    scopes: Vec<Permission>,
    expires: Option<Value>,
}

/// `POST /tokens {"name", "role", "user"?, "scopes"?, "expires"?}`: the answer is the only one that ever holds the secret.
async fn create(State(house): State<House>, Caller(who): Caller, Body(new): Body<New>) -> Answer {
    if new.scopes.contains(&Permission::Public) {
        return Err(Error::invalid("scopes", "`public` is nothing that could be narrowed to"));
    }
    let expires_us = match new.expires {
        None | Some(Value::Null) => None,
        Some(end) => Some(instant(&end).ok_or_else(|| Error::invalid("expires", not_an_instant(&end)))?),
    };
    let (ctx, secret) = (house.ctx(who), Secret::random()?);
    let revealed = secret.reveal().to_owned();
    let new = NewToken { name: new.name, user: new.user, role: new.role, scopes: new.scopes, expires_us };
    let token = house.db.write(move |tx| token::create(tx, &ctx, &new, &secret)).await?;
    Ok(Json(json!({ "token": token, "secret": revealed })))
}

/// `DELETE /tokens/ID`, or the name of a live one: refused from the next request on.
async fn revoke(State(house): State<House>, Caller(who): Caller, Path(id): Path<String>) -> Answer {
    let ctx = house.ctx(who);
    let token = house.db.write(move |tx| token::revoke(tx, &ctx, &id)).await?;
    house.access.forget();
    Ok(Json(json!(token)))
}
