//! A run whose command started us, rather than the other way round: the Python package does. It hears where its spool is, and tells
//! by a word on our standard input how it ended; an end without a word is that of a process that was killed.

use record::spool::About;
use serde_json::json;

use super::Sender;
use super::child::Ended;
use crate::term;

/// Tells the caller where its spool is.
pub(super) fn greet(sender: &Sender, about: &About, relay_url: &str) {
    term::line(json!({
        "run_id": about.run_id, "spool": sender.spool().dir(), "seed": about.seed, "server": about.server,
        "attempt": about.attempt, "relay": relay_url,
    }));
}

/// Waits for its end.
pub(super) async fn wait() -> Ended {
    let listen = || {
        let mut word = String::new();
        // A pipe that breaks is an end without a word.
        drop(std::io::stdin().read_line(&mut word));
        word
    };
    let word = tokio::task::spawn_blocking(listen).await.unwrap_or_default();
    let status = match word.trim() {
        "FINISHED" => "FINISHED",
        "FAILED" => "FAILED",
        _ => "KILLED",
    };
    Ended { code: 0, status }
}
