//! Who is let in: every route of every protocol, with no proof, a wrong one, one that has ended, and one that is too weak.

use std::collections::BTreeMap;

use access::token::NewToken;
use access::user::PasswordHash;
use access::{Permission, Role, Secret};
use api::route::Declared;
use kernel::ctx::{Ctx, Principal};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, told as told_in};

/// A token as the tests need it.
async fn a_token(server: &Server, new: NewToken, now_us: i64) -> String {
    let secret = Secret::random().unwrap();
    let shown = secret.reveal().to_owned();
    let ctx = Ctx::new(Principal::System("test"), now_us);
    server.house.db.write(move |tx| access::token::create(tx, &ctx, &new, &secret)).await.unwrap();
    shown
}

fn new(name: &str, role: Role) -> NewToken {
    NewToken { name: name.to_owned(), user: None, role, scopes: Vec::new(), expires_us: None }
}

/// A token of one permission only, or of all others.
async fn scoped(server: &Server, name: &str, scopes: Vec<Permission>) -> String {
    let now_us = server.house.clock.now_us();
    a_token(server, NewToken { scopes, ..new(name, Role::Admin) }, now_us).await
}

/// The path with something in the place of each name.
fn filled(path: &str) -> String {
    let mut text = String::new();
    for (index, part) in path.split(['{', '}']).enumerate() {
        text.push_str(if index % 2 == 1 { "1" } else { part });
    }
    text
}

async fn status(server: &Server, route: &Declared, authorization: Option<&str>) -> (StatusCode, Value, Option<String>) {
    let mut request = server.request(route.method.clone(), &filled(&route.path)).json(&json!({}));
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let response = request.send().await.unwrap();
    let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    let text = told_in(response).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)), challenge)
}

/// What a refusal looks like in the protocol of a path.
#[track_caller]
fn told(route: &Declared, answer: &Value, v1: &str, mlflow: &str) {
    let path = route.path.as_str();
    let shaped = if path == "/v1/traces" {
        answer["detail"].is_string()
    } else if path.starts_with("/api/v1") || path.ends_with("/predict") {
        answer["error"]["kind"] == v1 && answer["error"]["message"].is_string()
    } else if path.starts_with("/v2") || path.starts_with("/v1/") {
        answer["error"].is_string()
    } else if path == "/metrics" || path.starts_with("/inference.") {
        answer.as_str().is_some_and(|text| !text.is_empty())
    } else {
        answer["error_code"] == mlflow && answer["message"].is_string()
    };
    assert!(shaped, "{route:?}: {answer}");
}

#[tokio::test]
async fn no_route_lets_a_stranger_in() {
    let server = Server::asking().await;
    let ended = NewToken { expires_us: Some(2), ..new("ended", Role::Admin) };
    let expired = format!("Bearer {}", a_token(&server, ended, 1).await);
    let revoked = format!("Bearer {}", a_token(&server, new("revoked", Role::Admin), 1).await);
    let ctx = Ctx::new(Principal::System("test"), 2);
    server.house.db.write(move |tx| access::token::revoke(tx, &ctx, "revoked")).await.unwrap();
    let wrong = [None, Some("Bearer rondo_AAAA"), Some("Bearer"), Some(&*expired), Some(&*revoked), Some("rondo_AAAA")];
    let mut walked = 0;
    for route in api::declared() {
        for authorization in wrong {
            let (status, answer, challenge) = status(&server, &route, authorization).await;
            if route.needs == Permission::Public {
                assert_ne!(status, StatusCode::UNAUTHORIZED, "{route:?} {authorization:?}");
                continue;
            }
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{route:?} {authorization:?}: {answer}");
            assert!(challenge.is_some_and(|text| text.contains("Bearer realm=")), "{route:?}");
            told(&route, &answer, "unauthenticated", "UNAUTHENTICATED");
            walked += 1;
        }
    }
    assert!(walked > 1_500, "{walked}");
}

#[tokio::test]
async fn no_route_lets_somebody_in_who_may_all_but_this() {
    let server = Server::asking().await;
    let mut without = BTreeMap::new();
    for permission in Permission::SCOPES {
        let others = Permission::SCOPES.into_iter().filter(|one| *one != permission).collect();
        without.insert(permission.as_str(), scoped(&server, &format!("not-{permission}"), others).await);
    }
    // What is the server's comes with no scope at all.
    without.insert("server", scoped(&server, "not-server", Permission::SCOPES.to_vec()).await);
    let all = scoped(&server, "all", Vec::new()).await;
    for route in api::declared().into_iter().filter(|route| route.needs != Permission::Public) {
        let weak = format!("Bearer {}", without[route.needs.as_str()]);
        let (refused, answer, _) = status(&server, &route, Some(&weak)).await;
        assert_eq!(refused, StatusCode::FORBIDDEN, "{route:?}: {answer}");
        told(&route, &answer, "permission_denied", "PERMISSION_DENIED");
        assert!(answer.to_string().contains(&format!("lacks the permission `{}`", route.needs)), "{answer}");
        let (allowed, answer, _) = status(&server, &route, Some(&format!("Bearer {all}"))).await;
        assert_ne!(allowed, StatusCode::UNAUTHORIZED, "{route:?}: {answer}");
        assert!(!answer.to_string().contains("lacks the permission"), "{route:?}: {answer}");
    }
}

#[tokio::test]
async fn other_methods_and_spellings_open_nothing() {
    let server = Server::asking().await;
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let twisted = |path: &str| {
        let upper = path.to_ascii_uppercase();
        [
            format!("/{path}"),
            format!("{path}/"),
            format!("{path}/."),
            format!("{path}%2f"),
            format!("/x/..;{path}"),
            upper,
        ]
    };
    let public = |path: &str| api::declared().iter().any(|one| one.path == path && one.needs == Permission::Public);
    for route in api::declared().into_iter().filter(|route| !public(&route.path)) {
        for method in &methods {
            let response = server.request(method.clone(), &filled(&route.path)).send().await.unwrap();
            assert!(response.status().is_client_error(), "{method} {route:?}: {}", response.status());
        }
        for path in twisted(&filled(&route.path)) {
            let response = server.request(route.method.clone(), &path).send().await.unwrap();
            assert!(response.status().is_client_error(), "{} {path}: {}", route.method, response.status());
        }
    }
}

#[tokio::test]
async fn the_trail_names_who_was_proven_and_not_who_is_claimed() {
    let server = Server::asking().await;
    let ci = a_token(&server, new("ci", Role::Admin), 1).await;
    let create = |name: &str| {
        let request = server.request(Method::POST, "/api/v1/users").json(&json!({"name": name, "role": "viewer"}));
        request.header("x-rondo-user", "somebody-else")
    };
    let (status, answer) = server.send(create("ada").bearer_auth(&ci)).await;
    assert_eq!((status, &answer["created_by"]), (200, &json!("service:ci")), "{answer}");
    // a name and password, and a token in the password's place
    let hash = PasswordHash::of("correct horse battery").unwrap();
    let ctx = Ctx::new(Principal::System("test"), 1);
    let made = move |tx: &mut db::Tx<'_>| access::user::create(tx, &ctx, "root", Role::Admin, Some(hash));
    server.house.db.write(made).await.unwrap();
    let (_, answer) = server.send(create("bob").basic_auth("root", Some("correct horse battery"))).await;
    assert_eq!(answer["created_by"], "person:root", "{answer}");
    let (_, answer) = server.send(create("eve").basic_auth("root", Some(&ci))).await;
    assert_eq!(answer["created_by"], "service:ci", "{answer}");
    let (status, answer) = server.send(create("mallory").basic_auth("root", Some("guess guess guess"))).await;
    assert_eq!(status, 401, "{answer}");
    let (_, trail) = server.send(server.request(Method::GET, "/api/v1/events").bearer_auth(&ci)).await;
    let newest = &trail["events"][0];
    assert_eq!((&newest["kind"], &newest["actor"]), (&json!("user.created"), &json!("service:ci")), "{trail}");
}

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked_over_http() {
    let server = Server::asking().await;
    let admin = a_token(&server, new("admin", Role::Admin), 1).await;
    let call = |method: Method, path: &str| server.request(method, path).bearer_auth(&admin);
    let body =
        json!({"name": "ci", "role": "editor", "scopes": ["view", "predict"], "expires": "2999-01-01T00:00:00Z"});
    let (status, made) = server.send(call(Method::POST, "/api/v1/tokens").json(&body)).await;
    assert_eq!(status, 200, "{made}");
    let secret = made["secret"].as_str().unwrap().to_owned();
    let me = || server.send(server.request(Method::GET, "/api/v1/me").bearer_auth(&secret));
    let (status, answer) = me().await;
    assert_eq!((status, &answer["permissions"]), (200, &json!(["view", "predict"])), "{answer}");
    let (_, listed) = server.send(call(Method::GET, "/api/v1/tokens")).await;
    assert_eq!(listed["tokens"][0]["name"], "ci");
    assert!(!listed.to_string().contains(&secret));
    let (status, _) = server.send(call(Method::DELETE, "/api/v1/tokens/ci")).await;
    assert_eq!(status, 200);
    let (status, answer) = me().await;
    assert_eq!((status, &answer["error"]["message"]), (401, &json!("the token `ci` was revoked")), "{answer}");
    for (body, field) in [
        (json!({"name": "x", "role": "owner"}), "role"),
        (json!({"name": "x y", "role": "viewer"}), "name"),
        (json!({"name": "x", "role": "viewer", "scopes": ["fly"]}), "scopes[0]"),
        (json!({"name": "x", "role": "viewer", "scopes": ["public"]}), "scopes"),
        (json!({"name": "x", "role": "viewer", "expires": "yesterday"}), "expires"),
        (json!({"name": "x", "role": "viewer", "expires": "2001-01-01T00:00:00Z"}), "expires"),
    ] {
        let (status, answer) = server.send(call(Method::POST, "/api/v1/tokens").json(&body)).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &json!(field)), "{body}: {answer}");
    }
}
