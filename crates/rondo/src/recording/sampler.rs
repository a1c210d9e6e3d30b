//! CPU, memory and GPU of the command while it runs, as metrics of the run.

use std::sync::Arc;
use std::time::Duration;

use kernel::clock::Clock;
use kernel::task::Shutdown;
use record::sample::Sampler;
use record::spool::{Entry, OWN};
use serde_json::json;

use super::Sender;

/// The pauses between the first samples; the last one goes on. A short run is seen, a long one is not flooded.
const PAUSES: [u64; 4] = [1, 1, 3, 5];

/// Samples until it is time to stop. The step is the number of seconds since the run began, so that a resumed run goes on.
pub(super) async fn keep_sampling(sender: Arc<Sender>, pid: u32, mut shutdown: Shutdown) {
    let clock = Clock::system();
    let start_ms = sender.about().start_ms;
    let mut sampler = Sampler::new(pid);
    let mut pauses = PAUSES.into_iter();
    let mut pause = 1;
    loop {
        let Ok((again, metrics)) = tokio::task::spawn_blocking(move || {
            let metrics = sampler.sample();
            (sampler, metrics)
        })
        .await
        else {
            return;
        };
        sampler = again;
        let now = clock.now_ms();
        let step = (now - start_ms) / 1_000;
        let point = |(key, value): (String, f64)| json!({ "key": key, "value": value, "timestamp": now, "step": step });
        let metrics: Vec<_> = metrics.into_iter().map(point).collect();
        if !metrics.is_empty() {
            let body = json!({ "metrics": metrics });
            // A disk that is full costs samples, not the run.
            drop(sender.append(OWN, &Entry::Post { post: "/runs/log-batch".to_owned(), body }));
        }
        pause = pauses.next().unwrap_or(pause);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(pause)) => {}
            () = shutdown.wait() => return,
        }
    }
}
