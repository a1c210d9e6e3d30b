//! What soft delete and failed uploads left is removed for good: rows and files of deleted runs, logged models and experiments, and
//! files below the place of a run or logged model that no longer exists, and parts of uploads that nobody ended.
//!
//! Files of a registered version stay, whatever became of the run that wrote them. Files go before rows, so what a crash
//! interrupts is done by the next call.

use std::collections::BTreeSet;

use blob::{Blob, SafePath};
use db::{Db, Tx};
use kernel::clock::Clock;
use serde::Serialize;
use tracking::purge::{self, Binned};

use crate::Error;

/// Where there is something to remove.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Metadata.
    pub db: Db,
    /// Artifacts.
    pub blob: Blob,
    /// The time.
    pub clock: Clock,
}

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a thing must have been in the bin, or a file have been left alone, in microseconds.
    pub older_than_us: i64,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Runs, by id.
    pub runs: Vec<String>,
    /// Logged models, by id.
    pub logged_models: Vec<String>,
    /// Experiments, by id.
    pub experiments: Vec<i64>,
    /// Folders of runs and logged models that do not exist.
    pub orphans: Vec<String>,
    /// Uploads in parts that nobody ended, by id.
    pub uploads: Vec<String>,
    /// What is in the bin and stays, and why.
    pub kept: Vec<Kept>,
    /// Files of all these.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Something that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Removes what nobody can see any more.
pub async fn collect(stores: &Stores, options: Options) -> Result<Report, Error> {
    let until_ms = (stores.clock.now_us() - options.older_than_us) / 1_000;
    let (runs, models, used) = stores
        .db
        .read(move |tx| {
            Ok::<_, Error>((purge::runs(tx, until_ms)?, purge::logged_models(tx, until_ms)?, used_folders(tx)?))
        })
        .await?;
    let mut report = Report::default();
    for run in runs {
        if clear(stores, &run, &used, options, &mut report).await? {
            let id = run.id.clone();
            let gone = options.dry_run || stores.db.write(move |tx| purge::remove_run(tx, &id)).await?;
            report.runs.extend(gone.then_some(run.id));
        }
    }
    for model in models {
        if clear(stores, &model, &used, options, &mut report).await? {
            let id = model.id.clone();
            let gone = options.dry_run || stores.db.write(move |tx| purge::remove_logged_model(tx, &id)).await?;
            report.logged_models.extend(gone.then_some(model.id));
        }
    }
    orphans(stores, &used, options, &mut report).await?;
    uploads(stores, options, &mut report).await?;
    let experiments = stores.db.read(move |tx| purge::experiments(tx, until_ms)).await?;
    for id in experiments {
        let gone = options.dry_run || stores.db.write(move |tx| purge::remove_experiment(tx, id)).await?;
        report.experiments.extend(gone.then_some(id));
    }
    Ok(report)
}

/// The folders of registered versions.
fn used_folders(tx: &mut Tx<'_>) -> Result<BTreeSet<String>, Error> {
    let locations = registry::version::locations(tx)?;
    Ok(locations.iter().filter_map(|uri| blob::artifact_path(uri).ok()).map(|path| path.to_string()).collect())
}

/// A folder in use at, below or above this one.
fn user<'a>(used: &'a BTreeSet<String>, folder: &str) -> Option<&'a String> {
    let inside = |outer: &str, inner: &str| {
        inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    used.iter().find(|one| inside(folder, one) || inside(one, folder))
}

/// Removes the files of a thing; false if it must stay. Files that lie elsewhere than in our store are not ours to remove.
async fn clear(
    stores: &Stores,
    thing: &Binned,
    used: &BTreeSet<String>,
    options: Options,
    report: &mut Report,
) -> Result<bool, Error> {
    let Ok(folder) = blob::artifact_path(&thing.artifacts) else { return Ok(true) };
    if let Some(user) = user(used, folder.as_str()) {
        let reason = format!("a registered version uses its files in {user}");
        report.kept.push(Kept { id: thing.id.clone(), reason });
        return Ok(false);
    }
    remove_folder(stores, &folder, options, report).await?;
    Ok(true)
}

async fn remove_folder(stores: &Stores, folder: &SafePath, options: Options, report: &mut Report) -> Result<(), Error> {
    count(stores, folder, report).await?;
    if !options.dry_run {
        stores.blob.delete_all(folder.as_str()).await?;
    }
    Ok(())
}

async fn count(stores: &Stores, folder: &SafePath, report: &mut Report) -> Result<(), Error> {
    for file in stores.blob.list_all(folder.as_str()).await? {
        report.files += 1;
        report.bytes += file.size;
    }
    Ok(())
}

/// Folders where runs and logged models keep their files by default, of ones that do not exist.
async fn orphans(stores: &Stores, used: &BTreeSet<String>, options: Options, report: &mut Report) -> Result<(), Error> {
    let gone: BTreeSet<&String> = report.runs.iter().chain(&report.logged_models).collect();
    let mut found = Vec::new();
    for inside in experiments(stores).await? {
        let runs = folders(stores, &inside).await?.into_iter().filter(|name| is_hex(name));
        found.extend(runs.map(|id| (format!("{inside}/{id}"), id)));
        let models = folders(stores, &format!("{inside}/models")).await?.into_iter();
        let models = models.filter(|name| name.strip_prefix("m-").is_some_and(is_hex));
        found.extend(models.map(|id| (format!("{inside}/models/{id}"), id)));
    }
    found.retain(|(folder, id)| !gone.contains(id) && user(used, folder).is_none());
    for (folder, id) in found {
        let known = stores.db.read(move |tx| purge::is_known(tx, &id)).await?;
        let folder = SafePath::parse(&folder)?;
        if !known && is_old(stores, &folder, options).await? {
            remove_folder(stores, &folder, options, report).await?;
            report.orphans.push(folder.to_string());
        }
    }
    Ok(())
}

/// Uploads in parts that were started long ago, and what a crash left of others.
async fn uploads(stores: &Stores, options: Options, report: &mut Report) -> Result<(), Error> {
    let (uploads, remains) = stores.blob.all_parts().await?;
    for upload in uploads {
        let folder = SafePath::parse(&format!("uploads/{}", upload.id))?;
        if is_old(stores, &folder, options).await? {
            count(stores, &folder, report).await?;
            if !options.dry_run {
                stores.blob.abort_parts(&upload).await?;
            }
            report.uploads.push(upload.id);
        }
    }
    for id in remains {
        if !options.dry_run {
            stores.blob.remove_remains(&id).await?;
        }
        report.uploads.push(id);
    }
    Ok(())
}

/// Folders of experiments, of every workspace.
async fn experiments(stores: &Stores) -> Result<Vec<String>, Error> {
    let mut roots = vec!["artifacts".to_owned()];
    let others = folders(stores, "artifacts/workspaces").await?.into_iter();
    roots.extend(others.map(|workspace| format!("artifacts/workspaces/{workspace}")));
    let mut found = Vec::new();
    for root in roots {
        let numbered =
            folders(stores, &root).await?.into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
        found.extend(numbered.map(|experiment| format!("{root}/{experiment}")));
    }
    Ok(found)
}

async fn folders(stores: &Stores, inside: &str) -> Result<Vec<String>, Error> {
    let entries = stores.blob.list(inside).await?;
    Ok(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect())
}

fn is_hex(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether nothing below a folder was written lately: a client may upload first and create its run later.
async fn is_old(stores: &Stores, folder: &SafePath, options: Options) -> Result<bool, Error> {
    let until_us = stores.clock.now_us() - options.older_than_us;
    for file in stores.blob.list_all(folder.as_str()).await? {
        let known = stores.blob.head(&folder.join(&file.name)?).await?;
        if known.is_some_and(|known| known.modified_us > until_us) {
            return Ok(false);
        }
    }
    Ok(true)
}
