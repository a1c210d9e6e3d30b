//! Artifacts: bytes up and down, listings, deletion. Everything streams; no size is held in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use access::Permission::{Edit, View};
use axum::body::Body as Stream;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use blob::{Entry, SafePath};
use conductor::House;
use futures_util::TryStreamExt as _;
use kernel::ctx::{DEFAULT_WORKSPACE, Principal};
use registry::version;
use serde::{Deserialize, Serialize};
use tracking::{logged_model, run};

use super::{Answer, Body, Error, Routes, answer, empty, read};
use crate::principal::Caller;
use crate::route::{get, post, put};

mod kind;
mod parts;

/// The prefixes of the proxy, which stands beside the rest of the protocol.
const PREFIXES: [&str; 2] = ["/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts"];

/// Routes below the usual prefixes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/artifacts/list", get(View, list_of_run))
        .route("/logged-models/{model_id}/artifacts/directories", get(View, list_of_logged_model))
        .route("/logged-models/{model_id}/artifacts/files", get(View, file_of_logged_model))
        .route("/get-artifact", get(View, file_of_run))
        .route("/upload-artifact", post(Edit, upload_to_run))
}

/// Routes with prefixes of their own.
pub(crate) fn root_routes() -> Routes {
    let proxy = Routes::new()
        .route("/artifacts", get(View, list))
        .route("/artifacts/", get(View, list))
        .route("/artifacts/{*path}", put(Edit, upload).get(View, download).delete(Edit, remove))
        .route("/presigned/{*path}", get(View, presigned))
        .merge(parts::routes());
    let pages = parts::root_routes()
        .route("/get-artifact", get(View, file_of_run))
        .route("/model-versions/get-artifact", get(View, file_of_version));
    PREFIXES.into_iter().fold(pages, |router, prefix| router.nest(prefix, proxy.clone()))
}

/// The directory of the store that the proxy shows. In another workspace than the default one a path begins in its own part, whether it
/// says so or not.
fn proxied(house: &House, path: &str) -> Result<SafePath, Error> {
    let path = match (&*house.workspace, path) {
        (DEFAULT_WORKSPACE, path) => format!("artifacts/{}", plain(path)?),
        (workspace, "") => format!("artifacts/workspaces/{workspace}"),
        (_, path) if path.starts_with("workspaces/") => format!("artifacts/{}", plain(path)?),
        (workspace, path) => format!("artifacts/workspaces/{workspace}/{}", plain(path)?),
    };
    plain(&path)
}

fn plain(path: &str) -> Result<SafePath, Error> {
    Ok(SafePath::parse(path).map_err(blob::Error::from)?)
}

/// A path below an artifact location; nothing below it is the location itself.
fn below(root_uri: &str, path: &str) -> Result<SafePath, Error> {
    let root = blob::artifact_path(root_uri).map_err(|_| {
        Error::invalid(format!("The artifacts at {root_uri} are not kept by this server: read them from there."))
    })?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() { Ok(root) } else { Ok(root.join(path).map_err(blob::Error::from)?) }
}

#[derive(Debug, Serialize)]
struct FileShape {
    path: String,
    is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
}

impl FileShape {
    fn new(entry: Entry, prefix: &str) -> Self {
        let path = if prefix.is_empty() { entry.name } else { format!("{prefix}/{}", entry.name) };
        Self { path, is_dir: entry.is_dir, file_size: (!entry.is_dir).then_some(entry.size) }
    }
}

#[derive(Debug, Serialize)]
struct ListAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    root_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileShape>,
}

/// Names as the proxy sends them: the last segment alone.
async fn list(State(house): State<House>, body: Body) -> Answer {
    let path = body.fields().text_or_empty("path")?;
    let path = path.strip_suffix('/').unwrap_or(&path);
    let is_root = path.is_empty() && &*house.workspace == DEFAULT_WORKSPACE;
    let dir = if is_root { "artifacts".to_owned() } else { proxied(&house, path)?.to_string() };
    let files = house.blob.list(&dir).await?.into_iter().map(|entry| FileShape::new(entry, ""));
    answer(ListAnswer { root_uri: None, files: files.collect() })
}

/// Names as everything else sends them: relative to the root.
async fn list_below(house: &House, root_uri: String, path: &str) -> Answer {
    let dir = below(&root_uri, path)?;
    let prefix = path.strip_suffix('/').unwrap_or(path);
    let files = house.blob.list(dir.as_str()).await?.into_iter().map(|entry| FileShape::new(entry, prefix));
    answer(ListAnswer { files: files.collect(), root_uri: Some(root_uri) })
}

async fn list_of_run(State(house): State<House>, Caller(who): Caller, body: Body) -> Answer {
    let fields = body.fields();
    let (run_id, path) = (fields.run_id()?, fields.text_or_empty("path")?);
    let root = root_of_run(&house, who, run_id).await?;
    list_below(&house, root, &path).await
}

async fn list_of_logged_model(
    State(house): State<House>,
    Caller(who): Caller,
    Path(model_id): Path<String>,
    body: Body,
) -> Answer {
    let path = body.fields().text_or_empty("artifact_directory_path")?;
    let root = root_of_logged_model(&house, who, model_id).await?;
    list_below(&house, root, &path).await
}

async fn root_of_run(house: &House, who: Principal, run_id: String) -> Result<String, Error> {
    read(house, who, move |tx, ctx| Ok::<_, tracking::Error>(run::info(tx, ctx, &run_id)?.artifact_uri)).await
}

async fn root_of_logged_model(house: &House, who: Principal, model_id: String) -> Result<String, Error> {
    let found = read(house, who, move |tx, ctx| logged_model::get(tx, ctx, &model_id, false)).await?;
    Ok(found.artifact_location)
}

async fn file_of_run(State(house): State<House>, Caller(who): Caller, headers: HeaderMap, body: Body) -> Answer {
    let fields = body.fields();
    let (run_id, path) = (fields.run_id()?, fields.required("path")?);
    let root = root_of_run(&house, who, run_id).await?;
    send(&house, &below(&root, &path)?, &path, &headers).await
}

async fn file_of_logged_model(
    State(house): State<House>,
    Caller(who): Caller,
    Path(model_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let path = body.fields().required("artifact_file_path")?;
    let root = root_of_logged_model(&house, who, model_id).await?;
    send(&house, &below(&root, &path)?, &path, &headers).await
}

async fn file_of_version(State(house): State<House>, Caller(who): Caller, headers: HeaderMap, body: Body) -> Answer {
    let fields = body.fields();
    let (name, number, path) = (fields.required("name")?, fields.required("version")?, fields.required("path")?);
    let root = read(&house, who, move |tx, ctx| version::download_uri(tx, ctx, &name, &number)).await?;
    send(&house, &below(&root, &path)?, &path, &headers).await
}

async fn download(State(house): State<House>, Path(path): Path<String>, headers: HeaderMap) -> Answer {
    send(&house, &proxied(&house, &path)?, &path, &headers).await
}

/// A file, or the range of it that was asked for. It is sent as an attachment of a type that no browser runs.
async fn send(house: &House, file: &SafePath, shown: &str, headers: &HeaderMap) -> Answer {
    let missing = || Error::not_found(format!("No such artifact: '{shown}'"));
    let size = house.blob.head(file).await?.ok_or_else(missing)?.size;
    let wanted = match wanted_range(headers, size) {
        Wanted::Whole => None,
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => {
            let range = format!("bytes */{size}");
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, range)]).into_response());
        }
    };
    let (meta, stream) = match house.blob.get_stream(file, wanted.clone()).await {
        Err(blob::Error::NotFound(_)) => return Err(missing()),
        other => other?,
    };
    let length = wanted.as_ref().map_or(meta.size, |range| range.end.min(meta.size) - range.start);
    let mut response = Response::new(Stream::from_stream(stream));
    let marks = response.headers_mut();
    let mut mark = |name, value: String| {
        if let Ok(value) = value.try_into() {
            marks.insert(name, value);
        }
    };
    mark(CONTENT_TYPE, kind::content_type(file.name()).to_owned());
    mark(CONTENT_DISPOSITION, kind::disposition(file.name()));
    mark(X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    mark(ACCEPT_RANGES, "bytes".to_owned());
    mark(CONTENT_LENGTH, length.to_string());
    if let Some(range) = wanted {
        mark(CONTENT_RANGE, format!("bytes {}-{}/{}", range.start, range.start + length - 1, meta.size));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

#[derive(Debug, PartialEq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// One range of bytes. What we do not understand, several ranges and a conditional one mean the whole file, as RFC 9110 allows.
fn wanted_range(headers: &HeaderMap, size: u64) -> Wanted {
    let asked = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|asked| asked.trim().split_once('-')) else { return Wanted::Whole };
    if headers.contains_key(IF_RANGE) {
        return Wanted::Whole;
    }
    let digits =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let range = match (first, last) {
        ("", length) => match digits(length) {
            Some(length) => size.saturating_sub(length)..if length == 0 { 0 } else { size },
            None => return Wanted::Whole,
        },
        (first, "") => match digits(first) {
            Some(first) => first..size,
            None => return Wanted::Whole,
        },
        (first, last) => match (digits(first), digits(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
            _ => return Wanted::Whole,
        },
    };
    if range.start < range.end { Wanted::Part(range) } else { Wanted::Nothing }
}

async fn upload(State(house): State<House>, Caller(who): Caller, Path(path): Path<String>, bytes: Stream) -> Answer {
    store(&house, who, proxied(&house, &path)?, bytes, None).await
}

/// Largest file that a page may upload, bytes.
const MAX_PAGE_UPLOAD: u64 = 10 << 20;

#[derive(Deserialize)]
struct UploadQuery {
    run_uuid: Option<String>,
    path: Option<String>,
}

async fn upload_to_run(
    State(house): State<House>,
    Caller(who): Caller,
    Query(query): Query<UploadQuery>,
    bytes: Stream,
) -> Answer {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let run_id = filled(query.run_uuid).ok_or_else(|| Error::invalid("Request must specify run_uuid."))?;
    let path = filled(query.path).ok_or_else(|| Error::invalid("Request must specify path."))?;
    let root = root_of_run(&house, who.clone(), run_id).await?;
    store(&house, who, below(&root, &path)?, bytes, Some(MAX_PAGE_UPLOAD)).await
}

async fn store(house: &House, who: Principal, file: SafePath, bytes: Stream, limit: Option<u64>) -> Answer {
    if house.blob.head(&file).await?.is_some() {
        check_unregistered(house, who, &file).await?;
    }
    let stream = bytes.into_data_stream().map_err(std::io::Error::other);
    house.blob.put_stream(&file, stream, limit).await?;
    empty()
}

async fn remove(State(house): State<House>, Caller(who): Caller, Path(path): Path<String>) -> Answer {
    let target = proxied(&house, &path)?;
    check_unregistered(&house, who, &target).await?;
    house.blob.delete_all(target.as_str()).await?;
    empty()
}

/// What a registered version is made of stays as it is: a verdict speaks of those bytes and of no others.
async fn check_unregistered(house: &House, who: Principal, target: &SafePath) -> Result<(), Error> {
    let path = target.as_str().strip_prefix("artifacts/").unwrap_or_default().to_owned();
    let owner =
        read(house, who, move |tx, ctx| version::at_location(tx, ctx, &format!("mlflow-artifacts:/{path}"))).await?;
    match owner {
        None => Ok(()),
        Some(owner) => Err(Error::forbidden(format!(
            "These files belong to version {} of the registered model '{}' and cannot be changed: register a new version, or \
             delete that one first.",
            owner.version, owner.name
        ))),
    }
}

/// How long a link to a file may be used, as in MLflow.
const LINK_TIME: Duration = Duration::from_mins(5);

#[derive(Debug, Serialize)]
struct PresignedAnswer {
    url: String,
    headers: BTreeMap<String, String>,
    file_size: u64,
}

/// A link by which the client fetches the file from the object store itself.
async fn presigned(State(house): State<House>, Path(path): Path<String>) -> Answer {
    let file = proxied(&house, &path)?;
    let Some(url) = house.blob.presigned(&file, LINK_TIME).await? else {
        return Err(Error::not_implemented("Multipart download is not supported for the current artifact repository"));
    };
    let found = house.blob.head(&file).await?;
    let file_size = found.ok_or_else(|| Error::not_found(format!("No such artifact: '{path}'")))?.size;
    answer(PresignedAnswer { url, headers: BTreeMap::new(), file_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let check = |value: &str, size: u64, expect: Wanted| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, value.parse().unwrap());
            assert_eq!(wanted_range(&headers, size), expect, "{value}");
            headers.insert(IF_RANGE, "\"x\"".parse().unwrap());
            assert_eq!(wanted_range(&headers, size), Wanted::Whole);
        };
        check("bytes=0-0", 10, Wanted::Part(0..1));
        check("bytes=2-5", 10, Wanted::Part(2..6));
        check("bytes=2-", 10, Wanted::Part(2..10));
        check("bytes=-3", 10, Wanted::Part(7..10));
        check("bytes=-30", 10, Wanted::Part(0..10));
        check("bytes=5-99999999999999999999", 10, Wanted::Whole);
        check("bytes=5-18446744073709551615", 10, Wanted::Part(5..10));
        check("bytes=10-", 10, Wanted::Nothing);
        check("bytes=10-12", 10, Wanted::Nothing);
        check("bytes=-0", 10, Wanted::Nothing);
        check("bytes=0-", 0, Wanted::Nothing);
        for odd in ["bytes=5-2", "bytes=0-1,3-4", "bytes=a-b", "bytes=+1-2", "bytes=", "bytes=-", "lines=1-2"] {
            check(odd, 10, Wanted::Whole);
        }
        assert_eq!(wanted_range(&HeaderMap::new(), 10), Wanted::Whole);
    }
}
