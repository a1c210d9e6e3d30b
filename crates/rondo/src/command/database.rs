//! `rondo db`: bring the database up to date, move it to another engine, save it.

use std::path::Path;

use kernel::clock::Clock;
use serde_json::json;

use crate::cli::{self, Global, Store};
use crate::config::Config;
use crate::server::lock::DataLock;
use crate::term::{self, hinted};

pub(crate) async fn run(global: &Global, what: cli::Db) -> anyhow::Result<()> {
    match what {
        cli::Db::Migrate(store) => migrate(&super::load_store(global, &store)?, global.json).await,
        cli::Db::Move { from, to } => {
            let config = super::load_store(global, &Store::default())?;
            move_all(&config, &from, &to, global.json).await
        }
        cli::Db::Backup { store, target } => backup(&super::load_store(global, &store)?, &target, global.json),
    }
}

/// Held while a command changes what a server would have open.
pub(super) fn lock(config: &Config) -> anyhow::Result<Option<DataLock>> {
    let folder = config.data_dir();
    if folder.exists() { DataLock::take(&folder).map(Some) } else { Ok(None) }
}

/// Refuses to change a database under servers that are at work on it, with data folders of their own.
pub(super) async fn refuse_servers(db: &db::Db) -> anyhow::Result<()> {
    if db.engine() == db::Engine::Sqlite {
        return Ok(());
    }
    let alive = db.read(db::replica::alive).await?;
    let Some(one) = alive.first() else { return Ok(()) };
    Err(hinted(
        format!("the server at {} is at work on this database", one.address),
        "stop the servers first; one that died counts for as long as `failover` says",
    ))
}

async fn migrate(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let _alone = lock(config)?;
    let since_us = Clock::system().now_us();
    let db = db::Db::open(&config.database(), &conductor::TABLES).await?;
    let applied = db.read(db::applied).await?;
    let fresh: Vec<&str> = applied.iter().filter(|step| step.at_us >= since_us).map(|step| step.id.as_str()).collect();
    if as_json {
        return term::json(&json!({ "applied": fresh, "migrations": applied.len() }));
    }
    for step in &fresh {
        term::line(format!("applied {step}"));
    }
    term::line(format!(
        "the database is up to date with rondo {} ({} steps)",
        env!("CARGO_PKG_VERSION"),
        applied.len()
    ));
    Ok(())
}

async fn move_all(config: &Config, from: &str, to: &str, as_json: bool) -> anyhow::Result<()> {
    if let Some(path) = from.strip_prefix("sqlite:")
        && !Path::new(path).exists()
    {
        return Err(hinted(format!("there is no database {path}"), "name the file of the database, sqlite:PATH"));
    }
    let _alone = lock(config)?;
    let source = db::Db::open(from, &conductor::TABLES).await?;
    let target = db::Db::open(to, &conductor::TABLES).await?;
    refuse_servers(&source).await?;
    refuse_servers(&target).await?;
    let copied = db::copy::copy(&source, &target, &conductor::TABLES).await?;
    if as_json {
        let tables = copied.iter().map(|one| json!({ "table": one.table, "rows": one.rows, "digest": one.digest }));
        return term::json(&json!({ "tables": tables.collect::<Vec<_>>() }));
    }
    let row = |one: &db::copy::Copied| vec![one.table.clone(), one.rows.to_string(), one.digest.clone()];
    term::table(&["table", "rows", "digest"], &copied.iter().map(row).collect::<Vec<_>>());
    let rows: u64 = copied.iter().map(|one| one.rows).sum();
    term::line(format!("{rows} rows in {} tables are the same on both sides", copied.len()));
    term::line("start the server with --database (or RONDO_DATABASE) set to the new one; the old one is as it was");
    Ok(())
}

fn backup(config: &Config, target: &Path, as_json: bool) -> anyhow::Result<()> {
    let url = config.database();
    let Some(source) = url.strip_prefix("sqlite:") else {
        return Err(hinted("only a SQLite database is a file that can be saved", "use pg_dump for PostgreSQL"));
    };
    let target = if target.is_dir() { target.join("rondo.db") } else { target.to_owned() };
    let bytes = db::backup(Path::new(source.strip_prefix("//").unwrap_or(source)), &target)?;
    let folder = config.data_dir();
    let artifacts = config.artifacts().map_or_else(|| folder.join("objects").display().to_string(), str::to_owned);
    let log = folder.join("telemetry").display().to_string();
    if as_json {
        return term::json(&json!({
            "file": target.display().to_string(), "bytes": bytes, "not_included": { "artifacts": artifacts, "prediction_log": log },
        }));
    }
    term::line(format!("{} holds the database, {bytes} bytes", target.display()));
    term::line(format!(
        "not in it: artifacts ({artifacts}) and the prediction log ({log} and {}/objects/telemetry)",
        folder.display()
    ));
    term::line(term::dim(
        "copy those after the database, the log before its objects; files are only ever added and never changed",
    ));
    Ok(())
}
