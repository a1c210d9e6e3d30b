//! `rondo up`: one process, one port, one data folder.

pub(crate) mod lock;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use conductor::{House, Parts};
use kernel::clock::Clock;
use kernel::ctx::Principal;
use kernel::task::{Shutdown, Stopper};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::term;

/// How long requests that run when the signal comes may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// Serves until a signal says stop.
pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    let address = config.listen()?;
    let data_dir = config.data_dir();
    std::fs::create_dir_all(&data_dir).with_context(|| format!("{} cannot be created", data_dir.display()))?;
    let mut lock = lock::DataLock::take(&data_dir)?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        term::hinted(
            format!("{address} cannot be listened on: {error}"),
            "choose another with --listen, or port 0 for a free one",
        )
    })?;
    let address = listener.local_addr()?;
    let house = open(config, &data_dir).await?;
    house.set_base_url(format!("http://{address}"));
    if config.webhook_private()? {
        house.allow_private_targets();
    }
    conductor::rollout::restore(&house).await?;
    let (stopper, shutdown) = kernel::task::shutdown();
    let edge = edge(config, address)?;
    if edge.authenticates {
        first_admin(&house).await?;
    }
    let executor = start(config, &data_dir, &house, &shutdown)?;
    lock.write_address(address)?;
    announce(address, &data_dir);
    serve(listener, (house.clone(), edge), stopper, shutdown).await?;
    let _finished = executor.await;
    for house in house.opened() {
        let closed = house.log.flush().await;
        closed.context("the prediction log cannot be closed cleanly; nothing is lost, the next start reads it")?;
    }
    Ok(())
}

async fn open(config: &Config, data_dir: &Path) -> anyhow::Result<House> {
    let clock = Clock::system();
    let own = blob::Blob::open(&data_dir.join("objects").to_string_lossy())?;
    let blob = config.artifacts().map_or_else(|| Ok(own.clone()), blob::Blob::open)?;
    let db = db::Db::open(&config.database(), &conductor::TABLES).await?;
    conductor::installation::claim(&db, &clock, &blob).await?;
    // The prediction log is this server's own, wherever the artifacts are.
    let log = telemetry::Log::open(&data_dir.join("telemetry"), own, clock.clone(), telemetry::Options::default())?;
    let threads = config.predict_threads()?;
    let options = serving::Options { workers: threads, ..serving::Options::default() };
    let fleet = serving::Fleet::new(log.clone(), clock.clone(), options);
    Ok(House::new(Parts { db, blob, log, fleet, clock, logs_dir: data_dir.join("pipelines") }))
}

fn edge(config: &Config, address: SocketAddr) -> anyhow::Result<api::Edge> {
    let (authenticates, hosts) = (config.authenticates()?, config.hosts()?);
    Ok(api::Edge { authenticates, hosts, any_address: !address.ip().is_loopback() })
}

/// Makes a token for a server that nobody could administer, and shows it this once.
async fn first_admin(house: &House) -> anyhow::Result<()> {
    let ctx = house.ctx(Principal::System("first-start"));
    if let Some(secret) = house.db.write(move |tx| access::token::first_admin(tx, &ctx)).await? {
        term::line(
            "this server asks who calls, and nobody could administer it; here is an admin's token, shown only now:",
        );
        term::line(secret.reveal());
        term::line("export it as RONDO_TOKEN for this command, as MLFLOW_TRACKING_TOKEN for mlflow");
    }
    Ok(())
}

/// What the steps of pipelines prove themselves with where the server asks: for each workspace a token that opens nothing else, and
/// lives in this process only.
fn step_tokens(config: &Config, house: &House) -> anyhow::Result<pipelines::WorkspaceEnv> {
    if !config.authenticates()? {
        return Ok(pipelines::WorkspaceEnv::default());
    }
    let (access, made) = (house.access.clone(), Mutex::new(BTreeMap::<String, String>::new()));
    Ok(pipelines::WorkspaceEnv::new(move |workspace| {
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if !made.contains_key(workspace)
            && let Ok(secret) = access.internal("pipeline", access::Role::Editor, workspace)
        {
            made.insert(workspace.to_owned(), secret.reveal().to_owned());
        }
        let secret = made.get(workspace).cloned().unwrap_or_default();
        ["RONDO_TOKEN", "MLFLOW_TRACKING_TOKEN"].map(|name| (name.to_owned(), secret.clone())).into()
    }))
}

/// Starts what acts on its own; the handle ends when running pipeline steps have been stopped.
fn start(
    config: &Config,
    data_dir: &Path,
    house: &House,
    shutdown: &Shutdown,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let options = pipelines::Options {
        logs_dir: data_dir.join("pipelines"),
        max_steps: config.pipeline_slots()?,
        base_url: house.base_url().to_owned(),
        workspace_env: step_tokens(config, house)?,
        ..pipelines::Options::default()
    };
    let executor = pipelines::Executor::new(house.db.clone(), options, house.clock.clone());
    conductor::worker::start(house, shutdown);
    let shutdown = shutdown.clone();
    Ok(kernel::task::spawn("pipeline-executor", async move { executor.run(shutdown).await }))
}

fn announce(address: SocketAddr, data_dir: &Path) {
    term::line(format!(
        "rondo {} is ready at http://{address} (data in {})",
        env!("CARGO_PKG_VERSION"),
        data_dir.display()
    ));
}

/// Serves until a signal; then requests that run may end, but none may keep the server by never ending.
async fn serve(
    listener: TcpListener,
    (house, edge): (House, api::Edge),
    stopper: Stopper,
    mut shutdown: Shutdown,
) -> anyhow::Result<()> {
    use axum::serve::ListenerExt as _;
    let listener = listener.tap_io(|stream| {
        let _best_effort = stream.set_nodelay(true);
    });
    let stopping = async move {
        stop_signal().await;
        stopper.stop();
    };
    let too_long = async move {
        shutdown.wait().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = axum::serve(listener, api::service_with(house, edge)).with_graceful_shutdown(stopping) => ended?,
        () = too_long => tracing::warn!("requests that had not ended were cut off"),
    }
    Ok(())
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
