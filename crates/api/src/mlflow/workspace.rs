//! Workspaces, as MLflow 3.17 has them behind `--enable-workspaces`. They are always on; only version 3 of the protocol has them.

use access::Permission::{Server, View};
use access::workspace::{self, Workspace};
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use conductor::House;
use kernel::ctx::DEFAULT_WORKSPACE;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::wire::Fields;
use super::{Answer, Body, Error, Routes, answer, read, write};
use crate::principal::Caller;
use crate::route::get;
use crate::visitor::Visitor;

/// Routes of version 3 alone.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/workspaces", get(View, list).post(Server, create))
        .route("/workspaces/{workspace_name}", get(View, one).patch(Server, update).delete(Server, remove))
}

#[derive(Debug, Serialize)]
struct Shape {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl From<Workspace> for Shape {
    fn from(workspace: Workspace) -> Self {
        Self { name: workspace.name, description: workspace.description }
    }
}

/// Those that the caller may enter.
async fn list(State(house): State<House>, Caller(who): Caller, Extension(visitor): Extension<Visitor>) -> Answer {
    let all = read(&house, who, |tx, _| workspace::list(tx)).await?;
    let shown = all.into_iter().filter(|one| visitor.may_enter(&one.name));
    answer(json!({ "workspaces": shown.map(Shape::from).collect::<Vec<_>>() }))
}

async fn one(
    State(house): State<House>,
    Caller(who): Caller,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Answer {
    if name != DEFAULT_WORKSPACE {
        workspace::check_name(&name)?;
    }
    if !visitor.may_enter(&name) {
        return Err(access::Error::NoWorkspace { name }.into());
    }
    let found = read(&house, who, move |tx, _| workspace::get(tx, &name)).await?;
    answer(json!({ "workspace": Shape::from(found) }))
}

async fn create(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (name, description) = (fields.required("name")?, fields.text("description")?);
    check_rest(&fields)?;
    let made = write(&house, who, move |tx, ctx| workspace::create(tx, ctx, &name, description.as_deref())).await?;
    Ok((StatusCode::CREATED, answer(json!({ "workspace": Shape::from(made) }))?).into_response())
}

async fn update(State(house): State<House>, Caller(who): Caller, Path(name): Path<String>, body: Body) -> Answer {
    let fields = body.fields();
    let description = fields.text("description")?;
    check_rest(&fields)?;
    let Some(description) = description else {
        return Err(Error::invalid("Workspace update must have at least one key"));
    };
    let changed = write(&house, who, move |tx, ctx| workspace::describe(tx, ctx, &name, Some(&description))).await?;
    answer(json!({ "workspace": Shape::from(changed) }))
}

#[derive(Debug, Deserialize)]
struct Mode {
    mode: Option<String>,
}

async fn remove(
    State(house): State<House>,
    Caller(who): Caller,
    Path(name): Path<String>,
    mode: Result<Query<Mode>, QueryRejection>,
) -> Answer {
    match mode.ok().and_then(|Query(mode)| mode.mode).as_deref() {
        None | Some("RESTRICT") => {}
        Some("SET_DEFAULT" | "CASCADE") => {
            return Err(Error::not_implemented(
                "this server deletes a workspace only when it is empty: delete or move what is in it first",
            ));
        }
        Some(other) => {
            return Err(Error::invalid(format!(
                "Invalid deletion mode '{other}'. Must be one of: SET_DEFAULT, CASCADE, RESTRICT"
            )));
        }
    }
    conductor::workspace::delete(&house, house.ctx(who), &name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What each workspace may have of its own in MLflow, and not here.
fn check_rest(fields: &Fields<'_>) -> Result<(), Error> {
    let roots = fields.text("default_artifact_root")?.filter(|root| !root.is_empty());
    if roots.is_some() || fields.value("trace_archival_config")?.is_some() {
        return Err(Error::invalid(
            "default_artifact_root and trace_archival_config cannot be set: the artifacts of each workspace have their own \
             place in this server's store",
        ));
    }
    Ok(())
}
