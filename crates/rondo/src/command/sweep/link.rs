//! A worker's line to the server, which may go away and come back: what cannot be sent now is sent again, until it is answered.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, segment};
use crate::term;

/// Pauses between tries grow from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How often, and after which pauses, a worker looks for the server when it begins and when it leaves.
const RETURNS: usize = 60;
const RETURN_PAUSE: Duration = Duration::from_millis(500);

/// The server refused for good.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refused {
    message: String,
    /// The lease is not ours any more.
    pub(super) is_lost: bool,
}

/// A line about one sweep.
#[derive(Clone, Debug)]
pub(super) struct Link {
    client: Client,
    name: String,
}

impl Link {
    pub(super) fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.to_owned() }
    }

    /// The address of the server.
    pub(super) fn base(&self) -> &str {
        self.client.base()
    }

    /// The sweep as it is now; fails when the server is away.
    pub(super) async fn sweep(&self) -> anyhow::Result<Value> {
        self.client.get(&self.path("")).await
    }

    /// The same, but a server that has just gone away may come back first.
    pub(super) async fn sweep_soon(&self) -> anyhow::Result<Value> {
        let path = self.path("");
        for turn in 0..RETURNS {
            match self.once(Method::GET, &path, None).await {
                Ok(Some(sweep)) => return Ok(sweep),
                Ok(None) if turn == 0 => self.note_away(),
                Ok(None) => {}
                // Refused: asked again, it is told with its hint.
                Err(_) => break,
            }
            tokio::time::sleep(RETURN_PAUSE).await;
        }
        self.sweep().await
    }

    /// Asks for a trial.
    pub(super) async fn claim(&self, worker: &str, lease: &str) -> Result<Value, Refused> {
        self.post("/claim", &json!({ "worker": worker, "lease": lease })).await
    }

    /// Keeps a trial. Tried once: the next beat comes soon, and `None` says that the server is away.
    pub(super) async fn beat(&self, number: i64, lease: &str) -> Result<Option<Value>, Refused> {
        self.once(Method::POST, &self.path(&format!("/trials/{number}/beat")), Some(&json!({ "lease": lease }))).await
    }

    /// Tells how a trial ended.
    pub(super) async fn end(&self, number: i64, body: &Value) -> Result<Value, Refused> {
        self.post(&format!("/trials/{number}/end"), body).await
    }

    /// Gives a trial back. Tried once: the lease runs out anyhow.
    pub(super) async fn release(&self, number: i64, lease: &str) -> Result<Option<Value>, Refused> {
        self.once(Method::POST, &self.path(&format!("/trials/{number}/release")), Some(&json!({ "lease": lease })))
            .await
    }

    async fn post(&self, rest: &str, body: &Value) -> Result<Value, Refused> {
        let path = self.path(rest);
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(answer) = self.once(Method::POST, &path, Some(body)).await? {
                return Ok(answer);
            }
            if pause == FIRST_PAUSE {
                self.note_away();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn note_away(&self) {
        term::note(format!("the server at {} is away; trying again", self.base()));
    }

    async fn once(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Option<Value>, Refused> {
        let Ok((status, answer)) = self.client.exchange(method, path, body).await else { return Ok(None) };
        if status.is_success() {
            return Ok(Some(answer));
        }
        if status.is_server_error() || status == 429 {
            return Ok(None);
        }
        let error = &answer["error"];
        let message = error["message"].as_str().map_or_else(|| format!("the server answered {status}"), str::to_owned);
        Err(Refused { message, is_lost: error["field"] == "lease" && error["kind"] == "precondition" })
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/sweeps/{}{rest}", segment(&self.name))
    }
}
