//! The demo.

use crate::cli::Demo;

/// Turns the loop.
pub(crate) async fn run(demo: Demo) -> anyhow::Result<()> {
    anyhow::bail!("{demo:?}")
}
