//! `rondo gc`.

use conductor::gc::{self, Options, Stores};
use kernel::clock::Clock;

use crate::cli;
use crate::config::Config;
use crate::term;

pub(crate) async fn run(config: &Config, asked: &cli::Gc, as_json: bool) -> anyhow::Result<()> {
    let _alone = super::database::lock(config)?;
    let clock = Clock::system();
    let db = db::Db::open(&config.database(), &conductor::TABLES).await?;
    super::database::refuse_servers(&db).await?;
    let own = config.data_dir().join("objects");
    let blob = match config.artifacts() {
        Some(url) => blob::Blob::open(url)?,
        None => blob::Blob::open(&own.to_string_lossy())?,
    };
    // Never tidy in a store that belongs to another database: all of its files would seem to belong to nothing.
    conductor::installation::claim(&db, &clock, &blob).await?;
    let options = Options { older_than_us: asked.older_than, dry_run: asked.dry_run };
    let report = gc::collect(&Stores { db, blob, clock }, options).await?;
    if as_json {
        return term::json(&report);
    }
    let verb = if asked.dry_run { "would remove" } else { "removed" };
    for (what, ids) in [
        ("run", &report.runs),
        ("logged model", &report.logged_models),
        ("orphaned folder", &report.orphans),
        ("unfinished upload", &report.uploads),
    ] {
        for id in ids {
            term::line(format!("{verb} {what} {id}"));
        }
    }
    for id in &report.experiments {
        term::line(format!("{verb} experiment {id}"));
    }
    for kept in &report.kept {
        term::line(format!("kept {}: {}", kept.id, kept.reason));
    }
    term::line(format!("{verb} {} files, {} bytes", report.files, report.bytes));
    Ok(())
}
