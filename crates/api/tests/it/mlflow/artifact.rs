//! Artifacts on the wire: bytes, ranges, listings, hostile paths, and files that may not change.

use bytes::Bytes;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Body, Method};
use serde_json::{Value, json};

use super::{a_run, a_version, get, ok};
use crate::server::Server;

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

async fn put(server: &Server, path: &str, bytes: impl Into<Body>) -> u16 {
    server.send(server.request(Method::PUT, &format!("{PROXY}/{path}")).body(bytes)).await.0
}

#[tokio::test]
async fn files_go_up_and_come_down_and_are_listed() {
    let server = Server::start().await;
    assert_eq!(put(&server, "0/r/artifacts/model/MLmodel", "flavors: {}").await, 200);
    assert_eq!(put(&server, "0/r/artifacts/gr%C3%BCn%20100%25.txt", "text").await, 200);
    assert_eq!(put(&server, "0/r/artifacts/empty", "").await, 200);

    let response = server.request(Method::GET, &format!("{PROXY}/0/r/artifacts/model/MLmodel")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header(CONTENT_TYPE.as_str()), "text/plain");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header(CONTENT_DISPOSITION.as_str()), "attachment; filename=\"MLmodel\"; filename*=UTF-8''MLmodel");
    assert_eq!(response.content_length(), Some(11));
    assert_eq!(response.text().await.unwrap(), "flavors: {}");
    let (_, text) = server.get(&format!("{PROXY}/0/r/artifacts/gr%C3%BCn%20100%25.txt")).await;
    assert_eq!(text, "text");

    let files = json!([
        {"path": "empty", "is_dir": false, "file_size": 0},
        {"path": "grün 100%.txt", "is_dir": false, "file_size": 4},
        {"path": "model", "is_dir": true},
    ]);
    for query in ["?path=0/r/artifacts", "?path=0%2Fr%2Fartifacts%2F"] {
        assert_eq!(server.get(&format!("{PROXY}{query}")).await, (200, json!({"files": files})));
    }
    assert_eq!(server.get(PROXY).await, (200, json!({"files": [{"path": "0", "is_dir": true}]})));
    assert_eq!(server.get(&format!("{PROXY}?path=0/nowhere")).await, (200, json!({})));
    assert_eq!(server.get(&format!("{PROXY}?path=0/r/artifacts/empty")).await, (200, json!({})));

    let (status, answer) = server.get(&format!("{PROXY}/0/nope.txt")).await;
    let text = "No such artifact: '0/nope.txt'";
    assert_eq!((status, answer), (404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": text})));
    assert_eq!(server.get(&format!("{PROXY}/0/r/artifacts/model")).await.0, 404, "a directory is no file");

    let gone = server.request(Method::DELETE, &format!("{PROXY}/0/r/artifacts/model"));
    assert_eq!(server.send(gone).await, (200, json!({})));
    assert_eq!(server.get(&format!("{PROXY}/0/r/artifacts/model/MLmodel")).await.0, 404);
}

#[tokio::test]
async fn a_range_is_sent_alone() {
    let server = Server::start().await;
    put(&server, "0/f.bin", "0123456789").await;
    let ask = async |range: &str| {
        let request = server.request(Method::GET, &format!("{PROXY}/0/f.bin")).header(RANGE, range);
        let response = request.send().await.unwrap();
        let told = response.headers().get(CONTENT_RANGE).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), told, response.text().await.unwrap())
    };
    assert_eq!(ask("bytes=2-4").await, (206, Some("bytes 2-4/10".to_owned()), "234".to_owned()));
    assert_eq!(ask("bytes=8-100").await, (206, Some("bytes 8-9/10".to_owned()), "89".to_owned()));
    assert_eq!(ask("bytes=-1").await, (206, Some("bytes 9-9/10".to_owned()), "9".to_owned()));
    assert_eq!(ask("bytes=10-").await, (416, Some("bytes */10".to_owned()), String::new()));
    assert_eq!(ask("bytes=0-1,4-5").await, (200, None, "0123456789".to_owned()));
    let head = server.request(Method::HEAD, &format!("{PROXY}/0/f.bin")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "10"));
}

#[tokio::test]
async fn no_path_leads_out_of_the_store() {
    let server = Server::start().await;
    put(&server, "0/f", "x").await;
    for path in [
        "%2e%2e/rondo.db",
        "%2e%2e%2frondo.db",
        "0/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "%252e%252e/rondo.db",
        "%252e%252e%252frondo.db",
        "..%5crondo.db",
        "%2fetc/passwd",
        "/etc/passwd",
        "0//f",
        "0/f%00",
        "0/f%23x",
        "C:/x",
        "file:%2f%2f%2fetc/passwd",
        "0/.",
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            // The client would tidy such a path up; it is sent as it is.
            let status = raw(&server, &method, &format!("{PROXY}/{path}")).await;
            assert_eq!(status, 400, "{method} {path}");
        }
        let status = raw(&server, &Method::GET, &format!("{PROXY}?path={path}")).await;
        assert!(status == 400 || status == 200 && path.contains("0/f"), "list {path}: {status}");
    }
    let run_id = a_run(&server).await;
    for path in ["..%2f..", "%252e%252e", "%2Fetc", "a%5Cb"] {
        for at in ["artifacts/list", "get-artifact"] {
            let (status, answer) = server.get(&format!("/api/2.0/mlflow/{at}?run_id={run_id}&path={path}")).await;
            assert_eq!((status, &answer["error_code"]), (400, &json!("INVALID_PARAMETER_VALUE")), "{at} {path}");
        }
    }
    assert_eq!(server.get(&format!("{PROXY}/0/f")).await, (200, json!("x")));
}

/// A request whose path no library touches; returns the status.
async fn raw(server: &Server, method: &Method, target: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request =
        format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let server = Server::start().await;
    let half = futures_util::stream::iter([
        Ok(Bytes::from(vec![7; 300_000])),
        Err(std::io::Error::other("the client went away")),
    ]);
    let request = server.request(Method::PUT, &format!("{PROXY}/0/r/artifacts/half.bin"));
    assert!(request.body(Body::wrap_stream(half)).send().await.is_err());
    assert_eq!(server.get(&format!("{PROXY}/0/r/artifacts/half.bin")).await.0, 404);
    assert_eq!(server.get(&format!("{PROXY}?path=0/r/artifacts")).await, (200, json!({})));
}

#[tokio::test]
async fn a_large_file_streams_through() {
    let server = Server::start().await;
    let chunk = Bytes::from(vec![7; 1 << 20]);
    let chunks = futures_util::stream::iter((0..80).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    assert_eq!(put(&server, "0/big.bin", Body::wrap_stream(chunks)).await, 200);
    let (_, listed) = server.get(&format!("{PROXY}?path=0")).await;
    assert_eq!(listed["files"][0]["file_size"], 80 << 20);
    let mut response = server.request(Method::GET, &format!("{PROXY}/0/big.bin")).send().await.unwrap();
    let mut total = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        total += chunk.len();
    }
    assert_eq!(total, 80 << 20);
}

#[tokio::test]
async fn a_run_and_a_logged_model_list_below_their_roots() {
    let server = Server::start().await;
    let run_id = a_run(&server).await;
    let root = format!("0/{run_id}/artifacts");
    put(&server, &format!("{root}/plots/a.png"), "png").await;
    put(&server, &format!("{root}/notes.txt"), "notes").await;
    let listed = get(&server, &format!("/artifacts/list?run_id={run_id}")).await;
    let root_uri = format!("mlflow-artifacts:/{root}");
    let files = json!([{"path": "notes.txt", "is_dir": false, "file_size": 5}, {"path": "plots", "is_dir": true}]);
    assert_eq!(listed, json!({"root_uri": root_uri, "files": files}));
    let listed = get(&server, &format!("/artifacts/list?run_uuid={run_id}&path=plots")).await;
    assert_eq!(listed["files"], json!([{"path": "plots/a.png", "is_dir": false, "file_size": 3}]));
    assert_eq!(get(&server, &format!("/artifacts/list?run_id={run_id}&path=x")).await, json!({"root_uri": root_uri}));
    assert_eq!(server.get("/api/2.0/mlflow/artifacts/list?run_id=nope").await.0, 404);
    for path in ["/get-artifact", "/api/2.0/mlflow/get-artifact"] {
        let (_, text) = server.get(&format!("{path}?run_id={run_id}&path=notes.txt")).await;
        assert_eq!(text, "notes");
    }

    let model =
        ok(&server, "/logged-models", json!({"experiment_id": "0", "name": "m"})).await["model"]["info"].clone();
    let model_id = model["model_id"].as_str().unwrap();
    put(&server, &format!("0/models/{model_id}/artifacts/data/x"), "1").await;
    let listed = get(&server, &format!("/logged-models/{model_id}/artifacts/directories")).await;
    assert_eq!(listed, json!({"root_uri": model["artifact_uri"], "files": [{"path": "data", "is_dir": true}]}));
    let query = format!("/logged-models/{model_id}/artifacts/directories?artifact_directory_path=data");
    assert_eq!(get(&server, &query).await["files"][0]["path"], "data/x");
    let query = format!("/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files?artifact_file_path=data/x");
    assert_eq!(server.get(&query).await, (200, json!(1)));

    let page = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=ui/a.txt");
    assert_eq!(server.send(server.request(Method::POST, &page).body("from a page")).await.0, 200);
    let too_large = server.request(Method::POST, &page).body(vec![0; (10 << 20) + 1]);
    assert_eq!(server.send(too_large).await.0, 413);
    let (_, text) = server.get(&format!("{PROXY}/{root}/ui/a.txt")).await;
    assert_eq!(text, "from a page");
}

const PARTS: &str = "/api/2.0/mlflow-artifacts/mpu";

/// Starts an upload, and answers its id and the links.
async fn start_parts(server: &Server, folder: &str, name: &str, parts: u32) -> (String, Vec<String>) {
    let (status, answer) = server
        .post(&format!("{PARTS}/create/{folder}"), &json!({"path": format!("/home/me/{name}"), "num_parts": parts}))
        .await;
    assert_eq!(status, 200, "{answer}");
    let credentials = answer["credentials"].as_array().unwrap();
    let numbers: Vec<&Value> = credentials.iter().map(|one| &one["part_number"]).collect();
    assert_eq!(numbers, (1..=parts).collect::<Vec<_>>());
    assert!(credentials.iter().all(|one| one["headers"] == json!({})));
    let links = credentials.iter().map(|one| one["url"].as_str().unwrap().to_owned()).collect();
    (answer["upload_id"].as_str().unwrap().to_owned(), links)
}

/// Sends a part as MLflow's client does: to the link, with nothing that says who it is.
async fn send_part(link: &str, bytes: &'static str) -> (u16, String) {
    let answer = reqwest::Client::new().put(link).body(bytes).send().await.unwrap();
    let etag = answer.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
    (answer.status().as_u16(), etag.unwrap_or_default())
}

#[tokio::test]
async fn a_file_comes_in_parts() {
    let server = Server::start().await;
    let folder = format!("0/{}/artifacts/model", a_run(&server).await);
    let (upload_id, links) = start_parts(&server, &folder, "weights.bin", 3).await;
    assert!(links[0].starts_with(&format!("{}{PARTS}/part/{upload_id}/1?until=", server.url)), "{}", links[0]);
    let mut parts = Vec::new();
    for (index, text) in [(2, "of it"), (0, "three "), (1, "parts ")] {
        let (status, etag) = send_part(&links[index], text).await;
        assert_eq!((status, etag.starts_with('"')), (200, true));
        parts.push(json!({"part_number": index + 1, "etag": etag, "url": links[index]}));
    }
    assert_eq!(server.get(&format!("{PROXY}/{folder}/weights.bin")).await.0, 404, "not before the last word");
    let done = json!({"path": "weights.bin", "upload_id": upload_id, "parts": parts});
    let (status, answer) = server.post(&format!("{PARTS}/complete/{folder}"), &done).await;
    assert_eq!((status, answer), (200, json!({})));
    let (_, text) = server.get(&format!("{PROXY}/{folder}/weights.bin")).await;
    assert_eq!(text, "three parts of it");
    assert_eq!(server.post(&format!("{PARTS}/complete/{folder}"), &done).await.0, 404);
    assert_eq!(send_part(&links[0], "late").await.0, 403);
    assert_eq!(server.get("/api/2.0/mlflow-artifacts/presigned/0/f").await.0, 501);
}

#[tokio::test]
async fn an_upload_in_parts_is_aborted_and_its_errors_say_what_is_wrong() {
    let server = Server::start().await;
    let (upload_id, links) = start_parts(&server, "0/f", "f.bin", 2).await;
    let (_, first) = send_part(&links[0], "one").await;
    let complete = async |parts: Value| {
        let body = json!({"path": "f.bin", "upload_id": upload_id, "parts": parts});
        let (status, answer) = server.post(&format!("{PARTS}/complete/0/f"), &body).await;
        (status, answer["message"].as_str().unwrap_or_default().to_owned())
    };
    let both = json!([{"part_number": 1, "etag": first}, {"part_number": 2, "etag": first}]);
    assert_eq!(complete(both).await, (400, "part 2 of the upload: it was never sent".to_owned()));
    assert_eq!(complete(json!([])).await, (400, "part 1 of the upload: no part is named".to_owned()));
    let (status, text) = complete(json!([{"part_number": 1, "etag": "else"}])).await;
    assert_eq!((status, text.contains("its etag is not the one")), (400, true), "{text}");

    let forged = links[0].replace("seal=", "seal=0");
    let longer = links[0].replace("until=", "until=9");
    let other = links[0].replace("/1?", "/2?");
    for link in [forged, longer, other] {
        assert_eq!(send_part(&link, "x").await.0, 403, "{link}");
    }
    let abort = json!({"path": "f.bin", "upload_id": upload_id});
    assert_eq!(server.post(&format!("{PARTS}/abort/0/g"), &abort).await.0, 404, "of another file");
    assert_eq!(server.post(&format!("{PARTS}/abort/0/f"), &abort).await, (200, json!({})));
    assert_eq!(send_part(&links[0], "x").await.0, 403);
    assert_eq!(server.get(&format!("{PROXY}/0/f/f.bin")).await.0, 404);
    for parts in [json!(0), json!(10_001), json!(-1), Value::Null] {
        let body = json!({"path": "f", "num_parts": parts});
        assert_eq!(server.post(&format!("{PARTS}/create/0/f"), &body).await.0, 400, "{parts}");
    }
}

#[tokio::test]
async fn files_of_a_registered_version_stay_as_they_are() {
    let server = Server::start().await;
    let run_id = a_run(&server).await;
    let root = format!("0/{run_id}/artifacts");
    put(&server, &format!("{root}/model/model.pkl"), "evaluated").await;
    put(&server, &format!("{root}/plot.png"), "plot").await;
    ok(&server, "/registered-models/create", json!({"name": "m"})).await;
    let new = json!({"name": "m", "source": format!("mlflow-artifacts:/{root}/model"), "run_id": run_id});
    ok(&server, "/model-versions/create", new).await;

    assert_eq!(put(&server, &format!("{root}/model/model.pkl"), "swapped").await, 403);
    let in_parts = json!({"path": "model.pkl", "num_parts": 1});
    assert_eq!(server.post(&format!("{PARTS}/create/{root}/model"), &in_parts).await.0, 403);
    for path in [format!("{root}/model/model.pkl"), format!("{root}/model"), root.clone(), "0".to_owned()] {
        let gone = server.request(Method::DELETE, &format!("{PROXY}/{path}"));
        let (status, answer) = server.send(gone).await;
        assert_eq!(status, 403, "{path}");
        assert!(answer["message"].as_str().unwrap().contains("version 1 of the registered model 'm'"), "{answer}");
    }
    let (_, text) = server.get(&format!("{PROXY}/{root}/model/model.pkl")).await;
    assert_eq!(text, "evaluated");
    assert_eq!(put(&server, &format!("{root}/plot.png"), "better plot").await, 200);
    let gone = server.request(Method::DELETE, &format!("{PROXY}/{root}/plot.png"));
    assert_eq!(server.send(gone).await.0, 200);

    let body = json!({"name": "m", "version": "1"});
    super::send(&server, Method::DELETE, "/model-versions/delete", body).await;
    let gone = server.request(Method::DELETE, &format!("{PROXY}/{root}/model"));
    assert_eq!(server.send(gone).await.0, 200);
    a_version(&server, "m").await;
}
