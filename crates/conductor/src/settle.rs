//! Settles metrics that wait (`tracking::metric`), once their run has been quiet for a while. It may be done twice, by two servers.

use std::time::Duration;

use kernel::task::Shutdown;

use tracking::metric;

use crate::{Error, House};

const TICK: Duration = Duration::from_secs(1);
/// A run is quiet when nothing came for so long.
const QUIET_MS: i64 = 1_000;
/// So many runs in one unit of work, so that nobody else waits long for the database.
const RUNS: i64 = 2;

/// Until the shutdown.
pub(crate) async fn run(house: &House, mut shutdown: Shutdown) {
    loop {
        if let Err(error) = round(house).await {
            tracing::error!(%error, "metrics that wait could not be settled; they will be tried again");
        }
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn round(house: &House) -> Result<(), Error> {
    while house.db.read(metric::is_any_waiting).await? {
        let until_ms = house.clock.now_us() / 1_000 - QUIET_MS;
        let settled = house.db.write(move |tx| metric::settle_quiet(tx, until_ms, RUNS)).await?;
        if settled < RUNS as usize {
            break;
        }
    }
    Ok(())
}
