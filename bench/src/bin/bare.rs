//! The least that a server could do: an axum handler that parses the request and answers in the same shape. No model, no log, no
//! checks. Prints its port and serves until it is killed.

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Request {
    rows: Vec<Vec<f64>>,
}

#[derive(Serialize)]
struct Answer {
    deployment: &'static str,
    model: &'static str,
    version: &'static str,
    predictions: Vec<Prediction>,
}

#[derive(Serialize)]
struct Prediction {
    id: &'static str,
    prediction: f64,
}

async fn predict(Json(request): Json<Request>) -> Json<Answer> {
    let predictions = request
        .rows
        .iter()
        .map(|row| Prediction { id: "01939a5e-7c00-7000-8000-000000000000", prediction: row.iter().sum() });
    Json(Answer { deployment: "bench", model: "bench", version: "1", predictions: predictions.collect() })
}

#[expect(clippy::disallowed_methods, reason = "it guards nothing")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    #[expect(clippy::print_stdout, reason = "the port is the output of this program")]
    {
        println!("{}", listener.local_addr()?.port());
    }
    axum::serve(listener, Router::new().route("/deployments/bench/predict", post(predict))).await?;
    Ok(())
}
