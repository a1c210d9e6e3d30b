//! The app from outside: what a browser gets.
#![expect(clippy::unwrap_used, reason = "tests")]

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

async fn get(path: &str, etag: Option<&str>) -> Response<Body> {
    let mut request = Request::get(path);
    if let Some(etag) = etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    rondo_web::routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(answer: Response<Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_page_is_fresh_guarded_and_not_sent_twice() {
    let page = get("/", None).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()[CACHE_CONTROL], "no-cache");
    assert_eq!(page.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let etag = page.headers()[ETAG].to_str().unwrap().to_owned();
    let again = get("/", Some(&etag)).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(text(again).await, "");
    assert_eq!(get("/", Some("\"old\"")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn every_address_in_the_page_answers_and_may_be_kept_for_ever() {
    let page = text(get("/", None).await).await;
    let addresses: Vec<_> = page.split('"').filter(|part| part.starts_with("/ui/")).collect();
    assert_eq!(addresses.len(), 3, "{page}");
    for address in addresses {
        let answer = get(address, None).await;
        assert_eq!(answer.status(), StatusCode::OK, "{address}");
        assert!(answer.headers()[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let script = page.split('"').find(|part| part.ends_with("app.js")).unwrap();
    assert_eq!(get(script, None).await.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_eq!(get(&script.replace("app.js", "screens/overview.js"), None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for path in ["/ui/old/app.js", "/ui/x/../lib.rs", "/ui/x/nothing.js"] {
        assert_eq!(get(path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
