//! The same protocol over gRPC: `inference.GRPCInferenceService`, as spoken by `tritonclient.grpc`, on the port of everything else.
//!
//! Followed: health, metadata, ModelInfer with typed contents and with raw ones, ModelStreamInfer (one answer for each request, in order),
//! ModelConfig, ModelStatistics, RepositoryIndex, gzip and deflate, deadlines, and the metadata `authorization`. Loading and unloading are
//! refused, because the registry's pointers do that. Kubernetes asks `grpc.health.v1.Health/Check`. Not there: shared memory, tracing, logging. What a request means and what an answer
//! holds is decided where the REST form decides it.

mod codec;
mod describe;
mod error;
mod infer;
mod proto;

use std::time::Duration;

use access::Permission::{Predict, Public};
use axum::extract::{Request, State};
use axum::response::Response;
use conductor::House;
use prost::Message;
use tonic::codec::CompressionEncoding::{Deflate, Gzip};
use tonic::server::Grpc as Server;
use tonic::{Code, Status};

use self::codec::Messages;
use crate::route::post;

/// Routes of this protocol.
type Routes = crate::route::Routes<error::Grpc>;

/// Where the methods of the service are.
const SERVICE: &str = "/inference.GRPCInferenceService";

/// The routes of this protocol: each method is a path.
pub(crate) fn routes() -> Routes {
    let methods = Routes::new()
        .route("/ServerLive", post(Public, describe::server_live))
        .route("/ServerReady", post(Public, describe::server_ready))
        .route("/ServerMetadata", post(Predict, describe::server_metadata))
        .route("/ModelReady", post(Predict, describe::model_ready))
        .route("/ModelMetadata", post(Predict, describe::model_metadata))
        .route("/ModelConfig", post(Predict, describe::model_config))
        .route("/ModelStatistics", post(Predict, describe::model_statistics))
        .route("/ModelInfer", post(Predict, infer::infer))
        .route("/ModelStreamInfer", post(Predict, infer::stream))
        .route("/RepositoryIndex", post(Predict, describe::repository_index))
        .route("/RepositoryModelLoad", post(Predict, loading))
        .route("/RepositoryModelUnload", post(Predict, loading));
    Routes::new().nest(SERVICE, methods).route("/grpc.health.v1.Health/Check", post(Public, describe::health))
}

/// Loading and unloading.
async fn loading(State(house): State<House>, request: Request) -> Response {
    unary(&house, request, |_: proto::Nothing| async {
        let message = "models are loaded and unloaded by moving pointers of the registry (move the pointer, or delete the deployment)";
        Err::<proto::Nothing, Status>(Status::unimplemented(message))
    })
    .await
}

/// A codec and a server for one call, with the limits of the fleet.
fn server<In, Out>(house: &House) -> Server<Messages<In, Out>>
where
    In: Message + Default + 'static,
    Out: Message + 'static,
{
    Server::new(Messages::new())
        .accept_compressed(Gzip)
        .accept_compressed(Deflate)
        .send_compressed(Gzip)
        .send_compressed(Deflate)
        .max_decoding_message_size(house.fleet.options().max_body_bytes)
}

/// Answers one message with one, within the time that the caller gives.
async fn unary<In, Out, F, Fut>(house: &House, request: Request, work: F) -> Response
where
    In: Message + Default + 'static,
    Out: Message + 'static,
    F: Fn(In) -> Fut + Send,
    Fut: Future<Output = Result<Out, Status>> + Send,
{
    let patience = patience(request.headers().get("grpc-timeout"));
    let service = tower::service_fn(|request: tonic::Request<In>| {
        let work = work(request.into_inner());
        async move { within(patience, work).await.map(tonic::Response::new) }
    });
    server::<In, Out>(house).unary(service, request).await.map(axum::body::Body::new)
}

/// The outcome of work, if it comes in time.
async fn within<T>(patience: Option<Duration>, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let too_late = || Status::new(Code::DeadlineExceeded, "the deadline of the call has passed");
    match patience {
        None => work.await,
        Some(Duration::ZERO) => Err(too_late()),
        Some(patience) => tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(too_late())),
    }
}

/// The time that a caller gives: at most eight digits and a unit.
fn patience(header: Option<&axum::http::HeaderValue>) -> Option<Duration> {
    let text = header?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_too_late_is_told_so() {
        let never = std::future::pending::<Result<(), Status>>;
        let code = |outcome: Result<(), Status>| outcome.map_err(|status| status.code());
        assert_eq!(code(within(Some(Duration::from_millis(1)), never()).await), Err(Code::DeadlineExceeded));
        assert_eq!(code(within(Some(Duration::ZERO), async { Ok(()) }).await), Err(Code::DeadlineExceeded));
        assert_eq!(code(within(Some(Duration::from_mins(1)), async { Ok(()) }).await), Ok(()));
        assert_eq!(code(within(None, async { Ok(()) }).await), Ok(()));
    }

    #[test]
    fn a_time_is_read_in_every_unit() {
        let check = |text: &'static str, expect: Option<u64>| {
            let header = axum::http::HeaderValue::from_static(text);
            assert_eq!(patience(Some(&header)), expect.map(Duration::from_nanos), "{text}");
        };
        check("2H", Some(7_200_000_000_000));
        check("3M", Some(180_000_000_000));
        check("5S", Some(5_000_000_000));
        check("100m", Some(100_000_000));
        check("7u", Some(7_000));
        check("99999999n", Some(99_999_999));
        for text in ["", "m", "5", "-1S", "100000000n", "5x"] {
            check(text, None);
        }
    }
}
