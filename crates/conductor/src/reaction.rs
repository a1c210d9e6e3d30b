//! The loop, readable: what Rondo does on its own when something happens.
//!
//! A reaction decides in one transaction, together with the advance of its cursor. It may only write rows: move a pointer, ask for
//! an approval, start a pipeline run, queue a job. So it happens once for each event, whatever crashes when.

use db::{Tx, events};
use kernel::ctx::Ctx;
use kernel::event::{Event, kind};

use crate::{Error, House, admission, announce, evaluation, rollout, schedule, webhook};

/// One line of the table.
#[derive(Debug)]
pub struct Reaction {
    /// Its name, under which its cursor is kept. Never reused for something else.
    pub name: &'static str,
    /// The events it answers.
    pub on: &'static [&'static str],
    /// What it decides.
    pub decide: fn(&mut Tx<'_>, &Ctx, &Event) -> Result<(), Error>,
}

/// Everything that happens by itself, in the order of the loop.
pub const TABLE: [Reaction; 8] = [
    // A new version is opened and its training data profiled, before anything may depend on it.
    Reaction { name: "admit-version", on: &[kind::VERSION_REGISTERED], decide: admission::decide },
    // A version that has been opened is evaluated together with the champion.
    Reaction {
        name: "evaluate-candidate",
        on: &[kind::REFERENCE_COMPUTED, kind::REFERENCE_FAILED],
        decide: evaluation::decide,
    },
    // A proven candidate is promoted, or a person is asked, as the model's policy says.
    Reaction { name: "promote-or-ask", on: &[kind::VERDICT_PASSED], decide: evaluation::promote_or_ask },
    // A person said yes.
    Reaction { name: "promote-approved", on: &[kind::APPROVAL_GIVEN], decide: evaluation::promote_approved },
    // A pointer moved or a deployment is new: the deployments that follow it roll.
    Reaction {
        name: "roll-deployments",
        on: &[kind::POINTER_MOVED, kind::DEPLOYMENT_CREATED],
        decide: rollout::decide,
    },
    // An alert fired: the pipelines that wait for it start.
    Reaction { name: "retrain-on-alert", on: &[kind::ALERT_FIRED], decide: schedule::on_alert },
    // An alert fired or is over: whoever asked is told.
    Reaction { name: "tell-webhooks", on: &[kind::ALERT_FIRED, kind::ALERT_RESOLVED], decide: webhook::decide },
    // Something happened in the registry that a webhook waits for: it is called.
    Reaction { name: "tell-registry-webhooks", on: &[kind::REGISTRY_ANNOUNCED], decide: announce::decide },
];

/// Events looked at in one transaction.
const BATCH: i64 = 100;

/// Runs one reaction over the next events it has not seen; returns how many it looked at.
pub async fn catch_up(house: &House, reaction: &'static Reaction) -> Result<usize, Error> {
    let ctx = house.conductor_ctx();
    let (cursor, head) =
        house.db.read(|tx| Ok::<_, Error>((events::cursor(tx, reaction.name)?, events::head(tx)?))).await?;
    if cursor >= head {
        return Ok(0);
    }
    house
        .db
        .write(move |tx| {
            let cursor = events::cursor(tx, reaction.name)?;
            let seen = events::after(tx, cursor, BATCH)?;
            for event in seen.iter().filter(|event| reaction.on.contains(&event.kind.as_str())) {
                (reaction.decide)(tx, &ctx.within(&event.workspace), event)?;
            }
            if let Some(last) = seen.last() {
                events::set_cursor(tx, reaction.name, last.seq)?;
            }
            Ok(seen.len())
        })
        .await
}
