//! Supervised tasks: the one door to `tokio::spawn`. A task that dies says so; a shutdown reaches every task.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Spawns a named task. A panic in it is logged with the name, and does not pass silently.
pub fn spawn(name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    #[expect(clippy::disallowed_methods, reason = "this is the supervised spawn")]
    tokio::spawn(async move {
        #[expect(clippy::disallowed_methods, reason = "this is the supervised spawn")]
        let inner = tokio::spawn(work);
        let stop = AbortOnDrop(inner.abort_handle());
        if let Err(error) = inner.await
            && error.is_panic()
        {
            tracing::error!(task.name = name, %error, "a background task died of a defect");
        }
        drop(stop);
    })
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The side that says stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The side that hears stop; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A pair of ends. Dropping the stopper stops too.
pub fn shutdown() -> (Stopper, Shutdown) {
    let (send, receive) = watch::channel(false);
    (Stopper(send), Shutdown(receive))
}

impl Stopper {
    /// Asks every holder of the other end to finish.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Resolves when it is time to stop.
    pub async fn wait(&mut self) {
        while !*self.0.borrow_and_update() {
            if self.0.changed().await.is_err() {
                return;
            }
        }
    }

    /// True when it is time to stop.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
