//! From the spool to the server, in order, at least once. Everything that is sent has the same effect twice as once: a point with
//! the same time, step and value is one point, a tag has its last value, an artifact its last content.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kernel::task::Shutdown;
use record::spool::{About, Entry, Reader, Spool, Target, Writer};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::transfer::{MLFLOW, Refused, Server};

/// Points that one call may carry.
const BATCH: usize = 1_000;
/// Entries that are looked at together.
const WINDOW: usize = 2_000;
/// After a call that got no answer, calls wait for this long before one is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// How often lanes that other processes write are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// One run on its way to the server.
pub(crate) struct Sender {
    server: Server,
    spool: Spool,
    about: std::sync::Mutex<About>,
    writers: std::sync::Mutex<BTreeMap<String, Writer>>,
    readers: std::sync::Mutex<BTreeMap<String, Arc<Mutex<Reader>>>>,
    /// One task at a time makes the run.
    making: Mutex<()>,
    away: std::sync::Mutex<Option<(Instant, String)>>,
    /// What the server said about entries of which somebody waits to hear, by lane and position.
    answers: std::sync::Mutex<HashMap<(String, u64), Result<Value, Refused>>>,
}

/// The server cannot be reached now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Away(String);

impl Sender {
    pub(crate) fn new(server: Server, spool: Spool, about: About) -> Self {
        Self {
            server,
            spool,
            about: std::sync::Mutex::new(about),
            writers: std::sync::Mutex::default(),
            readers: std::sync::Mutex::default(),
            making: Mutex::new(()),
            away: std::sync::Mutex::default(),
            answers: std::sync::Mutex::default(),
        }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// What the run is.
    pub(crate) fn about(&self) -> About {
        locked(&self.about).clone()
    }

    /// Changes what the run is, on the disk too.
    pub(crate) fn change(&self, change: impl FnOnce(&mut About)) -> anyhow::Result<()> {
        let mut about = locked(&self.about);
        change(&mut about);
        Ok(self.spool.set_about(&about)?)
    }

    /// Removes the spool.
    pub(crate) fn discard(&self) -> anyhow::Result<()> {
        Ok(self.spool.remove()?)
    }

    /// Writes an entry; when this returns, it is not lost. Answers with its position.
    pub(crate) fn append(&self, lane: &str, entry: &Entry) -> anyhow::Result<u64> {
        let mut writers = locked(&self.writers);
        if !writers.contains_key(lane) {
            writers.insert(lane.to_owned(), Writer::open(self.spool.dir(), lane)?);
        }
        let writer = writers.get_mut(lane).context("a lane that was just opened")?;
        Ok(writer.append(entry)?)
    }

    /// Makes what was written outlive the machine.
    fn sync(&self) -> anyhow::Result<()> {
        for writer in locked(&self.writers).values() {
            writer.sync()?;
        }
        Ok(())
    }

    /// What the server said about an entry, once.
    pub(crate) fn answer(&self, lane: &str, position: u64) -> Option<Result<Value, Refused>> {
        locked(&self.answers).remove(&(lane.to_owned(), position))
    }

    /// Makes the run on the server if it is not known to be there.
    pub(crate) async fn ensure_run(&self) -> anyhow::Result<Target> {
        if let Some(target) = self.about().target {
            return Ok(target);
        }
        let _one = self.making.lock().await;
        let about = self.about();
        if let Some(target) = about.target {
            return Ok(target);
        }
        self.check_rondo().await?;
        let made = self.make(&about).await?;
        self.change(|about| about.target = Some(made.clone()))?;
        Ok(made)
    }

    /// Only a Rondo server lets a run keep the id under which it began while no server was there.
    async fn check_rondo(&self) -> anyhow::Result<()> {
        let known = match self.call(Method::GET, "/api/v1/loop", &[], None).await {
            Ok(answer) => answer["idle"].is_boolean(),
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(no) if no.status == 404 => false,
                _ => return Err(error),
            },
        };
        if known {
            return Ok(());
        }
        let message =
            "it is no Rondo server: record against one, and take the run elsewhere with `rondo export mlflow`";
        Err(Refused { status: 501, code: "NOT_IMPLEMENTED".to_owned(), message: message.to_owned() }.into())
    }

    /// A Rondo server keeps our id: the same again changes nothing.
    async fn make(&self, about: &About) -> anyhow::Result<Target> {
        let body = json!({ "name": about.experiment });
        let experiment = self.call(Method::POST, "/api/v1/import/experiments", &[], Some(&body)).await?;
        let experiment_id = text(&experiment["experiment_id"]);
        let body = json!({
            "run_id": about.run_id, "experiment_id": experiment_id, "run_name": about.name, "user_id": about.user,
            "start_ms": about.start_ms,
        });
        let run = self.call(Method::POST, "/api/v1/import/runs", &[], Some(&body)).await?;
        Ok(Target { experiment_id, artifact_uri: text(&run["artifact_uri"]) })
    }

    /// Sends once. An error that is no [`Refused`] is [`Away`].
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        self.is_away()?;
        let answer = self.server.once(method, path, query, body).await;
        self.heard(answer)
    }

    /// Fails while the server was away a moment ago.
    pub(crate) fn is_away(&self) -> Result<(), Away> {
        match &*locked(&self.away) {
            Some((until, why)) if Instant::now() < *until => Err(Away(why.clone())),
            _ => Ok(()),
        }
    }

    /// Notes whether the server is there.
    pub(crate) fn heard<T>(&self, answer: anyhow::Result<T>) -> anyhow::Result<T> {
        let error = match answer {
            Ok(answer) => {
                *locked(&self.away) = None;
                return Ok(answer);
            }
            Err(error) => error,
        };
        let refused = error.downcast_ref::<Refused>();
        if refused.is_some_and(|no| no.status < 500 && no.status != 429 && no.status != 408) {
            *locked(&self.away) = None;
            return Err(error);
        }
        let why = format!("{error:#}");
        *locked(&self.away) = Some((Instant::now() + PAUSE, why.clone()));
        Err(Away(why).into())
    }

    /// Sends what a lane holds, as long as the server answers.
    pub(crate) async fn drain(&self, lane: &str) -> anyhow::Result<()> {
        let reader = self.reader(lane)?;
        let mut reader = reader.lock().await;
        loop {
            let pending = reader.pending(WINDOW)?;
            if pending.is_empty() {
                return Ok(());
            }
            self.is_away()?;
            let target = self.ensure_run().await?;
            for group in groups(&pending) {
                self.send_group(lane, group, &target).await?;
                if let Some((position, _)) = group.last() {
                    reader.advance(*position)?;
                }
                for (_, entry) in group {
                    forget(self.spool.dir(), entry);
                }
            }
        }
    }

    /// Sends everything.
    pub(crate) async fn drain_all(&self) -> anyhow::Result<()> {
        for lane in self.spool.lanes() {
            self.drain(&lane).await?;
        }
        Ok(())
    }

    fn reader(&self, lane: &str) -> anyhow::Result<Arc<Mutex<Reader>>> {
        let mut readers = locked(&self.readers);
        if let Some(reader) = readers.get(lane) {
            return Ok(Arc::clone(reader));
        }
        let reader = Arc::new(Mutex::new(Reader::open(self.spool.dir(), lane)?));
        readers.insert(lane.to_owned(), Arc::clone(&reader));
        Ok(reader)
    }

    /// Sends some entries together if they can be. What the server will not take is tried alone, and then put aside.
    async fn send_group(&self, lane: &str, group: &[(u64, Entry)], target: &Target) -> anyhow::Result<()> {
        if group.len() > 1 {
            let metrics: Vec<Value> = group.iter().flat_map(|(_, entry)| points(entry).unwrap_or_default()).collect();
            let body = json!({ "metrics": metrics, "run_id": self.about().run_id });
            match self.call(Method::POST, &format!("{MLFLOW}/runs/log-batch"), &[], Some(&body)).await {
                Ok(_) => return Ok(()),
                Err(error) if error.downcast_ref::<Refused>().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        for (position, entry) in group {
            let answer = self.send(entry, target).await;
            match answer {
                Ok(answer) => self.note_answer(lane, *position, Ok(answer)),
                Err(error) => {
                    let refused = error.downcast::<Refused>()?;
                    self.spool.refuse(entry, &refused.message)?;
                    self.note_answer(lane, *position, Err(refused));
                }
            }
        }
        Ok(())
    }

    fn note_answer(&self, lane: &str, position: u64, answer: Result<Value, Refused>) {
        let worth = match &answer {
            Ok(value) => value.as_object().is_some_and(|fields| !fields.is_empty()),
            Err(_) => true,
        };
        let mut answers = locked(&self.answers);
        // Entries that nobody waits for leave theirs behind.
        if answers.len() > 1_000 {
            answers.clear();
        }
        if worth {
            answers.insert((lane.to_owned(), position), answer);
        }
    }

    async fn send(&self, entry: &Entry, target: &Target) -> anyhow::Result<Value> {
        match entry {
            Entry::Post { post, body } => {
                let mut body = body.clone();
                body["run_id"] = self.about().run_id.into();
                self.call(Method::POST, &format!("{MLFLOW}{post}"), &[], Some(&body)).await
            }
            Entry::Put { put, file } => {
                let path = self.spool.dir().join(file);
                self.put(target, put, &path, None).await?;
                Ok(Value::Null)
            }
        }
    }

    /// Sends a file, or its first bytes. A file that is not there was sent before.
    pub(crate) async fn put(&self, target: &Target, put: &str, path: &Path, size: Option<u64>) -> anyhow::Result<()> {
        let file = match tokio::fs::File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let size = match size {
            Some(size) => size,
            None => file.metadata().await?.len(),
        };
        if crate::transfer::proxied(&target.artifact_uri).is_none() {
            let message = format!("artifacts of this run are kept at {}, which we cannot write", target.artifact_uri);
            return Err(Refused { status: 400, code: "INVALID_PARAMETER_VALUE".to_owned(), message }.into());
        }
        self.is_away()?;
        let body = reqwest::Body::wrap_stream(super::console::pieces(file, size));
        let answer = self.server.upload(&target.artifact_uri, put, Some(size), body).await;
        self.heard(answer)
    }
}

/// Sends until it is time to stop.
pub(super) async fn keep_sending(sender: Arc<Sender>, mut shutdown: Shutdown) {
    let mut last_sync = Instant::now();
    while !shutdown.is_stopping() {
        // Away is no news here: the entries stay, and the next look tries again.
        drop(sender.drain_all().await);
        if last_sync.elapsed() > Duration::from_secs(1) {
            let syncing = Arc::clone(&sender);
            drop(tokio::task::spawn_blocking(move || syncing.sync()).await);
            last_sync = Instant::now();
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.wait() => {}
        }
    }
}

/// Entries that go together: points of metrics up to a full batch, everything else alone.
fn groups(pending: &[(u64, Entry)]) -> Vec<&[(u64, Entry)]> {
    let mut found = Vec::new();
    let (mut start, mut full) = (0, 0);
    for (at, (_, entry)) in pending.iter().enumerate() {
        let count = points(entry).map(|points| points.len());
        let fits = count.is_some_and(|count| full > 0 && full + count <= BATCH);
        if !fits && at > start {
            found.push(&pending[start..at]);
            start = at;
            full = 0;
        }
        full = count.map_or(0, |count| full + count.max(1));
    }
    if start < pending.len() {
        found.push(&pending[start..]);
    }
    found
}

/// The points of an entry that holds points and nothing else.
fn points(entry: &Entry) -> Option<Vec<Value>> {
    let Entry::Post { post, body } = entry else { return None };
    match post.as_str() {
        "/runs/log-metric" => {
            let point = body.as_object()?.iter().filter(|(field, _)| !matches!(field.as_str(), "run_id" | "run_uuid"));
            Some(vec![Value::Object(point.map(|(field, value)| (field.clone(), value.clone())).collect())])
        }
        "/runs/log-batch" => {
            let empty = |field: &str| body[field].as_array().is_none_or(Vec::is_empty);
            (empty("params") && empty("tags")).then(|| body["metrics"].as_array().cloned())?
        }
        _ => None,
    }
}

/// Removes the content of an artifact that was sent.
fn forget(dir: &Path, entry: &Entry) {
    if let Entry::Put { file, .. } = entry
        && file.starts_with("files/")
    {
        // One that stays is removed with the folder.
        let _ = std::fs::remove_file(dir.join(file));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// No holder of these locks can panic in between.
pub(super) fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_go_together_and_order_stays() {
        let metric = |key: &str| {
            (
                0,
                Entry::Post {
                    post: "/runs/log-metric".to_owned(),
                    body: json!({ "run_id": "r", "key": key, "value": 1 }),
                },
            )
        };
        let batch = |count: usize| {
            let metrics = vec![json!({ "key": "a" }); count];
            (0, Entry::Post { post: "/runs/log-batch".to_owned(), body: json!({ "metrics": metrics, "params": [] }) })
        };
        let tag = (0, Entry::Post { post: "/runs/set-tag".to_owned(), body: json!({}) });
        let check = |pending: &[(u64, Entry)], expect: &[usize]| {
            assert_eq!(groups(pending).iter().map(|group| group.len()).collect::<Vec<_>>(), expect);
        };
        check(&[], &[]);
        check(&[metric("a"), metric("b"), tag.clone(), metric("c")], &[2, 1, 1]);
        check(&[batch(600), batch(400), batch(1)], &[2, 1]);
        check(&[batch(1_000), metric("a"), metric("b")], &[1, 2]);
        check(&[tag.clone(), tag], &[1, 1]);
        assert_eq!(points(&metric("a").1), Some(vec![json!({ "key": "a", "value": 1 })]));
    }
}
