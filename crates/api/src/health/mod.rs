//! Is the process alive, and is it ready? `GET /healthz` and `GET /readyz`, for orchestrators and load balancers.

use crate::route::get;
use access::Permission::Public;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use conductor::House;
use serde_json::{Value, json};
use serving::State as Serves;

/// Routes of this protocol.
type Routes = crate::route::Routes<crate::route::Plain>;

/// The routes of this protocol.
pub(crate) fn routes() -> Routes {
    Routes::new().route("/healthz", get(Public, healthz)).route("/readyz", get(Public, readyz))
}

/// Alive: the process answers. Nothing else is asked, so that a slow disk restarts nobody.
async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Ready: the database answers. Deployments are listed with their state but do not decide: one that has no model must not take
/// the others out of service (each has `/v2/models/{name}/ready`).
async fn readyz(State(house): State<House>) -> (StatusCode, Json<Value>) {
    let database = house.db.read(|tx| db::events::head(tx).map(|_| ())).await;
    let deployments: serde_json::Map<String, Value> =
        house.fleet.list().into_iter().map(|status| (status.deployment, json!(state(&status.state)))).collect();
    let (code, status, database) = match database {
        Ok(()) => (StatusCode::OK, "ready", "ok".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, "not ready", error.to_string()),
    };
    let replica = json!({ "id": house.replica(), "turns_loop": house.term().is_some() });
    let body = json!({ "status": status, "database": database, "deployments": deployments, "replica": replica });
    (code, Json(body))
}

fn state(state: &Serves) -> &'static str {
    match state {
        Serves::Ready => "ready",
        Serves::Empty => "empty",
        Serves::Failed(_) => "failed",
    }
}
