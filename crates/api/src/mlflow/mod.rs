//! The protocol of MLflow 3.17, as its unmodified clients speak it: one noun, one file. Quirks and the side we take are listed in
//! `docs/API-DESIGN.md`.

mod artifact;
mod assessment;
mod dataset;
mod error;
mod evaluation_dataset;
mod experiment;
mod graphql;
mod logged_model;
mod metric;
mod model_version;
mod points;
mod registered_model;
mod run;
mod scorer;
mod server;
mod shape;
mod source;
mod trace;
mod webhook;
mod wire;
mod workspace;

use conductor::House;
use db::Tx;
use kernel::ctx::{Ctx, Principal};

pub(crate) use error::Error;
pub(crate) use wire::{Answer, Body, Fields, JsonBytes, answer, answer_large, empty};

/// Largest JSON body, bytes. A dataset's profile alone may have 16 MiB; artifacts are streamed and have no part in this.
const MAX_BODY: usize = 64 << 20;

/// The same routes answer under each of these: two versions, and the mirror that browsers use.
const PREFIXES: [&str; 4] = ["/api/2.0/mlflow", "/api/3.0/mlflow", "/ajax-api/2.0/mlflow", "/ajax-api/3.0/mlflow"];

/// Routes of this protocol.
pub(crate) type Routes = crate::route::Routes<error::Mlflow>;

/// The routes.
pub(crate) fn routes() -> Routes {
    let nouns = Routes::new()
        .merge(artifact::routes())
        .merge(assessment::routes())
        .merge(dataset::routes())
        .merge(evaluation_dataset::routes())
        .merge(experiment::routes())
        .merge(logged_model::routes())
        .merge(metric::routes())
        .merge(model_version::routes())
        .merge(registered_model::routes())
        .merge(run::routes())
        .merge(scorer::routes())
        .merge(server::routes())
        .merge(trace::routes())
        .merge(webhook::routes())
        .body_limit(MAX_BODY);
    let rooted =
        Routes::new().merge(artifact::root_routes()).merge(graphql::root_routes()).merge(server::root_routes());
    let rooted = PREFIXES.into_iter().fold(rooted, |router, prefix| router.nest(prefix, nouns.clone()));
    let third = PREFIXES.into_iter().filter(|prefix| prefix.contains("3.0"));
    third.fold(rooted, |router, prefix| router.nest(prefix, workspace::routes().body_limit(MAX_BODY)))
}

/// Runs one unit of work that writes, in the name of the caller.
pub(crate) async fn write<T, E>(
    house: &House,
    who: Principal,
    work: impl FnOnce(&mut Tx<'_>, &Ctx) -> Result<T, E> + Send + 'static,
) -> Result<T, Error>
where
    T: Send + 'static,
    E: From<db::Error> + Into<Error> + Send + 'static,
{
    let ctx = house.ctx(who);
    house.db.write(move |tx| work(tx, &ctx)).await.map_err(Into::into)
}

/// Runs one unit of work that reads, in the name of the caller.
pub(crate) async fn read<T, E>(
    house: &House,
    who: Principal,
    work: impl FnOnce(&mut Tx<'_>, &Ctx) -> Result<T, E> + Send + 'static,
) -> Result<T, Error>
where
    T: Send + 'static,
    E: From<db::Error> + Into<Error> + Send + 'static,
{
    let ctx = house.ctx(who);
    house.db.read(move |tx| work(tx, &ctx)).await.map_err(Into::into)
}
