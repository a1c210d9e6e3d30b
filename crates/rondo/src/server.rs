//! `rondo up`: one process, one port, one data folder.

pub(crate) mod lock;
mod replica;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use conductor::follow::Follower;
use conductor::leadership::{self, Until};
use conductor::{House, Parts};
use db::replica::Newcomer;
use kernel::clock::Clock;
use kernel::ctx::{Ctx, Principal};
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
    let house = open(config, &data_dir, address).await?;
    house.set_base_url(format!("http://{address}"));
    house.set_sign_in(config.sign_in(&house.clock)?);
    let failover = config.failover()?;
    replica::arrive(&house, failover).await?;
    if config.webhook_private()? {
        house.allow_private_targets();
    }
    let (stopper, shutdown) = kernel::task::shutdown();
    let (oust, ousted) = kernel::task::shutdown();
    let attending = replica::attend(&house, failover, shutdown.clone(), oust);
    let follower = Follower::start(&house).await?;
    let edge = edge(config, address)?;
    if edge.authenticates {
        first_admin(&house).await?;
    }
    let turning = start(config, &data_dir, &house, &shutdown)?;
    follow(&house, follower, &shutdown);
    lock.write_address(address)?;
    announce(address, &data_dir);
    serve(listener, (house.clone(), edge), stopper, (shutdown, ousted)).await?;
    let _finished = turning.await;
    for house in house.opened() {
        let closed = house.log.flush().await;
        closed.context("the prediction log cannot be closed cleanly; nothing is lost, the next start reads it")?;
    }
    let _left = attending.await;
    Ok(())
}

async fn open(config: &Config, data_dir: &Path, address: SocketAddr) -> anyhow::Result<House> {
    let clock = Clock::system();
    let own = blob::Blob::open(&data_dir.join("objects").to_string_lossy())?;
    let blob = config.artifacts().map_or_else(|| Ok(own.clone()), blob::Blob::open)?;
    let id = replica::id(data_dir)?;
    let db = db::Db::open_as(&config.database(), &conductor::TABLES, &id).await?;
    conductor::installation::claim(&db, &clock, &blob).await?;
    let store = blob.identity(&kernel::id::random_hex()).await?;
    let who = Newcomer { id, version: db::version(&conductor::TABLES), store, address: replica::address(address) };
    // The prediction log is this server's own, wherever the artifacts are.
    let log = telemetry::Log::open(&data_dir.join("telemetry"), own, clock.clone(), telemetry::Options::default())?;
    let threads = config.predict_threads()?;
    let options = serving::Options { workers: threads, ..serving::Options::default() };
    let fleet = serving::Fleet::new(log.clone(), clock.clone(), options);
    let house = House::new(Parts { db, blob, log, fleet, clock, logs_dir: data_dir.join("pipelines") });
    house.set_replica(who);
    Ok(house)
}

fn edge(config: &Config, address: SocketAddr) -> anyhow::Result<api::Edge> {
    let (authenticates, mut hosts) = (config.authenticates()?, config.hosts()?);
    hosts.extend(config.public_host());
    Ok(api::Edge { authenticates, hosts, any_address: !address.ip().is_loopback() })
}

/// Makes a token for a server that nobody could administer, and shows it this once.
async fn first_admin(house: &House) -> anyhow::Result<()> {
    let ctx = house.ctx(Principal::System("first-start"));
    if let Some(secret) = house.db.write(move |tx| first_admin_alone(tx, &ctx)).await? {
        term::line(
            "this server asks who calls, and nobody could administer it; here is an admin's token, shown only now:",
        );
        term::line(secret.reveal());
        term::line("export it as RONDO_TOKEN for this command, as MLFLOW_TRACKING_TOKEN for mlflow");
    }
    Ok(())
}

/// Of several servers that start at once on a new database, one makes the token.
fn first_admin_alone(tx: &mut db::Tx<'_>, ctx: &Ctx) -> Result<Option<access::Secret>, access::Error> {
    tx.next("first-admin")?;
    access::token::first_admin(tx, ctx)
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

/// Keeps what this process holds in memory up to what other servers change. A file has one server and nothing to follow.
fn follow(house: &House, follower: Follower, shutdown: &Shutdown) {
    if house.db.engine() == db::Engine::Postgres {
        let (house, shutdown) = (house.clone(), shutdown.clone());
        kernel::task::spawn("follower", async move { follower.run(&house, shutdown).await });
    }
}

/// Starts what acts on its own whenever it is this server's turn; the handle ends when running pipeline steps have been stopped.
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
    let turn = move |house: &House, until: &Until| {
        let executor = pipelines::Executor::new(house.db.clone(), options.clone(), house.clock.clone());
        let (executor, stop) = (executor.until(until.lost.clone()), until.stop.clone());
        let mut tasks = conductor::worker::start(house, &until.stop);
        tasks.push(kernel::task::spawn("pipeline-executor", async move { executor.run(stop).await }));
        tasks
    };
    let (house, shutdown) = (house.clone(), shutdown.clone());
    let taking = leadership::Options { replica: house.replica().to_owned(), failover: config.failover()? };
    Ok(kernel::task::spawn("loop-lease", async move { leadership::run(&house, &taking, shutdown, turn).await }))
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
    (mut shutdown, mut ousted): (Shutdown, Shutdown),
) -> anyhow::Result<()> {
    use axum::serve::ListenerExt as _;
    let listener = listener.tap_io(|stream| {
        let _best_effort = stream.set_nodelay(true);
    });
    let stopping = async move {
        tokio::select! {
            () = stop_signal() => {}
            () = ousted.wait() => {}
        }
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
