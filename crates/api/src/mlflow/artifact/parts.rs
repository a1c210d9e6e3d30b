//! Uploads in parts: a client asks for one link a part, sends the parts side by side, and says that it is done. Where the store signs
//! links they lead to the store; elsewhere to this server, with a seal in place of a login, since clients send parts without one.

use std::time::Duration;

use access::Permission::{Edit, Public};
use axum::body::Body as Stream;
use axum::extract::{Path, Query, State};
use axum::http::header::{ETAG, HOST};
use axum::http::{HeaderMap, HeaderName};
use axum::response::IntoResponse as _;
use blob::{PartUpload, SafePath};
use conductor::House;
use futures_util::TryStreamExt as _;
use kernel::clock::SECOND_US;
use serde::Deserialize;
use serde_json::json;

use super::{check_unregistered, proxied};
use crate::mlflow::wire::Fields;
use crate::mlflow::{Answer, Body, Error, Routes, answer, empty};
use crate::principal::Caller;
use crate::route::{post, put};

/// How long a part may be sent after the upload was started: a large file takes its time, and all links are made at once.
const LINK_TIME: Duration = Duration::from_hours(24);
/// Where parts come to this server.
const PART: &str = "/api/2.0/mlflow-artifacts/mpu/part";

/// Routes below the prefixes of the proxy.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/mpu/create/{*path}", post(Edit, create))
        .route("/mpu/complete/{*path}", post(Edit, complete))
        .route("/mpu/abort/{*path}", post(Edit, abort))
}

/// The way of the parts.
pub(super) fn root_routes() -> Routes {
    Routes::new().route(&format!("{PART}/{{upload_id}}/{{number}}"), put(Public, take))
}

/// The file: the folder of the path, and the name that the file has at the client's.
fn target(house: &House, folder: &str, fields: &Fields<'_>) -> Result<SafePath, Error> {
    let path = fields.required("path")?;
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    proxied(house, &format!("{folder}/{name}"))
}

async fn create(
    State(house): State<House>,
    Caller(who): Caller,
    Path(folder): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let fields = body.fields();
    let (file, parts) = (target(&house, &folder, &fields)?, fields.required_integer("num_parts")?);
    if house.blob.head(&file).await?.is_some() {
        check_unregistered(&house, who, &file).await?;
    }
    let now_us = house.clock.now_us();
    let upload = house.blob.start_parts(&file, u32::try_from(parts).unwrap_or(0), now_us).await?;
    let until_s = now_us / SECOND_US + LINK_TIME.as_secs() as i64;
    let here = address(&headers);
    let mut credentials = Vec::with_capacity(upload.parts as usize);
    for number in 1..=upload.parts {
        let url = match house.blob.link_part(&upload, number, LINK_TIME, now_us).await? {
            Some(url) => url,
            None => sealed(&here, &upload, number, until_s),
        };
        credentials.push(json!({ "url": url, "part_number": number, "headers": {} }));
    }
    answer(json!({ "upload_id": upload.id, "credentials": credentials }))
}

fn sealed(here: &str, upload: &PartUpload, number: u32, until_s: i64) -> String {
    format!("{here}{PART}/{}/{number}?until={until_s}&seal={}", upload.id, upload.seal(number, until_s))
}

/// How the caller reaches this server: by the name it used, or by the one that a proxy in front says it used. Nobody else sees it.
fn address(headers: &HeaderMap) -> String {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = |name| text(HeaderName::from_static(name)).and_then(|value| value.split(',').next()).map(str::trim);
    let scheme = forwarded("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    let host = forwarded("x-forwarded-host").or_else(|| text(HOST)).unwrap_or_default();
    let prefix = forwarded("x-forwarded-prefix").unwrap_or_default().trim_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    format!("{scheme}://{host}{slash}{prefix}")
}

#[derive(Deserialize)]
struct Seal {
    until: i64,
    seal: String,
}

async fn take(
    State(house): State<House>,
    Path((upload_id, number)): Path<(String, u32)>,
    Query(seal): Query<Seal>,
    bytes: Stream,
) -> Answer {
    let refused =
        || Error::forbidden("This link is not one that was given out for a part of an upload, or its time is over.");
    let upload = match house.blob.parts(&upload_id).await {
        Err(blob::Error::NotFound(_)) => return Err(refused()),
        upload => upload?,
    };
    if house.clock.now_us() / SECOND_US > seal.until || !upload.is_sealed(number, seal.until, &seal.seal) {
        return Err(refused());
    }
    let stream = bytes.into_data_stream().map_err(std::io::Error::other);
    let etag = house.blob.put_part(&upload, number, stream).await?;
    Ok([(ETAG, etag)].into_response())
}

/// The upload that is named, if it is one of this file.
async fn named(house: &House, folder: &str, fields: &Fields<'_>) -> Result<PartUpload, Error> {
    let (file, id) = (target(house, folder, fields)?, fields.required("upload_id")?);
    let missing = || Error::not_found(format!("No upload '{id}' of '{folder}' is under way."));
    match house.blob.parts(&id).await {
        Ok(upload) if upload.path()? == file => Ok(upload),
        Ok(_) | Err(blob::Error::NotFound(_)) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

async fn complete(State(house): State<House>, Caller(who): Caller, Path(folder): Path<String>, body: Body) -> Answer {
    let fields = body.fields();
    let upload = named(&house, &folder, &fields).await?;
    let part = |part: &Fields<'_>| {
        let number = u32::try_from(part.required_integer("part_number")?).unwrap_or(0);
        Ok::<_, Error>((number, part.text_or_empty("etag")?))
    };
    let mut parts = fields.list("parts")?.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    parts.sort();
    let file = upload.path()?;
    if house.blob.head(&file).await?.is_some() {
        check_unregistered(&house, who, &file).await?;
    }
    house.blob.finish_parts(&upload, &parts).await?;
    empty()
}

async fn abort(State(house): State<House>, Path(folder): Path<String>, body: Body) -> Answer {
    let upload = named(&house, &folder, &body.fields()).await?;
    house.blob.abort_parts(&upload).await?;
    empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_the_way_the_caller_came() {
        let check = |pairs: &[(&'static str, &str)], expect: &str| {
            let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            assert_eq!(address(&pairs.collect()), expect);
        };
        check(&[("host", "localhost:5000")], "http://localhost:5000");
        check(&[("host", "ml"), ("x-forwarded-proto", "https")], "https://ml");
        check(&[("host", "10.0.0.1:5000"), ("x-forwarded-host", "ml.example, inner")], "http://ml.example");
        check(&[("host", "ml"), ("x-forwarded-prefix", "/rondo/")], "http://ml/rondo");
        check(&[("host", "ml"), ("x-forwarded-proto", "gopher")], "http://ml");
    }
}
