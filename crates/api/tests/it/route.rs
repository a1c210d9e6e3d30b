//! What is declared of each route.

use std::collections::BTreeSet;

use access::Permission;
use api::route::Declared;
use reqwest::Method;

fn those(needs: Permission) -> BTreeSet<String> {
    let them = api::declared().into_iter().filter(|one| one.needs == needs);
    them.map(|Declared { method, path, .. }| format!("{method} {path}")).collect()
}

#[test]
fn nothing_is_public_but_health_and_versions_and_links_with_a_seal() {
    let expect = ["/health", "/healthz", "/ping", "/readyz", "/v2/health/live", "/v2/health/ready", "/version"];
    let mut expect: BTreeSet<String> = expect.map(|path| format!("GET {path}")).into();
    let sign_in = ["GET /auth/oidc/start", "GET /auth/oidc/callback"];
    let session = ["GET /api/v1/session", "POST /api/v1/session", "DELETE /api/v1/session"];
    expect.extend(sign_in.into_iter().chain(session).map(str::to_owned));
    expect.insert("POST /grpc.health.v1.Health/Check".to_owned());
    expect.insert("POST /inference.GRPCInferenceService/ServerLive".to_owned());
    expect.insert("POST /inference.GRPCInferenceService/ServerReady".to_owned());
    expect.insert("PUT /api/2.0/mlflow-artifacts/mpu/part/{upload_id}/{number}".to_owned());
    assert_eq!(those(Permission::Public), expect);
}

#[test]
fn whoever_may_only_look_changes_nothing() {
    let reads_by_post = [
        "/search",
        "/search-datasets",
        "/get-latest-versions",
        "/batchGetInfos",
        "/graphql",
        "/ui-telemetry",
        "/traces/metrics",
    ];
    for one in api::declared().into_iter().filter(|one| one.needs == Permission::View) {
        let reads = one.method == Method::GET || reads_by_post.iter().any(|end| one.path.ends_with(end));
        assert!(reads, "{one:?}");
    }
}

#[test]
fn the_gate_and_what_runs_on_the_server_are_for_few() {
    assert_eq!(those(Permission::Approve), ["POST /api/v1/models/{name}/verdicts/{id}/approve".to_owned()].into());
    let admin = those(Permission::Admin);
    for one in
        ["PUT /api/v1/models/{name}/policy", "PATCH /api/v1/models/{name}/policy", "PUT /api/v1/pipelines/{name}"]
    {
        assert!(admin.contains(one), "{one}");
    }
}

#[test]
fn every_protocol_declares_each_route_once() {
    let table = api::declared();
    let names: BTreeSet<String> = table.iter().map(|one| format!("{} {}", one.method, one.path)).collect();
    assert_eq!(names.len(), table.len());
    for path in ["/api/v1/overview", "/api/2.0/mlflow/runs/get", "/ajax-api/3.0/mlflow/runs/get", "/metrics"] {
        assert!(names.contains(&format!("GET {path}")), "{path}");
    }
    assert!(names.contains("POST /deployments/{name}/predict") && names.contains("POST /v2/models/{model}/infer"));
}
