//! `/v1/models`, as KServe's first protocol, TensorFlow Serving and OpenAI's clients know it.
//!
//! The three share paths, so listing and looking up answer with one object that has the members of each. Followed: listing, status and
//! metadata of a model and of its live version, and `:predict` with `instances` (answered with `predictions`) or `inputs` (answered
//! with `outputs`). Not followed: `:classify`, `:regress`, `:explain`, version labels, `{"b64": ..}` values. A model is a
//! deployment of ours. Refusals are `{"error": ".."}`, as in the Open Inference Protocol.

mod describe;

use access::Permission::Predict;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use serving::{Batch, Call};

use crate::invocations;
use crate::route::get;
use crate::scoring;
use crate::v2::error::{Error, V2};
use crate::v2::metadata::check_version;

/// Routes of this protocol.
type Routes = crate::route::Routes<V2>;

/// The routes of this protocol. A path cannot end in `{model}:predict`, so the method is read off the last segment.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/models", get(Predict, describe::list))
        .route("/v1/models/{model}", get(Predict, describe::model).post(Predict, act))
        .route("/v1/models/{model}/metadata", get(Predict, describe::metadata))
        .route(
            "/v1/models/{model}/versions/{version}",
            get(Predict, describe::model_version).post(Predict, act_on_version),
        )
        .route("/v1/models/{model}/versions/{version}/metadata", get(Predict, describe::version_metadata))
}

async fn act(State(house): State<House>, Path(last): Path<String>, headers: HeaderMap, body: Body) -> Response {
    respond(&house, None, &last, &headers, body).await
}

async fn act_on_version(
    State(house): State<House>,
    Path((model, last)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    respond(&house, Some(&model), &last, &headers, body).await
}

/// `last` is `NAME:predict`, where the name is the model's, or the version's if the model came before.
async fn respond(house: &House, model: Option<&str>, last: &str, headers: &HeaderMap, body: Body) -> Response {
    let (name, method) = last.rsplit_once(':').unwrap_or((last, ""));
    if method != "predict" {
        let message = match method {
            "" => "the path must end in `:predict`".to_owned(),
            other => format!("`:{other}` is not supported, only `:predict` is"),
        };
        return Error(serving::Error::request("path", message)).into_response();
    }
    let (model, version) = model.map_or((name, None), |model| (model, wanted(name).map(str::to_owned)));
    let request_id = scoring::request_id(headers);
    let mut response = match predict(house, model, version, headers, body).await {
        Ok((version, body)) => {
            let json = HeaderValue::from_static("application/json");
            (HeaderMap::from_iter([(CONTENT_TYPE, json), (scoring::VERSION, version)]), body).into_response()
        }
        Err(error) => Error(error).into_response(),
    };
    response.headers_mut().insert(scoring::REQUEST_ID, request_id);
    response
}

/// The version that a path names; 0 is any, as OpenVINO's clients put it.
fn wanted(version: &str) -> Option<&str> {
    Some(version).filter(|version| *version != "0")
}

async fn predict(
    house: &House,
    model: &str,
    version: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(HeaderValue, Vec<u8>), serving::Error> {
    let body = scoring::read(house, headers, body).await?;
    let bytes = body.len();
    let work = move |call: &Call| {
        let live = call.live();
        check_version(live, version.as_deref())?;
        let (frame, reply) = invocations::decode_tensors(live, &body)?;
        let answer = call.predict(Batch { frame, ..Batch::default() })?;
        Ok((scoring::header(live.version()), invocations::encode(live, &answer.output, reply)))
    };
    scoring::run(house, model, bytes, work).await
}
