//! Before the command starts: which run it is, and what is known about it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use kernel::clock::Clock;
use record::capture::Captured;
use record::manifest::Manifest;
use record::spool::{self, About, Entry, FILES, OWN, Spool, Target};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Options, Sender, put_artifact, put_manifest, put_tags};
use crate::term::hinted;
use crate::transfer::{MLFLOW, Refused, Server, is_missing};

/// A run that may start.
pub(super) struct Begun {
    pub(super) sender: Sender,
    /// Where it is recorded, for people.
    pub(super) state: String,
}

/// Settles which run it is, and makes it on the server unless that is away.
pub(super) async fn begin(server: Server, options: &Options) -> anyhow::Result<Begun> {
    let (spool, mut about) = match &options.resume {
        Some(run_id) => resume(&server, run_id, options).await?,
        None => new(&server, options)?,
    };
    if let Err(error) = check(&about) {
        if options.resume.is_none() {
            spool.remove()?;
        }
        return Err(error);
    }
    about.ended = false;
    spool.set_about(&about)?;
    let resumed = options.resume.is_some();
    let base = server.base().to_owned();
    let sender = Sender::new(server, spool, about);
    let state = match sender.ensure_run().await {
        Ok(target) => format!("{base}/#/experiments/{}/runs/{}", target.experiment_id, sender.about().run_id),
        Err(error) if error.downcast_ref::<Refused>().is_some() => {
            if !resumed {
                sender.discard()?;
            }
            return Err(error.context("the server does not take the run"));
        }
        Err(error) => format!("{base} is away; what is logged waits on the disk: {error}"),
    };
    Ok(Begun { sender, state })
}

/// What must be there before anything is recorded.
fn check(about: &About) -> anyhow::Result<()> {
    let directory = Path::new(&about.directory);
    if about.argv.is_empty() {
        return Err(hinted("there is no command to run", "write it after --, e.g. `rondo run -- python train.py`"));
    }
    if !directory.is_dir() {
        return Err(hinted(format!("there is no folder {}", directory.display()), "give the command again, after --"));
    }
    super::child::check_program(&about.argv, directory)?;
    let gone = about.data.iter().find(|path| !path.contains("://") && !directory.join(path).exists());
    match gone {
        Some(path) => Err(hinted(format!("the declared data `{path}` is not there"), "check the path after --data")),
        None => Ok(()),
    }
}

fn new(server: &Server, options: &Options) -> anyhow::Result<(Spool, About)> {
    let about = About {
        run_id: kernel::id::random_hex(),
        server: server.base().to_owned(),
        workspace: server.workspace().map(str::to_owned),
        experiment: options.experiment.clone().unwrap_or_else(|| "Default".to_owned()),
        name: options.name.clone().unwrap_or_default(),
        user: std::env::var("USER").unwrap_or_else(|_| "anonymous".to_owned()),
        start_ms: Clock::system().now_ms(),
        argv: options.argv.clone(),
        directory: options.directory.to_string_lossy().into_owned(),
        data: options.data.clone(),
        seed: options.variables.get("RONDO_SEED").cloned().unwrap_or_else(seed),
        attempt: 1,
        ..About::default()
    };
    let spool = Spool::create(&spool::root(), &about)?;
    Ok((spool, about))
}

/// The seed that the caller gave, or one for this run.
fn seed() -> String {
    let chosen = || u32::from_str_radix(&kernel::id::random_hex()[..8], 16).unwrap_or(0).to_string();
    std::env::var("RONDO_SEED").ok().filter(|seed| !seed.is_empty()).unwrap_or_else(chosen)
}

/// The run to go on with: from what waits on this disk, else from the server.
async fn resume(server: &Server, run_id: &str, options: &Options) -> anyhow::Result<(Spool, About)> {
    let (spool, mut about) = if let Some(waiting) = Spool::open(&spool::root(), run_id)? {
        waiting
    } else {
        let about = from_server(server, run_id).await?;
        (Spool::create(&spool::root(), &about)?, about)
    };
    about.attempt += 1;
    if !options.argv.is_empty() {
        about.argv.clone_from(&options.argv);
        about.directory = options.directory.to_string_lossy().into_owned();
    }
    if !options.data.is_empty() {
        about.data.clone_from(&options.data);
    }
    spool.set_about(&about)?;
    let body = json!({ "status": "RUNNING" });
    let mut lane = spool::Writer::open(spool.dir(), OWN)?;
    lane.append(&Entry::Post { post: "/runs/update".to_owned(), body })?;
    // What was written to the terminal before the end came.
    let before = super::console::file_name(about.attempt - 1);
    if spool.dir().join(&before).exists() {
        let put = artifact_path(about.attempt - 1, "console.log");
        spool::Writer::open(spool.dir(), FILES)?.append(&Entry::Put { put, file: before })?;
    }
    Ok((spool, about))
}

/// What the server knows about a run, as far as it is needed to go on with it.
async fn from_server(server: &Server, run_id: &str) -> anyhow::Result<About> {
    let run = server.once::<()>(Method::GET, &format!("{MLFLOW}/runs/get"), &[("run_id", run_id)], None).await;
    let run = run.with_context(|| format!("run {run_id} is neither on this disk nor on {}", server.base()))?;
    let info = &run["run"]["info"];
    let text = |field: &str| info[field].as_str().unwrap_or_default().to_owned();
    let target = Target { experiment_id: text("experiment_id"), artifact_uri: text("artifact_uri") };
    let tags = tags(&run);
    let attempt = tags.get("rondo.attempt").and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut about = About {
        run_id: run_id.to_owned(),
        server: server.base().to_owned(),
        workspace: server.workspace().map(str::to_owned),
        name: text("run_name"),
        user: text("user_id"),
        start_ms: info["start_time"].as_i64().unwrap_or(0),
        attempt,
        seed: seed(),
        target: Some(target.clone()),
        ..About::default()
    };
    match server.artifact(&target.artifact_uri, &artifact_path(attempt, "manifest.json")).await {
        Ok(bytes) => {
            let manifest = Manifest::from_json(&bytes)?;
            let root = manifest.code.as_ref().map(|code| code.root.clone()).unwrap_or_default();
            about.directory = Path::new(&root).join(&manifest.command.directory).to_string_lossy().into_owned();
            about.argv = manifest.command.argv;
            about.seed = manifest.seed.value;
            let declared = manifest.data.into_iter().filter(|data| data.kind != "dataset");
            about.data = declared.map(|data| data.location).collect();
        }
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(about)
}

/// The tags of a run, as the protocol writes it.
pub(crate) fn tags(run: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags = run["run"]["data"]["tags"].as_array();
    tags.into_iter().flatten().map(|tag| (text(&tag["key"]), text(&tag["value"]))).collect()
}

/// The path of something that we keep about an attempt of a run.
pub(crate) fn artifact_path(attempt: u32, name: &str) -> String {
    if attempt <= 1 { format!("rondo/{name}") } else { format!("rondo/attempt-{attempt}/{name}") }
}

/// The digest and the size of what is at a URI.
pub(crate) async fn read_uri(uri: &str) -> anyhow::Result<(String, u64)> {
    if !uri.starts_with("http://") && !uri.starts_with("https://") {
        anyhow::bail!("only files, folders and http(s) are read; give the version of other data as a parameter");
    }
    let response = reqwest::get(uri).await?.error_for_status()?;
    let (mut hasher, mut size) = (kernel::digest::Stream::default(), 0);
    let mut stream = response.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        hasher.update(&piece);
    }
    Ok((hasher.finish(), size))
}

/// Puts what was captured into the spool: the manifest, what it refers to, and the tags by which MLflow's clients know the source.
pub(super) fn describe(sender: &Sender, options: &Options, captured: Captured) -> anyhow::Result<Manifest> {
    let about = sender.about();
    let mut manifest = captured.manifest;
    env!("CARGO_PKG_VERSION").clone_into(&mut manifest.rondo);
    manifest.run_id.clone_from(&about.run_id);
    manifest.attempt = about.attempt;
    manifest.started = kernel::clock::rfc3339(Clock::system().now_us());
    if let Some(patch) = manifest.code.as_mut().and_then(|code| code.patch.as_mut()) {
        patch.artifact = artifact_path(about.attempt, "code.patch");
        put_artifact(sender, &patch.artifact, &captured.patch)?;
    }
    if let Some(environment) = &manifest.environment {
        let text = environment.requirements.join("\n") + "\n";
        put_artifact(sender, &artifact_path(about.attempt, "requirements.txt"), text.as_bytes())?;
    }
    if let Some(lock) = &captured.lock {
        put_artifact(sender, &artifact_path(about.attempt, "uv.lock"), lock)?;
    }
    let mut tags: BTreeMap<&str, String> = BTreeMap::from([
        ("mlflow.source.name", source_name(&manifest.command.argv)),
        ("mlflow.source.type", "LOCAL".to_owned()),
        ("mlflow.user", about.user.clone()),
        ("rondo.command", shown(&manifest.command.argv)),
    ]);
    if let Some(code) = &manifest.code {
        tags.insert("mlflow.source.git.commit", code.commit.clone());
        tags.insert("mlflow.source.git.dirty", code.dirty.to_string());
        tags.extend(code.branch.clone().map(|branch| ("mlflow.source.git.branch", branch)));
        tags.extend(code.remote.clone().map(|remote| ("mlflow.source.git.repoURL", remote)));
    }
    put_tags(sender, tags)?;
    if !options.tags.is_empty() {
        put_tags(sender, options.tags.iter().map(|(key, value)| (key.as_str(), value.clone())))?;
    }
    put_manifest(sender, &manifest)?;
    Ok(manifest)
}

/// What MLflow calls the source: the script of an interpreter, else the program.
fn source_name(argv: &[String]) -> String {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let script = argv.iter().skip(1).find(|word| !word.starts_with('-'));
    match script {
        Some(script) if name.starts_with("python") => script.clone(),
        _ => program.to_owned(),
    }
}

/// A command as a person would type it.
pub(crate) fn shown(argv: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@+%".contains(c);
    let word = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let check = |argv: &[&str], source: &str, text: &str| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!((source_name(&argv).as_str(), shown(&argv).as_str()), (source, text));
        };
        check(&["python", "-u", "train.py", "--lr=0.1"], "train.py", "python -u train.py --lr=0.1");
        check(&["/v/bin/python3.12", "a b.py", "it's"], "a b.py", r"/v/bin/python3.12 'a b.py' 'it'\''s'");
        check(&["./fit.sh", "x"], "./fit.sh", "./fit.sh x");
    }
}
