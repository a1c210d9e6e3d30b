//! One run: starts each step when those it waits for are done, several at a time, until nothing is left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kernel::task::Shutdown;
use tokio::sync::watch;

use super::{Executor, attempt};
use crate::Error;
use crate::definition::{self, Pipeline};
use crate::run::{self, Run};
use crate::step::{self, StepRun};

/// How a run was left.
pub(super) enum Left {
    /// Nothing is left to do.
    Ended,
    /// The server stops; the run goes on at its next start.
    Interrupted,
}

/// What the steps under way should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Go on.
    GoOn,
    /// End; the step will begin again at the next start of the server.
    Interrupt,
    /// End for good.
    Cancel,
}

pub(super) async fn drive(executor: &Executor, run: Run, shutdown: &mut Shutdown) -> Result<Left, Error> {
    let pipeline = definition::parse(&run.definition)?;
    let (wishes, wish) = watch::channel(Wish::GoOn);
    let mut begun: BTreeSet<String> = BTreeSet::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        let (current, steps) = look(executor, &run).await?;
        if current.state.has_ended() {
            return Ok(Left::Ended);
        }
        if current.cancel_requested {
            wishes.send_replace(Wish::Cancel);
        }
        if *wish.borrow() == Wish::GoOn {
            for (step, before) in ready(&pipeline, &steps) {
                if begun.insert(step.name.clone()) {
                    under_way.push(attempt::work(executor, &run, step, before, wish.clone()));
                }
            }
        }
        if under_way.is_empty() && *wish.borrow() == Wish::Interrupt {
            return Ok(Left::Interrupted);
        }
        tokio::select! {
            Some(done) = under_way.next() => done?,
            () = shutdown.wait(), if *wish.borrow() == Wish::GoOn => { wishes.send_replace(Wish::Interrupt); }
            () = tokio::time::sleep(executor.options.poll.max(Duration::from_millis(1))) => {}
        }
    }
}

async fn look(executor: &Executor, run: &Run) -> Result<(Run, Vec<StepRun>), Error> {
    let (ctx, run_id) = (run::executor_ctx(run, executor.clock.now_us()), run.run_id.clone());
    executor.db.read(move |tx| Ok((run::get(tx, &ctx, &run_id)?, step::of_run(tx, &run_id)?))).await
}

/// The waiting steps for which all they wait for is done, with the results of those.
fn ready<'p>(pipeline: &'p Pipeline, steps: &[StepRun]) -> Vec<(&'p definition::Step, BTreeMap<String, String>)> {
    let of = |name: &str| steps.iter().find(|step| step.step == name);
    let with_results = |step: &'p definition::Step| {
        let waits = of(&step.name).is_some_and(|step| step.state == step::StepState::Pending);
        let before = step.needs.iter().map(|need| {
            let done = of(need).filter(|step| step.state.is_done())?;
            Some((need.clone(), done.result.clone().unwrap_or_default()))
        });
        let before: Option<BTreeMap<String, String>> = before.collect();
        before.filter(|_| waits).map(|before| (step, before))
    };
    pipeline.steps.iter().filter_map(with_results).collect()
}
