//! The registry on both engines, from its public face.
#![expect(clippy::unwrap_used, reason = "tests")]

mod gate;
mod model;
mod search;
mod verdict;
mod version;
mod webhook;

use db::{Db, Tx};
use kernel::clock::{Clock, DAY_US};
use kernel::ctx::{Ctx, Principal};
use kernel::event::Event;
use rondo_registry::version::{NewVersion, Version};
use rondo_registry::{Error, MIGRATIONS};

/// A unit of work that ends a test if it fails.
async fn write<T: Send + 'static>(db: &Db, work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static) -> T {
    db.write(work).await.unwrap()
}

/// A unit of work that is expected to fail.
async fn refused<T: Send + std::fmt::Debug + 'static>(
    db: &Db,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
) -> Error {
    db.write(work).await.unwrap_err()
}

/// A context at an instant: `day` days after the epoch.
fn on_day(day: i64) -> Ctx {
    Ctx::new(Principal::Person("ada".to_owned()), Clock::manual(day * DAY_US).now_us())
}

fn register(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<Version, Error> {
    let new = NewVersion {
        name: name.to_owned(),
        source: "mlflow-artifacts:/0/r1/artifacts/model".to_owned(),
        ..NewVersion::default()
    };
    rondo_registry::version::create(tx, ctx, new)
}

/// A model with versions 1..=n.
async fn model_with(db: &Db, name: &'static str, versions: usize) {
    write(db, move |tx| {
        let ctx = on_day(1);
        rondo_registry::model::create(tx, &ctx, name, Vec::new(), None)?;
        for _ in 0..versions {
            register(tx, &ctx, name)?;
        }
        Ok(())
    })
    .await;
}

/// The whole audit trail.
async fn events(db: &Db) -> Vec<Event> {
    write(db, |tx| Ok(db::events::after(tx, -1, 1_000)?)).await
}

/// The moves in it: `pointer from to`, and what else was said.
async fn moves(db: &Db) -> Vec<String> {
    let moved = events(db).await.into_iter().filter(|event| event.kind == kernel::event::kind::POINTER_MOVED);
    let told = moved.map(|event| {
        let payload = event.payload;
        let shown = |key: &str| payload[key].as_str().unwrap_or("-").to_owned();
        let mut line = format!("{} {} {} {}", event.model.unwrap(), shown("pointer"), shown("from"), shown("to"));
        for flag in ["unproven", "rollback"] {
            if payload[flag] == true {
                line = format!("{line} {flag}");
            }
        }
        if payload["verdict_id"].is_string() {
            line += " proven";
        }
        line
    });
    told.collect()
}
