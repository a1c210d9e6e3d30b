//! `rondo audit`.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::json;

use super::{Session, show};
use crate::cli::Audit;
use crate::client::segment;
use crate::term;

pub(crate) async fn run(session: &Session, what: Audit) -> anyhow::Result<()> {
    match what {
        Audit::Verify { expect } => verify(session, expect.as_deref()).await,
        Audit::Export { after } => export(session, after).await,
    }
}

async fn verify(session: &Session, expect: Option<&str>) -> anyhow::Result<()> {
    let query = expect.map(|head| format!("?expect={}", segment(head))).unwrap_or_default();
    let answer = session.client.get(&format!("/api/v1/audit/verify{query}")).await?;
    if session.json {
        term::json(&answer)?;
    }
    if answer["whole"] != json!(true) {
        let broken = &answer["broken"];
        return Err(term::hinted(
            format!("the trail is broken at event {}: {}", show::cell(&broken["seq"]), show::cell(&broken["reason"])),
            "somebody changed the database by other means; compare with a backup or an export",
        ));
    }
    if !session.json {
        let head = &answer["head"];
        term::line(format!("{} events, each bound to the one before", show::cell(&answer["events"])));
        term::line(format!("head {}:{}", show::cell(&head["seq"]), show::cell(&head["hash"])));
        term::line(term::dim("note it elsewhere, and check with --expect that history has not been rewritten since"));
    }
    Ok(())
}

/// Writes as it comes: the trail may be larger than memory.
async fn export(session: &Session, after: Option<i64>) -> anyhow::Result<()> {
    let query = after.map(|seq| format!("?after={seq}")).unwrap_or_default();
    let mut answer = session.client.stream(&format!("/api/v1/audit/export{query}")).await?;
    let mut out = std::io::stdout().lock();
    let mut ends_whole = true;
    while let Some(bytes) = answer.chunk().await.context("the export broke off")? {
        ends_whole = !bytes.ends_with(b"the export was cut off\n");
        out.write_all(&bytes).context("the export cannot be written")?;
    }
    anyhow::ensure!(ends_whole, "the server could not read on, so the export is not whole");
    Ok(())
}
