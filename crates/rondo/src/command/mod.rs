//! What each command does.

mod audit;
mod config;
mod database;
mod deployment;
mod doctor;
mod gc;
mod model;
mod monitor;
mod pipeline;
mod record;
mod reproduce;
mod run;
mod show;
mod sweep;
mod token;
mod transfer;
mod user;
mod workspace;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, Command, Global, Run, Store, Up};
use crate::client::Client;
use crate::config::Config;
use crate::{demo, recording, server, term};

/// A client and how its answers are shown.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) json: bool,
}

/// Does what was typed. The exit code is that of a command which was run for the user, or success.
pub(crate) fn run(arguments: Cli) -> anyhow::Result<ExitCode> {
    let Cli { global, command } = arguments;
    match command {
        Command::Run(Run { look: None, start }) => {
            let server = record::server(&global)?;
            runtime()?.block_on(record::run(server, start, global.json))
        }
        Command::Reproduce(what) => {
            let server = record::server(&global)?;
            runtime()?.block_on(reproduce::run(server, what, global.json))
        }
        other => run_own(global, other).map(|()| ExitCode::SUCCESS),
    }
}

fn run_own(global: Global, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Version => version(global.json),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "rondo", &mut std::io::stdout());
            Ok(())
        }
        Command::Up(up) => {
            let config = load(&global, &up)?;
            start_log(&config);
            runtime()?.block_on(server::run(&config))
        }
        Command::Config(what) => config::run(&what, &load(&global, &Up::default())?, global.json),
        Command::Db(what) => runtime()?.block_on(database::run(&global, what)),
        Command::Gc(gc) => {
            let config = load_store(&global, &gc.store)?;
            runtime()?.block_on(gc::run(&config, &gc, global.json))
        }
        Command::Sync => {
            let config = load(&global, &Up::default())?;
            let server = global.server.as_deref();
            runtime()?.block_on(recording::sync(server, &config, global.json))
        }
        Command::Demo(demo) => runtime()?.block_on(demo::run(demo)),
        Command::Doctor => {
            let config = load(&global, &Up::default())?;
            runtime()?.block_on(doctor::run(&config, global.json))
        }
        Command::Import(what) => {
            let config = load(&global, &Up::default())?;
            runtime()?.block_on(transfer::import(&config, what, global.json))
        }
        Command::Export(what) => {
            let config = load(&global, &Up::default())?;
            runtime()?.block_on(transfer::export(&config, what, global.json))
        }
        other => {
            let config = load(&global, &Up::default())?;
            let session = Session { client: Client::new(&config)?, json: global.json };
            runtime()?.block_on(talk(&session, other))
        }
    }
}

async fn talk(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Model(what) => model::run(session, what).await,
        Command::Deployment(what) => deployment::run(session, what).await,
        Command::Monitor(what) => monitor::run(session, what).await,
        Command::Pipeline(what) => pipeline::run(session, what).await,
        Command::Run(Run { look: Some(what), .. }) => run::run(session, what).await,
        Command::Sweep(what) => sweep::run(session, what).await,
        Command::Audit(what) => audit::run(session, what).await,
        Command::Token(what) => token::run(session, what).await,
        Command::User(what) => user::run(session, what).await,
        Command::Workspace(what) => workspace::run(session, what).await,
        Command::Member(what) => workspace::members(session, what).await,
        _ => Ok(()),
    }
}

fn load(global: &Global, up: &Up) -> anyhow::Result<Config> {
    let data_dir = up.data_dir.as_ref().map(|path| path.display().to_string());
    let flags = [
        ("listen", up.listen.clone()),
        ("auth", up.auth.clone()),
        ("hosts", up.hosts.clone()),
        ("data_dir", data_dir),
        ("database", up.database.clone()),
        ("artifacts", up.artifacts.clone()),
        ("server", global.server.clone()),
        ("workspace", global.workspace.clone()),
    ];
    Config::load(global.config.as_deref(), &flags)
}

/// The configuration of a command that works on the data folder itself.
fn load_store(global: &Global, store: &Store) -> anyhow::Result<Config> {
    let Store { data_dir, database, artifacts } = store.clone();
    load(global, &Up { data_dir, database, artifacts, ..Up::default() })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn start_log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(config.log()).unwrap_or_else(|_| "warn".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.log_is_json() { log.json().init() } else { log.with_target(false).init() }
}

fn version(json: bool) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if json {
        return term::json(&serde_json::json!({ "name": "rondo", "version": version }));
    }
    term::line(format!("rondo {version}"));
    Ok(())
}
