//! The scoring contract of `mlflow models serve`: `POST /invocations`, `GET /ping`, also below `/deployments/{name}`.
//!
//! Followed: the four JSON forms and CSV, `{"predictions": ..}`, the error shape, 415 for what is not understood, extra columns ignored,
//! the `NaN` literals that mlflow's own client sends. Not followed: stack traces in errors, Parquet bodies, and refusing requests
//! after 60 seconds.

mod answer;
mod csv_body;
mod error;
mod json_body;

use access::Permission::{Predict, Public};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use conductor::House;
use inference::Output;
use kernel::frame::Frame;
use serving::decode::Rules;
use serving::deployment::ExtraColumns;
use serving::{Batch, Call, Live};

use self::error::Error;
use crate::route::{get, post};
use crate::scoring::{self, MediaType};

/// Names the deployment that answers `/invocations`, when there are several.
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-rondo-deployment");
/// The mlflow version whose contract this is; `ScoringServerClient.get_version` reads it.
const VERSION: &str = "3.17.2";

/// Routes of this protocol.
type Routes = crate::route::Routes<error::Invocations>;

/// The routes of this protocol.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/invocations", post(Predict, invoke_only))
        .route("/ping", get(Public, ping_only))
        .route("/deployments/{name}/invocations", post(Predict, invoke))
        .route("/deployments/{name}/ping", get(Predict, ping))
        .route("/deployments/{name}/version", get(Predict, version))
}

async fn invoke_only(State(house): State<House>, headers: HeaderMap, body: Body) -> Response {
    let named = headers.get(&DEPLOYMENT).map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
    match named.or_else(|| house.fleet.only()) {
        Some(name) => respond(&house, &name, &headers, body).await,
        None => Error::WhichDeployment(house.fleet.list().into_iter().map(|status| status.deployment).collect())
            .into_response(),
    }
}

async fn invoke(State(house): State<House>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    respond(&house, &name, &headers, body).await
}

/// Ready as soon as any deployment answers.
async fn ping_only(State(house): State<House>) -> Response {
    pong(house.fleet.list().iter().any(|status| status.live.is_some()))
}

async fn ping(State(house): State<House>, Path(name): Path<String>) -> Response {
    pong(house.fleet.get(&name).is_some())
}

fn pong(ready: bool) -> Response {
    let status = if ready { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (status, [(CONTENT_TYPE, "application/json")], "\n").into_response()
}

async fn version(Path(_name): Path<String>) -> Response {
    ([(CONTENT_TYPE, "application/json")], VERSION).into_response()
}

async fn respond(house: &House, name: &str, headers: &HeaderMap, body: Body) -> Response {
    let request_id = scoring::request_id(headers);
    let mut response = match answered(house, name, headers, body).await {
        Ok(done) => {
            let json = HeaderValue::from_static("application/json");
            let mut head = HeaderMap::from_iter([(CONTENT_TYPE, json), (scoring::VERSION, done.version)]);
            head.extend(done.prediction_id.map(|id| (scoring::PREDICTION_ID, id)));
            (head, done.body).into_response()
        }
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(scoring::REQUEST_ID, request_id);
    response
}

/// A body and what goes into the headers.
struct Done {
    version: HeaderValue,
    prediction_id: Option<HeaderValue>,
    body: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Form {
    Json,
    Csv,
}

async fn answered(house: &House, name: &str, headers: &HeaderMap, body: Body) -> Result<Done, Error> {
    let form = form(&MediaType::of(headers))?;
    let body = scoring::read(house, headers, body).await?;
    Ok(scoring::run(house, name, body.len(), move |call| work(call, form, &body)).await?)
}

fn form(media: &MediaType) -> Result<Form, Error> {
    if media.parameter("charset").is_some_and(|charset| charset != "utf-8") {
        return Err(Error::Charset);
    }
    if let Some((name, _)) = media.parameters.iter().find(|(name, _)| name != "charset") {
        return Err(Error::Parameter(name.clone()));
    }
    match media.essence.as_str() {
        "application/json" => Ok(Form::Json),
        "text/csv" => Ok(Form::Csv),
        other => Err(Error::MediaType(other.to_owned())),
    }
}

fn work(call: &Call, form: Form, body: &[u8]) -> Result<Done, serving::Error> {
    let live = call.live();
    let frame = match form {
        Form::Json => json_body::decode(live, body)?,
        Form::Csv => csv_body::decode(live, body)?,
    };
    let answer = call.predict(Batch { frame, ..Batch::default() })?;
    let prediction_id = match answer.ids.as_slice() {
        [only] => Some(scoring::header(only)),
        _ => None,
    };
    let body = answer::encode(live, &answer.output, "predictions");
    Ok(Done { version: scoring::header(live.version()), prediction_id, body })
}

/// How a body that asked with tensors wants its answer named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// By row.
    Predictions,
    /// By column.
    Outputs,
}

/// The rows of a body with `instances` or `inputs`, for protocols that share these two forms.
pub(crate) fn decode_tensors(live: &Live, body: &[u8]) -> Result<(Frame, Reply), serving::Error> {
    json_body::decode_tensors(live, body)
}

/// `{"predictions": ..}` or `{"outputs": ..}`.
pub(crate) fn encode(live: &Live, output: &Output, reply: Reply) -> Vec<u8> {
    let name = if reply == Reply::Predictions { "predictions" } else { "outputs" };
    answer::encode(live, output, name)
}

/// mlflow ignores columns that the signature does not have and lets NaN into any column of floating-point numbers.
fn rules(live: &Live, field: &'static str) -> Rules {
    Rules { extra: ExtraColumns::Ignore, lenient_null: true, max_rows: live.max_rows(), field }
}

/// Reads one form of body.
type Decoded = Result<Frame, serving::Error>;
