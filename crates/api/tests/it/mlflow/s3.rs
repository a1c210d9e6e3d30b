//! Artifacts through the proxy when they lie on an S3 server.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::S3;

use crate::server::Server;

const PROXY: &str = "/api/2.0/mlflow-artifacts";

#[tokio::test]
async fn artifacts_go_through_the_proxy_to_the_store_and_links_lead_past_it() {
    let store = S3::start().await.unwrap();
    let blob = blob::Blob::open_with(&store.url("team"), store.settings()).unwrap();
    let server = Server::with_artifacts(blob).await;
    let file = format!("{PROXY}/artifacts/0/abc/artifacts/model/data%20ü.bin");
    // more than one part
    let bytes: Vec<u8> = (0..9_000_000_u32).map(|number| (number % 251) as u8).collect();
    let put = server.send(server.request(Method::PUT, &file).body(bytes.clone())).await;
    assert_eq!(put, (200, json!({})));
    let part = server.request(Method::GET, &file).header("range", "bytes=8388600-8388619").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), bytes[8_388_600..8_388_620]);

    let (status, link) = server.get(&format!("{PROXY}/presigned/0/abc/artifacts/model/data%20ü.bin")).await;
    assert_eq!((status, &link["file_size"], &link["headers"]), (200, &json!(9_000_000), &json!({})));
    let past = reqwest::get(link["url"].as_str().unwrap()).await.unwrap();
    assert_eq!(past.bytes().await.unwrap(), bytes);
    let (status, missing) = server.get(&format!("{PROXY}/presigned/0/abc/nothing")).await;
    assert_eq!((status, &missing["error_code"]), (404, &json!("RESOURCE_DOES_NOT_EXIST")));
    let (_, info) = server.get("/api/3.0/mlflow/server-info").await;
    assert_eq!(
        (&info["multipart_downloads_enabled"], &info["multipart_uploads_enabled"]),
        (&json!(true), &json!(true))
    );

    let (_, listed) = server.get(&format!("{PROXY}/artifacts?path=0/abc/artifacts/model")).await;
    assert_eq!(listed, json!({ "files": [{ "path": "data ü.bin", "is_dir": false, "file_size": 9_000_000 }] }));
    assert_eq!(server.send(server.request(Method::DELETE, &file)).await.0, 200);
    assert_eq!(server.request(Method::GET, &file).send().await.unwrap().status(), 404);
    let (_, listed) = server.get(&format!("{PROXY}/artifacts?path=0/abc/artifacts")).await;
    assert_eq!(listed, json!({}));
}

#[tokio::test]
async fn parts_go_past_the_server_to_the_store() {
    let store = S3::start().await.unwrap();
    let blob = blob::Blob::open_with(&store.url("team"), store.settings()).unwrap();
    let server = Server::with_artifacts(blob).await;
    let folder = "0/abc/artifacts/a folder";
    let body = json!({"path": "ü.bin", "num_parts": 2});
    let (status, upload) = server.post(&format!("{PROXY}/mpu/create/{folder}"), &body).await;
    assert_eq!(status, 200, "{upload}");
    let contents = [vec![1_u8; 5 << 20], b"end".to_vec()];
    let mut parts = Vec::new();
    for (credential, bytes) in upload["credentials"].as_array().unwrap().iter().zip(&contents) {
        let link = credential["url"].as_str().unwrap();
        assert!(!link.starts_with(&server.url), "{link}");
        let answer = reqwest::Client::new().put(link).body(bytes.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let etag = answer.headers()["etag"].to_str().unwrap();
        parts.push(json!({"part_number": credential["part_number"], "etag": etag, "url": link}));
        let (one, another) = ("partNumber=1&", "partNumber=2&");
        let other = if link.contains(one) { link.replace(one, another) } else { link.replace(another, one) };
        let forged = reqwest::Client::new().put(other).body("x").send().await.unwrap();
        assert_eq!(forged.status(), 403, "the number is signed");
    }
    let body = json!({"path": "ü.bin", "upload_id": upload["upload_id"], "parts": parts});
    assert_eq!(server.post(&format!("{PROXY}/mpu/complete/{folder}"), &body).await, (200, json!({})));
    let got = server.request(Method::GET, &format!("{PROXY}/artifacts/{folder}/ü.bin")).send().await.unwrap();
    assert_eq!(got.bytes().await.unwrap(), contents.concat());
}

#[tokio::test]
async fn a_store_that_is_away_is_said_and_is_not_our_fault() {
    let store = S3::start().await.unwrap();
    let blob = blob::Blob::open_with(&store.url(""), store.settings()).unwrap();
    let server = Server::with_artifacts(blob).await;
    drop(store);
    let put = server.request(Method::PUT, &format!("{PROXY}/artifacts/0/a")).body("x");
    let (status, answer) = server.send(put).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["message"].as_str().is_some_and(|text| text.contains("object store")), "{answer}");
    assert_ne!(answer, Value::Null);
}
