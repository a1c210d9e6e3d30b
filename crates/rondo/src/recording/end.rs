//! After the command has ended: the last words about the run, and the wait until the server has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kernel::clock::Clock;
use record::manifest::Manifest;
use record::spool::{Entry, FILES, OWN};
use serde_json::json;

use super::child::Ended;
use super::relay::Inputs;
use super::{Sender, artifact_path, console, put_manifest};
use crate::term;

/// Puts the last words into the spool: what the command said about its data, its output, its status.
pub(super) fn end(
    sender: &Sender,
    mut manifest: Manifest,
    inputs: Inputs,
    ended: &Ended,
    attempt: u32,
) -> anyhow::Result<()> {
    let reported = inputs.take(manifest.code.as_ref().map(|code| code.root.as_str()), &sender.about().directory);
    if !reported.is_empty() {
        for data in reported {
            if !manifest.data.iter().any(|known| known.location == data.location && known.digest == data.digest) {
                manifest.data.push(data);
            }
        }
        put_manifest(sender, &manifest)?;
    }
    say_last(sender, ended.status, attempt, Clock::system().now_ms())
}

/// The output and the status.
pub(super) fn say_last(sender: &Sender, status: &str, attempt: u32, end_ms: i64) -> anyhow::Result<()> {
    let file = console::file_name(attempt);
    if sender.spool().dir().join(&file).exists() {
        sender.append(FILES, &Entry::Put { put: artifact_path(attempt, "console.log"), file })?;
    }
    let body = json!({ "status": status, "end_time": end_ms });
    sender.append(OWN, &Entry::Post { post: "/runs/update".to_owned(), body })?;
    sender.change(|about| about.ended = true)
}

/// Sends what is left, waits a while for a server that is away, and says what remains. Whether the server has everything.
pub(super) async fn settle(sender: Arc<Sender>, patience: Duration, quiet: bool) -> bool {
    let deadline = Instant::now() + patience;
    let sending = async {
        loop {
            match sender.drain_all().await {
                Ok(()) => break None,
                Err(error) if Instant::now() > deadline => break Some(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    // Nobody is kept waiting who does not want to: the spool has everything.
    let error = tokio::select! {
        error = sending => error,
        _ = tokio::signal::ctrl_c() => Some(anyhow::anyhow!("interrupted")),
    };
    let refused = sender.spool().refused();
    if refused > 0 {
        let kept = sender.spool().dir().with_extension("refused.jsonl");
        term::note(format!("the server did not take {refused} of the things that were logged: see {}", kept.display()));
    }
    if let Some(error) = error {
        let dir = sender.spool().dir().display();
        term::note(format!(
            "the server does not have everything yet ({error}): it waits in {dir}, and `rondo sync` sends it"
        ));
        return false;
    }
    if let Err(error) = sender.discard()
        && !quiet
    {
        term::note(format!("what was sent could not be removed: {error:#}"));
    }
    true
}
