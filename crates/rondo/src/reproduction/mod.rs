//! Doing a recorded run again in a clean place, and comparing what comes out.
//!
//! Code, data and environment are restored from the manifest and checked against it; the command is recorded as a run of its own,
//! with the same seeds and variables. The first thing that is missing ends it with CANNOT and its name. The verdict is a tag of
//! the original run, the report an artifact of it.

mod report;
mod runs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use record::Error;
use record::capture::ALLOWED;
use record::compare::{self, Tolerances, Verdict};
use record::manifest::Manifest;
use record::restore::{self, Built, Kind};
use record::spool::cache;

pub(crate) use report::Report;
use runs::Original;

use crate::recording::{self, Outcome};
use crate::transfer::Server;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// The run to repeat.
    pub(crate) run_id: String,
    /// How far metrics may be apart.
    pub(crate) tolerances: Tolerances,
    /// How faithful the environment must be.
    pub(crate) environment: Kind,
    /// Leave the clean place behind.
    pub(crate) keep: bool,
}

/// Repeats a run.
pub(crate) async fn reproduce(server: Server, options: &Options) -> anyhow::Result<Report> {
    let original = Original::read(&server, &options.run_id).await?;
    let place = place(&options.run_id);
    let mut report = Report::new(&options.run_id);
    let outcome = attempt(&server, &original, options, &place, &mut report).await;
    if options.keep && place.exists() {
        report.kept = Some(place.to_string_lossy().into_owned());
    } else if place.exists() {
        let place = place.clone();
        tokio::task::spawn_blocking(move || std::fs::remove_dir_all(place)).await?.context("the clean place stays")?;
    }
    match outcome {
        Ok(outcome) => judge(&server, &original, options, &outcome, &mut report).await?,
        Err(error) => match error.downcast::<Error>() {
            Ok(missing @ Error::Missing(_)) => report.cannot(missing.to_string()),
            Ok(other) => return Err(other.into()),
            Err(error) => return Err(error),
        },
    }
    report.store(&server, &original).await?;
    Ok(report)
}

/// Restores and runs.
async fn attempt(
    server: &Server,
    original: &Original,
    options: &Options,
    place: &Path,
    report: &mut Report,
) -> anyhow::Result<Outcome> {
    let manifest = original.manifest(server).await?;
    if let Some(gap) = manifest.gaps.first() {
        return Err(missing(gap.clone()));
    }
    let patch = match manifest.code.as_ref().and_then(|code| code.patch.as_ref()) {
        Some(patch) => original.artifact(server, &patch.artifact).await?,
        None => None,
    };
    check_uris(&manifest).await?;
    let (root, kind) = (place.join("code"), options.environment);
    let here = recording::here()?;
    let restoring = {
        let (manifest, root) = (manifest.clone(), root.clone());
        move || restore(&manifest, patch.as_deref(), &here, &root, kind)
    };
    let built = tokio::task::spawn_blocking(restoring).await??;
    report.restored(&manifest, built.as_ref());
    let recording = recording::Options {
        experiment: Some(original.experiment.clone()),
        name: Some(format!("{} again", original.name)),
        data: data(&manifest, &root),
        argv: restore::command(&manifest, built.as_ref(), &root),
        directory: root.join(&manifest.command.directory),
        variables: variables(&manifest, built.as_ref(), &root),
        tags: BTreeMap::from([("rondo.reproduces".to_owned(), original.run_id.clone())]),
        output: recording::Output::Stderr,
        quiet: true,
        ..recording::Options::default()
    };
    recording::record(server.clone(), recording).await
}

fn missing(what: String) -> anyhow::Error {
    Error::Missing(what).into()
}

/// Code, data and environment, in this order. Blocking.
fn restore(
    manifest: &Manifest,
    patch: Option<&[u8]>,
    here: &Path,
    root: &Path,
    kind: Kind,
) -> Result<Option<Built>, Error> {
    let code = manifest.code.as_ref().ok_or_else(|| Error::Missing("the run has no recorded code".to_owned()))?;
    restore::code(code, patch, here, root)?;
    restore::data(&manifest.data, root)?;
    let Some(environment) = &manifest.environment else { return Ok(None) };
    let cache = cache().join("environments");
    restore::environment(environment, root, Path::new(&code.root), &cache, kind).map(Some)
}

/// Data behind addresses must still be the same.
async fn check_uris(manifest: &Manifest) -> anyhow::Result<()> {
    for data in manifest.data.iter().filter(|data| data.kind == "uri") {
        match recording::read_uri(&data.location).await {
            Ok((digest, _)) if digest == data.digest => {}
            Ok(_) => return Err(missing(format!("the data at {} has changed since the run", data.location))),
            Err(error) => return Err(missing(format!("the data at {} cannot be had: {error:#}", data.location))),
        }
    }
    Ok(())
}

/// What the repetition declares as its data: the same, in the restored code.
fn data(manifest: &Manifest, root: &Path) -> Vec<String> {
    let declared = manifest.data.iter().filter(|data| data.kind != "dataset");
    let place = |data: &record::manifest::Data| match &data.relative {
        Some(relative) => root.join(relative).to_string_lossy().into_owned(),
        None => data.location.clone(),
    };
    declared.map(place).collect()
}

/// The recorded variables, and none of those that would change results and were not set; the environment's programs first.
fn variables(manifest: &Manifest, built: Option<&Built>, root: &Path) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = ALLOWED.into_iter().map(|name| (name.to_owned(), String::new())).collect();
    for (name, value) in &manifest.variables {
        all.insert(name.clone(), value.replace("{root}", &root.to_string_lossy()));
    }
    all.insert("RONDO_SEED".to_owned(), manifest.seed.value.clone());
    all.insert("PYTHONHOME".to_owned(), String::new());
    // The environment is new; what Python has compiled of it is kept for the next time.
    all.insert("PYTHONDONTWRITEBYTECODE".to_owned(), String::new());
    if let Some(built) = built {
        let home = built.home.to_string_lossy().into_owned();
        let path = std::env::var("PATH").unwrap_or_default();
        all.insert("PATH".to_owned(), format!("{home}/bin:{path}"));
        all.insert("UV_PROJECT_ENVIRONMENT".to_owned(), home.clone());
        all.insert("UV_NO_SYNC".to_owned(), "1".to_owned());
        all.insert("VIRTUAL_ENV".to_owned(), home);
    }
    all
}

/// Compares both runs.
async fn judge(
    server: &Server,
    original: &Original,
    options: &Options,
    outcome: &Outcome,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.again = Some(outcome.run_id.clone());
    if !outcome.sent {
        anyhow::bail!(
            "the repetition {} could not be sent to the server: run `rondo sync`, and repeat it",
            outcome.run_id
        );
    }
    let again = Original::read(server, &outcome.run_id).await?;
    report.notes.extend(runs::differences(server, original, &again).await);
    if outcome.status != "FINISHED" && original.status == "FINISHED" {
        let last = outcome.last_line.as_deref().unwrap_or("it wrote nothing");
        report.cannot(format!("the command ended with {}: {last}", outcome.code));
        return Ok(());
    }
    let histories = (original.histories(server).await?, again.histories(server).await?);
    (report.verdict, report.metrics) = compare::compare(&histories.0, &histories.1, &options.tolerances);
    if report.verdict == Verdict::Cannot {
        report.cannot("neither run has a metric: there is nothing to compare".to_owned());
    }
    Ok(())
}

/// A folder of our own for one repetition.
fn place(run_id: &str) -> PathBuf {
    let (run, own) = (run_id.get(..8).unwrap_or(run_id), kernel::id::random_hex());
    cache().join("reproduce").join(format!("{run}-{}", &own[..8]))
}
