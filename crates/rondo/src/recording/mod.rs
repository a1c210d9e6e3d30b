//! Recording a run: a command is started with everything captured that is needed to do it again, and whatever it logs goes
//! through a spool on disk, so that neither its own death nor that of the server loses or doubles anything.
//!
//! The command sees MLflow's variables. They lead to a relay of ours ([`relay`]) on the loopback interface, which writes what is
//! logged to this run into the spool and hands on everything else. The [`sender`] empties the spool into the server, now or, by
//! `rondo sync`, later.

mod begin;
mod caller;
mod child;
mod console;
mod end;
mod relay;
mod sampler;
mod sender;
mod sync;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use record::capture::{Captured, Request};
use record::manifest::Manifest;
use record::spool::{About, Entry, OWN};
use serde_json::json;

pub(crate) use begin::{artifact_path, read_uri, tags};
pub(crate) use sender::Sender;
pub(crate) use sync::sync;

use crate::term;
use crate::transfer::Server;

/// After the command has ended, a server that is away is waited for this long; what is left is for `rondo sync`.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// The experiment, by name; none leaves the choice to the command.
    pub(crate) experiment: Option<String>,
    /// The name of the run.
    pub(crate) name: Option<String>,
    /// Data, as it was declared.
    pub(crate) data: Vec<String>,
    /// The run to go on with.
    pub(crate) resume: Option<String>,
    /// Names of further variables that change results.
    pub(crate) allow: Vec<String>,
    /// Program and arguments; empty to do again what a resumed run did.
    pub(crate) argv: Vec<String>,
    /// The working folder.
    pub(crate) directory: PathBuf,
    /// Variables set for the command; an empty value removes one.
    pub(crate) variables: BTreeMap<String, String>,
    /// Further tags of the run.
    pub(crate) tags: BTreeMap<String, String>,
    /// Where the output is seen.
    pub(crate) output: Output,
    /// The process to record, if it runs already: it has started us, and the command is what it is.
    pub(crate) caller: Option<u32>,
    /// Say nothing but what goes wrong.
    pub(crate) quiet: bool,
}

/// Where the output of a command is seen, beside its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Output {
    /// Where the command writes it.
    #[default]
    AsWritten,
    /// All of it on standard error, as standard output has something else to say.
    Stderr,
}

/// How it went.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The run.
    pub(crate) run_id: String,
    /// The exit code to pass on: the command's, or 128 and the number of the signal that ended it.
    pub(crate) code: u8,
    /// FINISHED, FAILED or KILLED.
    pub(crate) status: &'static str,
    /// Whether the server has everything.
    pub(crate) sent: bool,
    /// The last line of output that says something.
    pub(crate) last_line: Option<String>,
}

/// Runs a command and records it.
pub(crate) async fn record(server: Server, options: Options) -> anyhow::Result<Outcome> {
    let begun = begin::begin(server, &options).await?;
    let sender = Arc::new(begun.sender);
    let about = sender.about();
    let (relay_url, inputs) =
        relay::start(Arc::clone(&sender), options.experiment.is_none() && options.resume.is_none()).await?;
    if options.caller.is_some() {
        caller::greet(&sender, &about, &relay_url);
    }
    let captured = capture(&options, &about).await?;
    let manifest = begin::describe(&sender, &options, captured)?;
    let console = sender.spool().dir().join(console::file_name(about.attempt));
    let child = match options.caller {
        Some(_) => None,
        None => Some(start(&options, &relay_url, &sender, &console).await?),
    };
    let pid = child.as_ref().map(child::Child::pid).or(options.caller).unwrap_or_default();
    let (stop, shutdown) = kernel::task::shutdown();
    let work = [
        kernel::task::spawn("send a run", sender::keep_sending(Arc::clone(&sender), shutdown.clone())),
        kernel::task::spawn(
            "show a console",
            console::keep_showing(Arc::clone(&sender), about.attempt, shutdown.clone()),
        ),
        kernel::task::spawn("sample a run", sampler::keep_sampling(Arc::clone(&sender), pid, shutdown)),
    ];
    if !options.quiet {
        term::note(format!("run {} is recorded: {}", about.run_id, begun.state));
    }
    let ended = match child {
        Some(child) => child.wait().await?,
        None => caller::wait().await,
    };
    stop.stop();
    for task in work {
        drop(task.await);
    }
    end::end(&sender, manifest, inputs, &ended, about.attempt)?;
    let last_line = console::last_line(&console);
    let sent = end::settle(sender, PATIENCE, options.quiet).await;
    Ok(Outcome { run_id: about.run_id, code: ended.code, status: ended.status, sent, last_line })
}

/// Starts the command. One that cannot be started is a run that failed.
async fn start(
    options: &Options,
    relay_url: &str,
    sender: &Arc<Sender>,
    console: &Path,
) -> anyhow::Result<child::Child> {
    let about = sender.about();
    match child::start(options, &about, relay_url, sender, console) {
        Ok(child) => Ok(child),
        Err(error) => {
            end::say_last(sender, "FAILED", about.attempt, kernel::clock::Clock::system().now_ms())?;
            end::settle(Arc::clone(sender), PATIENCE, options.quiet).await;
            Err(error)
        }
    }
}

/// Looks at code, environment, data and machine.
async fn capture(options: &Options, about: &About) -> anyhow::Result<Captured> {
    let (uris, paths): (Vec<String>, Vec<String>) = about.data.iter().cloned().partition(|data| data.contains("://"));
    let mut known = Vec::new();
    let mut gaps = Vec::new();
    for uri in uris {
        match begin::read_uri(&uri).await {
            Ok((digest, size)) => known.push((uri, digest, size)),
            Err(error) => gaps.push(format!("the data `{uri}` has no digest: {error:#}")),
        }
    }
    let limit = std::env::var("RONDO_UNTRACKED_LIMIT").ok().and_then(|text| text.parse().ok());
    let request = Request {
        argv: about.argv.clone(),
        directory: PathBuf::from(&about.directory),
        data: paths,
        uris: known,
        variables: child::variables(options, about),
        allow: options.allow.clone(),
        seed_chosen: std::env::var_os("RONDO_SEED").is_none(),
        untracked_limit: limit.unwrap_or(record::capture::UNTRACKED_LIMIT),
    };
    let mut captured = tokio::task::spawn_blocking(move || record::capture::capture(&request)).await??;
    captured.manifest.gaps.extend(gaps);
    Ok(captured)
}

/// Keeps some bytes as an artifact of the run.
fn put_artifact(sender: &Sender, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let (file, place) = sender.spool().file();
    std::fs::write(&place, bytes)?;
    sender.append(record::spool::FILES, &Entry::Put { put: path.to_owned(), file })?;
    Ok(())
}

/// Sets tags of the run.
fn put_tags<'a>(sender: &Sender, tags: impl IntoIterator<Item = (&'a str, String)>) -> anyhow::Result<()> {
    let tags: Vec<_> = tags.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    sender.append(OWN, &Entry::Post { post: "/runs/log-batch".to_owned(), body: json!({ "tags": tags }) })?;
    Ok(())
}

/// Keeps the manifest as an artifact, and names it in the tags.
fn put_manifest(sender: &Sender, manifest: &Manifest) -> anyhow::Result<()> {
    let bytes = manifest.to_json();
    put_artifact(sender, &artifact_path(manifest.attempt, "manifest.json"), &bytes)?;
    let reproducible = manifest.gaps.first().map_or_else(|| "true".to_owned(), |gap| format!("false: {gap}"));
    let tags = [
        ("rondo.manifest", kernel::digest::of(&bytes)),
        ("rondo.key", manifest.key.clone()),
        ("rondo.attempt", manifest.attempt.to_string()),
        ("rondo.reproducible", reproducible),
    ];
    put_tags(sender, tags)
}

/// The folder that a command works in.
pub(crate) fn here() -> anyhow::Result<PathBuf> {
    let dir = std::env::current_dir()?;
    Ok(Path::new(&dir).canonicalize()?)
}
