//! `rondo demo`: a year of New York flights through the whole loop, as a client over real HTTP.
//!
//! The server is a child process of the same executable, so that it can be killed; everything here talks to it as any program
//! could. Nothing is scripted: the replay sends what happened, and what Rondo does about it is read from the API. Started again on
//! the same folder, it goes on where the watermark of the deployment stands.

mod api;
mod chaos;
mod flights;
mod house;
mod oracle;
mod progress;
mod python;
mod replay;
mod server;
mod setup;
mod story;
mod tell;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use self::api::Api;
use self::flights::Flights;
use self::house::Folder;
use self::server::Server;
use crate::cli::Demo;
use crate::term;

/// The name of the model, the deployment, the monitor and the pipeline.
const NAME: &str = "flight-delay";

/// Turns the loop.
pub(crate) async fn run(demo: Demo) -> anyhow::Result<()> {
    let (stop, stopped) = tokio::sync::watch::channel(None::<Arc<Server>>);
    let outcome = tokio::select! {
        outcome = turn(&demo, &stop) => outcome,
        () = asked_to_stop() => Ok(()),
    };
    let server = stopped.borrow().clone();
    if let Some(server) = server {
        server.stop().await?;
    }
    outcome
}

async fn turn(demo: &Demo, started: &tokio::sync::watch::Sender<Option<Arc<Server>>>) -> anyhow::Result<()> {
    let begun = Instant::now();
    let folder = Folder::make(&demo.data_dir)?;
    python::provide(&folder).await?;

    let starting = progress::step("server");
    let server = Arc::new(Server::start(demo, &folder).await?);
    started.send_replace(Some(Arc::clone(&server)));
    let api = Api::new(Arc::clone(&server));
    starting.done(format!("{} with its data in {}", server.url(), demo.data_dir.display()));

    setup::furnish(&api, &folder, if demo.full { 100 } else { 20 }).await?;
    setup::first_model(&api, &folder).await?;

    let data = folder.replay();
    let flights = tokio::task::spawn_blocking(move || Flights::read(&data)).await?.context("the flights to replay")?;
    let replayed = replay::run(&api, &flights, (demo.chaos, demo.seed)).await?;

    let checking = progress::step("verification");
    let proof = oracle::verify(&api, &flights, &replayed).await?;
    checking.done(proof);

    let told = story::gather(&api, &replayed).await?;
    std::fs::write(folder.story(), serde_json::to_string_pretty(&told)?)
        .with_context(|| format!("{} cannot be written", folder.story().display()))?;
    tell::print(&told, server.url());
    term::line(format!("  {} in all\n", progress::span(begun.elapsed())));
    if demo.exit {
        return Ok(());
    }
    term::line(format!("  Look around: {}   (Ctrl-C ends it)\n", term::bold(server.url())));
    loop {
        // Whatever happens to the server from here on, it is there.
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.revive().await?;
    }
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
