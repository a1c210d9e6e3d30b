//! The end of a workspace: only when there is nothing in it any more, in any layer.

use db::Tx;
use kernel::ctx::Ctx;

use crate::{Error, House};

/// The tables whose rows are the things of a workspace.
const ROOTS: [&[&str]; 5] = [
    tracking::ROOT_TABLES,
    registry::ROOT_TABLES,
    serving::deployment::ROOT_TABLES,
    monitoring::ROOT_TABLES,
    pipelines::ROOT_TABLES,
];

/// Deletes a workspace if it is empty.
pub async fn delete(house: &House, ctx: Ctx, name: &str) -> Result<(), Error> {
    let (name, gone) = (name.to_owned(), name.to_owned());
    house.db.write(move |tx| delete_empty(tx, &ctx, &name)).await?;
    house.abandon(&gone).await
}

fn delete_empty(tx: &mut Tx<'_>, ctx: &Ctx, name: &str) -> Result<(), Error> {
    for table in ROOTS.into_iter().flatten() {
        let rows = db::rows_of(tx, table, name)?;
        if rows > 0 {
            let (name, table) = (name.to_owned(), (*table).to_owned());
            return Err(access::Error::WorkspaceInUse { name, table, rows }.into());
        }
    }
    Ok(access::workspace::delete(tx, ctx, name)?)
}
