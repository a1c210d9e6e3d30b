//! Paths of attackers, sent as they are to every artifact route: nothing outside of the store is read, written, removed or called.
//! The classes are those of known holes in servers of this kind: traversal in every encoding, absolute and foreign paths, schemes,
//! links, archives, and addresses of other servers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;

const PROXIES: [&str; 2] = ["/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts"];
const CANARY: &str = "canary-5c1f0c4e";

/// Paths that lead out in some reading of them. As they stand in a request: nothing tidies them up.
const CLIMBING: [&str; 65] = [
    "..",
    "../secret",
    "../../secret/canary",
    "../../../../../../../../../../../../../../etc/passwd",
    "0/../../secret/canary",
    "0/..",
    "0/./../../secret/canary",
    "./../../secret/canary",
    ".",
    "0/.",
    "0/./x",
    "0/../x",
    "0//x",
    "//etc/passwd",
    "/etc/passwd",
    "%2e%2e/secret",
    "%2e%2e%2fsecret%2fcanary",
    "..%2f..%2fsecret%2fcanary",
    ".%2e/secret/canary",
    "%2e./secret/canary",
    "0/%2e%2e/%2e%2e/secret/canary",
    "0/..%2f..%2fsecret%2fcanary",
    "%2E%2E%2Fsecret%2Fcanary",
    "%252e%252e/secret",
    "%252e%252e%252fsecret%252fcanary",
    "0/%252e%252e/%252e%252e/secret/canary",
    "..%252f..%252fsecret",
    "%25252e%25252e%25252fsecret",
    "%2525252e%2525252e%2525252fsecret",
    "0/%25252e%25252e/x",
    "%2fetc%2fpasswd",
    "%252fetc%252fpasswd",
    "%2f%2fetc%2fpasswd",
    "//proc/self/root/etc/passwd",
    "%2fproc%2fself%2fenviron",
    "..\\secret\\canary",
    "..%5csecret%5ccanary",
    "%2e%2e%5csecret",
    "..%255csecret",
    "0\\..\\..\\secret",
    "0/..\\..\\secret",
    "C:/windows/win.ini",
    "c:%5cwindows%5cwin.ini",
    "C%3a%5cwindows",
    "\\\\evil\\share\\x",
    "%5c%5cevil%5cshare",
    "//evil/share/x",
    "file:///etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "http:///%23/../../secret",
    "http://evil/%23/../../../secret/canary",
    "0/x%00",
    "0/x%00.txt",
    "..%00/secret",
    "0/%00/../secret",
    "0/x%0d%0aset-cookie:%20a=b",
    "0/x%7f",
    "0/x%1b[2J",
    "0/%23/../../secret",
    "%23/../secret",
    "0/x%23frag",
    ".incoming/x",
    ".incoming",
    "%2eincoming/x",
    "0/x//",
];

/// Paths that look like leading out and do not: a file of that name inside may be made and is found again.
const ODD: [&str; 15] = [
    "0/x/",
    "0/...",
    "0/..;",
    "0/..;/x",
    "0/..%3b/x",
    "0/....%3fx",
    "0/~root",
    "0/$HOME",
    "0/%60id%60",
    "0/$(id)",
    "0/-rf",
    "0/%3cscript%3e",
    "0/x%26y",
    "0/%e2%80%ae",
    "0/a%20b",
];

/// Every file below a folder, but for what the server itself writes beside the store.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let own = folder == root && (name == "objects" || name == "log" || name.starts_with("rondo.db"));
            if entry.file_type().unwrap().is_dir() && !own {
                folders.push(entry.path());
            } else if !own {
                found.insert(entry.path(), std::fs::read(entry.path()).unwrap_or_default());
            }
        }
    }
    found
}

/// A server beside a secret, with a run, a logged model and a registered version whose files are in the store.
struct Scene {
    server: Server,
    run_id: String,
    before: BTreeMap<PathBuf, Vec<u8>>,
    sent: usize,
}

impl Scene {
    async fn new(server: Server) -> Self {
        let secret = server.folder("secret");
        std::fs::write(secret.join("canary"), CANARY).unwrap();
        let run_id = super::mlflow::a_run(&server).await;
        let upload = format!("{}/artifacts/0/{run_id}/artifacts/model/MLmodel", PROXIES[0]);
        let (status, answer) = server.send(server.request(Method::PUT, &upload).body("flavors: {}")).await;
        assert_eq!(status, 200, "{answer}");
        let source = json!({"name": "m", "source": format!("runs:/{run_id}/model"), "run_id": run_id});
        server.post("/api/2.0/mlflow/registered-models/create", &json!({"name": "m"})).await;
        let (status, answer) = server.post("/api/2.0/mlflow/model-versions/create", &source).await;
        assert_eq!(status, 200, "{answer}");
        let before = tree(&server.folder("."));
        Self { server, run_id, before, sent: 0 }
    }

    /// Sends a target byte by byte, and returns the status. No answer ever holds what lies outside.
    async fn send(&mut self, method: &str, target: &str) -> u16 {
        self.sent += 1;
        let (status, answer) = raw(&self.server, method, target).await;
        assert!(
            !answer.contains(CANARY) && !answer.contains("root:x:"),
            "{method} {target} read from outside: {answer}"
        );
        assert!(!answer.to_ascii_lowercase().contains("\r\nset-cookie"), "{method} {target} wrote a header");
        assert!(status < 500 || status == 501, "{method} {target}: {answer}");
        status
    }

    /// Nothing beside the store has changed.
    fn check_untouched(&self) {
        let after = tree(&self.server.folder("."));
        let names = |tree: &BTreeMap<PathBuf, Vec<u8>>| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&self.before), names(&after), "files came or went beside the store");
        assert!(self.before == after, "a file beside the store has changed");
    }
}

async fn raw(server: &Server, method: &str, target: &str) -> (u16, String) {
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head =
        format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\nconnection: close\r\n\r\nevil");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0), answer)
}

/// In a query a `?`, `#` or `&` of the path itself would end it.
fn in_query(path: &str) -> String {
    path.replace('#', "%23").replace('&', "%26").replace('\\', "%5c").replace(' ', "%20")
}

#[tokio::test]
async fn no_path_reaches_beyond_the_store() {
    let mut scene = Scene::new(Server::start().await).await;
    for path in CLIMBING {
        for proxy in PROXIES {
            for method in ["GET", "HEAD", "PUT", "DELETE"] {
                let status = scene.send(method, &format!("{proxy}/artifacts/{path}")).await;
                assert!((400..500).contains(&status), "{method} {path}: {status}");
            }
            let status = scene.send("POST", &format!("{proxy}/mpu/create/{path}")).await;
            assert!((400..=501).contains(&status), "{path}: {status}");
        }
    }
    scene.check_untouched();
    assert!(scene.sent >= 650, "{}", scene.sent);
}

#[tokio::test]
async fn no_parameter_reaches_beyond_the_files_it_is_about() {
    let mut scene = Scene::new(Server::start().await).await;
    let run = scene.run_id.clone();
    for path in CLIMBING.map(in_query) {
        let reads = [
            format!("/api/2.0/mlflow/get-artifact?run_id={run}&path={path}"),
            format!("/get-artifact?run_uuid={run}&path={path}"),
            format!("/model-versions/get-artifact?name=m&version=1&path={path}"),
            format!("/api/2.0/mlflow/get-artifact?run_id={path}&path=model/MLmodel"),
            format!("/model-versions/get-artifact?name={path}&version=1&path=MLmodel"),
            format!("/model-versions/get-artifact?name=m&version={path}&path=MLmodel"),
        ];
        for target in reads {
            let status = scene.send("GET", &target).await;
            assert!((400..500).contains(&status), "{target}: {status}");
        }
        let status =
            scene.send("POST", &format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}")).await;
        assert!((400..500).contains(&status), "upload {path}: {status}");
        // A listing of nothing is an answer; one of something outside is not.
        scene.send("GET", &format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}")).await;
        scene.send("GET", &format!("{}/artifacts?path={path}", PROXIES[0])).await;
    }
    scene.check_untouched();
    assert!(scene.sent >= 580, "{}", scene.sent);
}

#[tokio::test]
async fn names_that_only_look_odd_stay_inside() {
    let mut scene = Scene::new(Server::start().await).await;
    for path in ODD {
        for method in ["PUT", "GET"] {
            let status = scene.send(method, &format!("{}/artifacts/{path}", PROXIES[0])).await;
            assert!(status == 200 || (400..500).contains(&status), "{method} {path}: {status}");
        }
    }
    scene.check_untouched();
}

#[tokio::test]
async fn links_that_lead_out_are_not_followed() {
    let mut scene = Scene::new(Server::start().await).await;
    let inside = scene.server.folder("objects/artifacts/0/links");
    let secret = scene.server.folder("secret");
    let targets = [
        ("abs", secret.clone()),
        ("file", secret.join("canary")),
        ("rel", "../../../../secret".into()),
        ("root", "/".into()),
    ];
    for (name, target) in &targets {
        std::os::unix::fs::symlink(target, inside.join(name)).unwrap();
    }
    for path in
        ["abs/canary", "file", "rel/canary", "root/etc/passwd", "abs/new", "rel/new", "root/tmp/new", "abs", "rel"]
    {
        for method in ["GET", "HEAD", "PUT"] {
            let status = scene.send(method, &format!("{}/artifacts/0/links/{path}", PROXIES[0])).await;
            assert!((400..500).contains(&status), "{method} {path}: {status}");
        }
    }
    for path in ["abs/canary", "rel/canary", "root/etc/passwd", "abs", "rel", "root", "file"] {
        scene.send("DELETE", &format!("{}/artifacts/0/links/{path}", PROXIES[0])).await;
        scene.send("GET", &format!("{}/artifacts?path=0/links/{path}", PROXIES[0])).await;
    }
    scene.send("DELETE", &format!("{}/artifacts/0/links", PROXIES[0])).await;
    scene.check_untouched();
    assert!(Path::new("/etc/passwd").exists());
}

/// Where an attacker would like artifacts to be: on this machine, or on a server that only this machine can reach.
fn places(listener: u16) -> Vec<String> {
    let mut places: Vec<String> = [
        "/etc",
        "//etc",
        "file:///etc",
        "file:/etc",
        "file://localhost/etc",
        "FILE:///etc",
        "../../secret",
        "./secret",
        "mlflow-artifacts:/../../secret",
        "mlflow-artifacts:/%2e%2e/%2e%2e/secret",
        "mlflow-artifacts:/0/../../../secret",
        "mlflow-artifacts:/%252e%252e/secret",
        "mlflow-artifacts:///etc",
        "mlflow-artifacts://evil/../../secret",
        "mlflow-artifacts:/0/x?y=/../../secret",
        "mlflow-artifacts:/0/x#/../../secret",
        "http:///#/../../etc",
        "http://x/?/../../etc",
        "C:\\windows",
        "\\\\evil\\share",
        "runs:/../../secret",
        "models:/../../secret",
        "dbfs:/../secret",
        "data:text/plain,x",
        "gopher://127.0.0.1:25/x",
        "s3://bucket/../../secret",
        "jar:file:///etc!/x",
        "mlflow-artifacts:/..\\..\\secret",
    ]
    .map(str::to_owned)
    .into();
    for host in [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0177.0.0.1",
        "0x7f000001",
        "127.1",
        "ok@127.0.0.1",
        "127.0.0.1.nip.io",
    ] {
        places.push(format!("http://{host}:{listener}/model"));
        places.push(format!("https://{host}:{listener}/model"));
    }
    places.push("http://169.254.169.254/latest/meta-data/iam/security-credentials/".to_owned());
    places
}

#[tokio::test]
async fn no_place_that_a_request_names_is_gone_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut scene = Scene::new(Server::turning().await).await;
    let run_id = scene.run_id.clone();
    for (number, place) in places(port).into_iter().enumerate() {
        let post = async |path: &str, body: Value| scene.server.post(&format!("/api/2.0/mlflow{path}"), &body).await;
        let new = json!({"name": format!("e{number}"), "artifact_location": place});
        let (status, answer) = post("/experiments/create", new).await;
        assert!(status < 500, "{place}: {answer}");
        if status == 200 {
            let of = json!({"experiment_id": answer["experiment_id"]});
            let (_, answer) = post("/runs/create", of).await;
            let id = answer["run"]["info"]["run_id"].as_str().unwrap().to_owned();
            let read = ["passwd", "canary", "secret/canary"];
            for path in read {
                let status = scene.send("GET", &format!("/get-artifact?run_uuid={id}&path={path}")).await;
                assert!((400..500).contains(&status), "{place} {path}: {status}");
            }
            scene.send("GET", &format!("/api/2.0/mlflow/artifacts/list?run_id={id}")).await;
            scene.send("POST", &format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={id}&path=evil")).await;
        }
        let post = async |path: &str, body: Value| scene.server.post(&format!("/api/2.0/mlflow{path}"), &body).await;
        let version = json!({"name": "m", "source": place, "run_id": run_id});
        let (status, answer) = post("/model-versions/create", version).await;
        assert!(status < 500, "{place}: {answer}");
        let bare = json!({"name": "m", "source": place});
        assert!(post("/model-versions/create", bare).await.0 < 500);
        if let Some(version) = answer["model_version"]["version"].as_str() {
            let target = format!("/model-versions/get-artifact?name=m&version={version}&path=canary");
            let status = scene.send("GET", &target).await;
            assert!((400..500).contains(&status), "{place}: {status}");
        }
        scene.sent += 3;
    }
    at_rest(&scene.server).await;
    scene.check_untouched();
    let called = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(called.is_err(), "the canary listener was called");
    assert!(scene.sent >= 150, "{}", scene.sent);
}

async fn at_rest(server: &Server) {
    loop {
        let (_, answer) = server.get("/api/v1/loop").await;
        if answer["idle"] == true {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One entry of a tar archive, by hand: names that no library would write.
fn tar(name: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut head = [0_u8; 512];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[100..108].copy_from_slice(b"0000644\0");
    head[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    head[156] = kind;
    head[157..157 + link.len()].copy_from_slice(link.as_bytes());
    head[257..265].copy_from_slice(b"ustar\x0000");
    head[148..156].copy_from_slice(b"        ");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = head.to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512) + 1_024, 0);
    bytes
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[tokio::test]
async fn archives_are_bytes_and_nothing_is_unpacked() {
    let scene = Scene::new(Server::turning().await).await;
    let zeros = vec![0_u8; 8 << 20];
    let many: Vec<String> = (0..2_000).map(|number| format!("{number}/../../{number}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), b"" as &[u8])).collect();
    let archives: Vec<(&str, Vec<u8>)> = vec![
        ("climb.skops", zip(&[("../../secret/canary", b"evil"), ("schema.json", b"{}")])),
        ("absolute.skops", zip(&[("/etc/rondo-evil", b"evil"), ("schema.json", b"{}")])),
        ("backslash.skops", zip(&[("..\\..\\secret\\canary", b"evil")])),
        ("bomb.skops", zip(&[("schema.json", &zeros)])),
        ("many.skops", zip(&many)),
        ("torn.skops", zip(&[("schema.json", b"{}")])[..20].to_vec()),
        ("climb.tar", tar("../../secret/canary", b'0', "", b"evil")),
        ("symlink.tar", tar("link", b'2', "/etc", b"")),
        ("hardlink.tar", tar("link", b'1', "../../secret/canary", b"")),
        ("device.tar", tar("device", b'3', "", b"")),
        ("climb.joblib", zip(&[("../../secret/canary", b"evil")])),
        ("model.pkl", b"cos\nsystem\n(S'touch secret/evil'\ntR.".to_vec()),
    ];
    for (name, bytes) in &archives {
        let run = super::mlflow::a_run(&scene.server).await;
        let put = async |file: &str, bytes: Vec<u8>| {
            let target = format!("{}/artifacts/0/{run}/artifacts/model/{file}", PROXIES[0]);
            scene.server.send(scene.server.request(Method::PUT, &target).body(bytes)).await
        };
        let mlmodel = format!("flavors:\n  sklearn:\n    pickled_model: {name}\n    sklearn_version: 1.9.1\n");
        assert_eq!(put("MLmodel", mlmodel.into_bytes()).await.0, 200);
        assert_eq!(put(name, bytes.clone()).await.0, 200);
        let source = json!({"name": "m", "source": format!("runs:/{run}/model"), "run_id": run});
        let (status, answer) = scene.server.post("/api/2.0/mlflow/model-versions/create", &source).await;
        assert_eq!(status, 200, "{answer}");
    }
    at_rest(&scene.server).await;
    scene.check_untouched();
    assert!(!Path::new("/etc/rondo-evil").exists());
}
