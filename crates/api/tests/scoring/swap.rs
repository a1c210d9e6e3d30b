//! Twenty switches under fire: no request fails, every old model is freed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::StatusCode;
use serving::Loaded;

use crate::support::{Server, model};

const CONNECTIONS: usize = 16;
const SWAPS: u64 = 20;
const BODY: &str = r#"{"inputs": {"f0": 0.1, "f1": 0.2, "f2": 0.3, "f3": 0.4}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_swaps_under_fire_fail_no_request_and_free_every_old_model() -> anyhow::Result<()> {
    let server = Server::of("regression-1").await?;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let fire: Vec<_> = (0..CONNECTIONS).map(|_| shoot(&server, stop.clone(), answered.clone())).collect();
    let mut old = Vec::new();
    for swap in 0..SWAPS {
        let live = server.house.fleet.get("d").unwrap();
        old.push(Arc::downgrade(live.model()));
        drop(live);
        let before = answered.load(Ordering::SeqCst);
        let name = if swap % 2 == 0 { "regression-2" } else { "regression-1" };
        let loaded = Loaded { model_name: "toy".to_owned(), version: (swap + 2).to_string(), model: model(name)? };
        server.house.fleet.roll("d", loaded).await?;
        while answered.load(Ordering::SeqCst) < before + 2 * CONNECTIONS as u64 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    for gun in fire {
        assert_eq!(gun.await?, Vec::<String>::new());
    }
    assert!(answered.load(Ordering::SeqCst) >= SWAPS * 2 * CONNECTIONS as u64);
    let held = old.iter().filter(|each| each.strong_count() > 0).count();
    assert_eq!((held, server.house.fleet.status("d").unwrap().draining), (0, 0));
    assert_eq!(server.house.log.counts("d").predictions, answered.load(Ordering::SeqCst), "each answer is logged once");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a test wants the result of the task")]
fn shoot(server: &Server, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) -> tokio::task::JoinHandle<Vec<String>> {
    let (http, url) = (reqwest::Client::new(), format!("{}/deployments/d/predict", server.url));
    tokio::spawn(async move {
        let mut failures = Vec::new();
        while !stop.load(Ordering::SeqCst) && failures.is_empty() {
            match http.post(&url).header("content-type", "application/json").body(BODY).send().await {
                Ok(response) if response.status() == StatusCode::OK => {
                    answered.fetch_add(1, Ordering::SeqCst);
                    let _body = response.bytes().await;
                }
                Ok(response) => failures.push(response.status().to_string()),
                Err(error) => failures.push(error.to_string()),
            }
        }
        failures
    })
}
