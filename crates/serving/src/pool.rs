//! Where larger requests run: off the async runtime, a bounded number at a time, with a bounded queue in front.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::Error;

/// A bounded pool. Who finds the queue full is told so at once; who goes away while waiting frees the place.
#[derive(Debug)]
pub(crate) struct Pool {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(workers: usize, queue: usize) -> Self {
        let workers = workers.max(1);
        Self { running: Arc::new(Semaphore::new(workers)), places: Arc::new(Semaphore::new(workers + queue)) }
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let worker = self.running.clone().acquire_owned().await.map_err(|_| Error::Defect)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((worker, place));
            result
        });
        done.await.unwrap_or(Err(Error::Defect))
    }
}

/// What a request costs per byte of its body, learnt from the requests before; it decides who may run on the request's own thread.
#[derive(Debug)]
pub(crate) struct Cost {
    picoseconds_per_byte: AtomicU64,
}

impl Cost {
    /// A first guess: what one row took when the model was checked, over what a row of a few numbers weighs on the wire.
    pub(crate) fn first_guess(one_row: Duration) -> Self {
        const BYTES: u64 = 200;
        const AT_LEAST: u64 = 20_000;
        let guess = (one_row.as_nanos() as u64).saturating_mul(1_000) / BYTES;
        Self { picoseconds_per_byte: AtomicU64::new(guess.max(AT_LEAST)) }
    }

    pub(crate) fn estimate(&self, bytes: usize) -> Duration {
        Duration::from_nanos(self.picoseconds_per_byte.load(Ordering::Relaxed).saturating_mul(bytes as u64) / 1_000)
    }

    /// An eighth of the way to what was measured; one measurement counts at most as four times the present value, so that a thread
    /// that was put to sleep in between does not send everybody to the pool.
    pub(crate) fn learn(&self, bytes: usize, took: Duration) {
        let present = self.picoseconds_per_byte.load(Ordering::Relaxed);
        let measured = (took.as_nanos() as u64).saturating_mul(1_000) / (bytes.max(1) as u64);
        let next = present - present / 8 + measured.min(present.saturating_mul(4)) / 8;
        self.picoseconds_per_byte.store(next.max(1_000), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test wants the result of the task")]
    fn start<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
        tokio::spawn(work)
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_free_one_works() {
        let pool = Arc::new(Pool::new(1, 1));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let first = start({
            let pool = pool.clone();
            async move {
                pool.run(move || {
                    held.recv().ok();
                    Ok(1)
                })
                .await
            }
        });
        let second = start({
            let pool = pool.clone();
            async move { pool.run(|| Ok(2)).await }
        });
        while pool.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(pool.run(|| Ok(3)).await, Err(Error::Overloaded)));
        release.send(()).unwrap();
        assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap().unwrap()), (1, 2));
        assert_eq!(pool.run(|| Ok(4)).await.unwrap(), 4);
    }

    #[test]
    fn the_cost_follows_what_is_measured_and_shrugs_off_one_outlier() {
        let cost = Cost::first_guess(Duration::from_micros(2));
        for _ in 0..100 {
            cost.learn(100, Duration::from_micros(10));
        }
        let settled = cost.estimate(100);
        assert!((Duration::from_micros(9)..Duration::from_micros(11)).contains(&settled), "{settled:?}");
        cost.learn(100, Duration::from_secs(1));
        assert!(cost.estimate(100) < Duration::from_micros(15));
    }
}
