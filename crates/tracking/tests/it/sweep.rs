//! Sweeps: what is asked, claims and leases, ends, and the rules against Optuna's recorded decisions.

use db::Db;
use kernel::clock::SECOND_US;
use kernel::ctx::Ctx;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracking::metric::Metric;
use tracking::run::Status;
use tracking::sweep::lease::{self, Beat, Claim, Claimed, End, Stop};
use tracking::sweep::{self, Definition, Setting, State, Sweep, Trial, TrialState};
use tracking::{Error, MIGRATIONS};

use crate::{assert_error, ctx, get, write};

/// As if this time had gone by: leases run by the database's clock.
async fn pass(db: &Db, seconds: i64) {
    let sooner = "UPDATE sweep_trials SET lease_until_us = lease_until_us - $1";
    db.write(move |tx| tx.execute(sooner, &[(seconds * SECOND_US).into()])).await.unwrap();
}

fn definition(changes: &Json) -> Definition {
    let mut definition = json!({
        "name": "flights", "metric": "loss", "method": "random", "budget": {"trials": 3},
        "space": {"lr": {"type": "loguniform", "low": 1e-5, "high": 0.1}, "depth": {"type": "int", "low": 2, "high": 9}},
    });
    for (key, value) in changes.as_object().unwrap() {
        definition[key] = value.clone();
    }
    serde_json::from_value(definition).unwrap()
}

async fn create(db: &Db, changes: Json) -> Result<Sweep, Error> {
    write(db, move |tx, ctx| sweep::create(tx, ctx, definition(&changes), "ada")).await
}

/// Asks for work as a worker does, with values if they are asked for.
fn claim_now(tx: &mut db::Tx<'_>, ctx: &Ctx, lease: &str) -> Result<Claimed, Error> {
    let proposal = sweep::propose(tx, ctx, "flights")?;
    let (worker, user) = ("w".to_owned(), "ada".to_owned());
    let claim = Claim { worker, lease: lease.to_owned(), user, proposal };
    Ok(lease::claim(tx, ctx, "flights", claim)?.1)
}

async fn claim(db: &Db, lease: &'static str) -> Claimed {
    db.write(move |tx| claim_now(tx, &ctx(), lease)).await.unwrap()
}

#[track_caller]
fn trial(claimed: Claimed) -> Trial {
    match claimed {
        Claimed::Trial(trial) => *trial,
        other => panic!("no trial but {other:?}"),
    }
}

async fn beat(db: &Db, number: i64, lease: &'static str) -> Result<Beat, Error> {
    db.write(move |tx| lease::beat(tx, &ctx(), "flights", number, lease)).await
}

async fn end(db: &Db, number: i64, lease: &'static str, how: End) -> Result<Trial, Error> {
    db.write(move |tx| lease::end(tx, &ctx(), "flights", number, lease, &how)).await
}

async fn log(db: &Db, run_id: &str, step: i64, value: f64) {
    let run_id = run_id.to_owned();
    let metric = Metric { key: "loss".to_owned(), value, timestamp_ms: 1, step, ..Metric::default() };
    write(db, move |tx, ctx| tracking::metric::log(tx, ctx, &run_id, metric)).await.unwrap();
}

async fn state(db: &Db) -> State {
    write(db, |tx, ctx| sweep::get(tx, ctx, "flights")).await.unwrap().state
}

async fn trials(db: &Db) -> Vec<Trial> {
    write(db, |tx, ctx| {
        let sweep = sweep::get(tx, ctx, "flights")?;
        sweep::trials(tx, &sweep)
    })
    .await
    .unwrap()
}

fn tag(run: &tracking::run::Run, key: &str) -> String {
    run.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_trial_is_a_run_below_that_of_the_sweep() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let made = create(&db, json!({})).await.unwrap();
        assert_eq!(create(&db, json!({})).await.unwrap(), made, "the same definition is the same sweep");
        assert_error(create(&db, json!({"seed": 1})).await, "there is another sweep `flights`");
        let parent = get(&db, &made.run_id).await;
        assert_eq!((parent.info.run_name.as_str(), tag(&parent, sweep::SWEEP_TAG)), ("flights", "flights".to_owned()));

        let first = trial(claim(&db, "a").await);
        assert_eq!(claim(&db, "a").await, Claimed::Trial(Box::new(first.clone())), "a repeated claim is the same");
        let run = get(&db, &first.run_id).await;
        assert_eq!((run.info.run_name.as_str(), run.info.status), ("flights-0", Status::Running));
        assert_eq!(tag(&run, "mlflow.parentRunId"), made.run_id);
        let params: Vec<String> = run.params.iter().map(|param| format!("{}={}", param.key, param.value)).collect();
        let shown: Vec<String> = first.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!((params.len(), params), (2, shown));

        log(&db, &first.run_id, 0, 0.5).await;
        log(&db, &first.run_id, 1, 0.25).await;
        let ended = end(&db, 0, "a", End::Finished).await.unwrap();
        assert_eq!((ended.state, ended.value, ended.place), (TrialState::Finished, Some((1, 0.25)), Some(0)));
        assert_eq!(end(&db, 0, "a", End::Failed("again".to_owned())).await.unwrap(), ended, "it ends once");
        let run = get(&db, &first.run_id).await;
        assert_eq!((run.info.status, tag(&run, "rondo.sweep.state")), (Status::Finished, "finished".to_owned()));

        let second = trial(claim(&db, "b").await);
        let failed = end(&db, second.number, "b", End::Finished).await.unwrap();
        assert_eq!((failed.state, failed.error.as_deref()), (TrialState::Failed, Some("it did not log `loss`")));
        let third = trial(claim(&db, "c").await);
        log(&db, &third.run_id, 0, 0.125).await;
        assert_eq!(claim(&db, "d").await, Claimed::Wait, "the last one is under way");
        end(&db, third.number, "c", End::Finished).await.unwrap();
        assert_eq!((claim(&db, "d").await, state(&db).await), (Claimed::Over, State::Finished));
        let parent = get(&db, &made.run_id).await;
        assert_eq!((parent.info.status, parent.metrics[0].value), (Status::Finished, 0.125), "the best so far");
    })
    .await;
}

#[tokio::test]
async fn a_trial_whose_worker_is_silent_goes_to_another_and_the_late_one_is_refused() {
    testkit::on_both(MIGRATIONS, |db| async move {
        create(&db, json!({"budget": {"trials": 2, "attempts": 2, "lease_seconds": 1000}})).await.unwrap();
        let first = trial(claim(&db, "a").await);
        pass(&db, 900).await;
        let kept = beat(&db, 0, "a").await.unwrap().lease_until_us;
        assert!(kept > first.lease_until_us - 900 * SECOND_US, "{kept} {first:?}");
        pass(&db, 900).await;
        let other = trial(claim(&db, "b").await);
        assert_eq!(other.number, 1, "the lease of the first is still good");
        pass(&db, 200).await;
        assert_eq!(beat(&db, 0, "a").await.unwrap().stop, None, "nobody has taken it, so a late beat revives it");

        pass(&db, 1001).await;
        let again = trial(claim(&db, "c").await);
        assert_eq!((again.number, &again.run_id, again.attempt), (0, &first.run_id, 2), "the same run");
        assert_eq!(again.settings, first.settings);
        assert_error(beat(&db, 0, "a").await, "the lease on trial 0 of sweep `flights` is lost");
        assert_error(end(&db, 0, "a", End::Finished).await, "is lost");
        assert_error(beat(&db, 1, "b").await, "the trial is waiting");
        assert_error(beat(&db, 7, "c").await, "has no trial 7");

        // Its second worker is lost too: that was the last attempt.
        pass(&db, 1001).await;
        let other = trial(claim(&db, "d").await);
        assert_eq!((other.number, other.attempt), (1, 2));
        let gone = trials(&db).await.remove(0);
        assert_eq!((gone.state, gone.error.as_deref()), (TrialState::Failed, Some("its worker was lost 2 times")));
        assert_eq!(get(&db, &gone.run_id).await.info.status, Status::Failed);

        // An attempt that is given back is none.
        let (lease, number) = ("d", other.number);
        db.write(move |tx| lease::release(tx, &ctx(), "flights", number, lease)).await.unwrap();
        let other = trial(claim(&db, "e").await);
        assert_eq!((other.number, other.attempt), (1, 2));
        assert_eq!(trials(&db).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_grid_is_tried_whole_and_nothing_twice() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let space = json!({
            "kind": {"type": "choice", "values": ["tree", "linear"]},
            "depth": {"type": "int", "low": 2, "high": 4, "when": {"kind": ["tree"]}},
            "rate": {"type": "loguniform", "low": 0.001, "high": 0.1, "points": 3},
        });
        let made = create(&db, json!({"method": "grid", "space": space, "budget": {}})).await.unwrap();
        assert_eq!(made.trials, 3 * 3 + 3);
        let mut seen = Vec::new();
        for lease in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
            seen.push(format!("{:?}", trial(claim(&db, lease).await).settings));
        }
        assert_eq!(claim(&db, "m").await, Claimed::Wait);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 12, "{seen:?}");
        assert_eq!(seen.iter().filter(|one| one.contains("linear") && one.contains("depth")).count(), 0);
        assert!(seen.iter().any(|one| one.contains("Float(0.01)")), "the middle of a logarithmic range: {seen:?}");
    })
    .await;
}

#[tokio::test]
async fn a_sweep_is_paused_stopped_resumed_and_cancelled() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let change = async |what: fn(&mut db::Tx<'_>, &Ctx, &str) -> Result<Sweep, Error>| {
            write(&db, move |tx, ctx| what(tx, ctx, "flights")).await.map(|sweep| sweep.state)
        };
        create(&db, json!({"budget": {"trials": 4, "parallel": 2}})).await.unwrap();
        let first = trial(claim(&db, "a").await);
        change(sweep::pause).await.unwrap();
        assert_eq!(claim(&db, "b").await, Claimed::Wait);
        assert_eq!(change(|tx, ctx, name| sweep::resume(tx, ctx, name, None)).await.unwrap(), State::Running);
        trial(claim(&db, "b").await);
        assert_eq!(claim(&db, "c").await, Claimed::Wait, "two at a time");
        assert_error(write(&db, |tx, ctx| sweep::delete(tx, ctx, "flights")).await, "is running and cannot be deleted");

        assert_eq!(change(sweep::stop).await.unwrap(), State::Stopping);
        log(&db, &first.run_id, 0, 1.0).await;
        end(&db, 0, "a", End::Finished).await.unwrap();
        assert_eq!((claim(&db, "c").await, state(&db).await), (Claimed::Wait, State::Stopping));
        end(&db, 1, "b", End::Failed("exit code 1".to_owned())).await.unwrap();
        assert_eq!((claim(&db, "c").await, state(&db).await), (Claimed::Over, State::Stopped));

        assert_eq!(change(|tx, ctx, name| sweep::resume(tx, ctx, name, Some(3))).await.unwrap(), State::Running);
        let third = trial(claim(&db, "d").await);
        assert_eq!(change(sweep::cancel).await.unwrap(), State::Cancelled);
        assert_eq!(beat(&db, third.number, "d").await.unwrap().stop, Some(Stop::Cancelled));
        let ended = end(&db, third.number, "d", End::Killed(None)).await.unwrap();
        assert_eq!((ended.state, get(&db, &ended.run_id).await.info.status), (TrialState::Cancelled, Status::Killed));
        assert_error(change(sweep::pause).await, "is cancelled and cannot be paused");
        assert_error(change(|tx, ctx, name| sweep::resume(tx, ctx, name, None)).await, "cannot be resumed");
        write(&db, |tx, ctx| sweep::delete(tx, ctx, "flights")).await.unwrap();
        assert_error(write(&db, |tx, ctx| sweep::get(tx, ctx, "flights")).await, "there is no sweep `flights`");
        assert_eq!(get(&db, &third.run_id).await.info.run_name, "flights-2", "runs stay");
    })
    .await;
}

#[tokio::test]
async fn every_choice_can_be_computed_again() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let stopping = json!({"rule": "asha", "min_step": 1, "reduction": 2});
        create(&db, json!({"method": "bayes", "seed": 7, "budget": {"trials": 40}, "stopping": stopping}))
            .await
            .unwrap();
        write(&db, |tx, ctx| {
            // Three at a time, which end in another order than they began.
            let mut active: Vec<Trial> = Vec::new();
            for number in 0..40_i64 {
                active.push(trial(claim_now(tx, ctx, &format!("lease {number}"))?));
                if active.len() == 3 {
                    let one = active.remove((number as usize) % 3);
                    let Setting::Float(lr) = one.settings["lr"] else { panic!("{:?}", one.settings) };
                    let value = (lr.log10() + 3.0).powi(2);
                    let metric =
                        Metric { key: "loss".to_owned(), value, timestamp_ms: 1, step: 1, ..Metric::default() };
                    tracking::metric::log(tx, ctx, &one.run_id, metric)?;
                    let lease = format!("lease {}", one.number);
                    let how = match lease::beat(tx, ctx, "flights", one.number, &lease)?.stop {
                        Some(_) => End::Killed(None),
                        None if one.number % 7 == 3 => End::Failed("exit code 1".to_owned()),
                        None => End::Finished,
                    };
                    lease::end(tx, ctx, "flights", one.number, &lease, &how)?;
                }
            }
            let sweep = sweep::get(tx, ctx, "flights")?;
            let trials = sweep::trials(tx, &sweep)?;
            for trial in &trials {
                assert_eq!(sweep::recompute(tx, &sweep, trial)?.as_ref(), Some(&trial.settings), "{trial:?}");
            }
            let of = |state| trials.iter().filter(|trial| trial.state == state).count();
            assert!(of(TrialState::Pruned) > 3 && of(TrialState::Finished) > 3 && of(TrialState::Failed) > 0);
            let near = trials.iter().rev().take(15).filter(|trial| match trial.settings["lr"] {
                Setting::Float(lr) => (1e-4..1e-2).contains(&lr),
                _ => false,
            });
            assert!(near.count() >= 9, "the last ones are near the best place");
            Ok(())
        })
        .await
        .unwrap();
    })
    .await;
}

#[derive(Deserialize)]
struct Played {
    goal: String,
    stopping: Json,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    trial: i64,
    step: Option<i64>,
    value: Option<f64>,
    pruned: Option<bool>,
    end: Option<String>,
}

/// Each report of workers side by side gets the answer that Optuna's pruner gave.
#[tokio::test]
async fn decisions_are_those_of_optuna() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let cases: Vec<Played> = serde_json::from_str(include_str!("../golden/pruners.json")).unwrap();
        for (index, case) in cases.into_iter().enumerate() {
            let name = format!("case {index}");
            let changes =
                json!({"name": name, "goal": case.goal, "stopping": case.stopping, "budget": {"trials": 1000}});
            create(&db, changes).await.unwrap();
            write(&db, move |tx, ctx| replay(tx, ctx, &name, &case)).await.unwrap();
        }
    })
    .await;
}

fn replay(tx: &mut db::Tx<'_>, ctx: &Ctx, name: &str, case: &Played) -> Result<(), Error> {
    let mut runs = Vec::new();
    let mut pruned = 0;
    for event in &case.events {
        let lease = format!("lease {}", event.trial);
        while (runs.len() as i64) <= event.trial {
            let proposal = sweep::propose(tx, ctx, name)?;
            let lease = format!("lease {}", runs.len());
            let claim = Claim { worker: "w".to_owned(), lease, user: "ada".to_owned(), proposal };
            runs.push(trial(lease::claim(tx, ctx, name, claim)?.1).run_id);
        }
        let told = format!("{name}: {} {:?} trial {} step {:?}", case.goal, case.stopping, event.trial, event.step);
        if let Some(end) = &event.end {
            let ended = lease::end(tx, ctx, name, event.trial, &lease, &End::Finished)?;
            assert_eq!(ended.state.as_str(), end, "{told}");
            continue;
        }
        let (step, value) = (event.step.unwrap(), event.value.unwrap_or(f64::NAN));
        let metric = Metric { key: "loss".to_owned(), value, timestamp_ms: 1, step, ..Metric::default() };
        tracking::metric::log(tx, ctx, &runs[event.trial as usize], metric)?;
        let stop = lease::beat(tx, ctx, name, event.trial, &lease)?.stop;
        assert_eq!(stop, event.pruned.unwrap().then_some(Stop::Pruned), "{told}");
        if stop.is_some() {
            pruned += 1;
            lease::end(tx, ctx, name, event.trial, &lease, &End::Killed(None))?;
        }
    }
    assert!(pruned > 0, "{name} prunes nothing");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_field() {
    testkit::on_both(MIGRATIONS, |db| async move {
        let space = |param: Json| json!({"space": {"lr": param}});
        for (changes, field) in [
            (json!({"name": "a/b"}), "name"),
            (json!({"metric": "a//b"}), "metric"),
            (json!({"budget": {}}), "budget.trials"),
            (json!({"budget": {"trials": 0}}), "budget.trials"),
            (json!({"budget": {"trials": 1, "attempts": 0}}), "budget.attempts"),
            (json!({"stopping": {"rule": "asha", "reduction": 1}}), "stopping.reduction"),
            (json!({"stopping": {"rule": "asha", "min_step": 9, "max_step": 3}}), "stopping.max_step"),
            (json!({"stopping": {"rule": "median", "interval": 0}}), "stopping.interval"),
            (json!({"space": {}}), "space"),
            (space(json!({"type": "uniform", "low": 1})), "space.lr.high"),
            (space(json!({"type": "uniform", "low": 2, "high": 1})), "space.lr.high"),
            (space(json!({"type": "loguniform", "low": 0, "high": 1})), "space.lr.low"),
            (space(json!({"type": "int", "low": 0.5, "high": 1})), "space.lr.low"),
            (space(json!({"type": "int", "low": 0, "high": 1, "step": 0})), "space.lr.step"),
            (space(json!({"type": "normal", "mean": 0, "deviation": 0})), "space.lr.deviation"),
            (space(json!({"type": "choice", "values": []})), "space.lr.values"),
            (space(json!({"type": "choice", "values": [1, 2, 1]})), "space.lr.values[2]"),
            (space(json!({"type": "fixed"})), "space.lr.value"),
            (space(json!({"type": "fixed", "value": 1, "low": 1})), "space.lr.low"),
            (space(json!({"type": "fixed", "value": 1, "when": {"x": [1]}})), "space.lr.when"),
            (space(json!({"type": "fixed", "value": 1, "when": {"lr": [1]}})), "space.lr.when"),
            (json!({"method": "grid", "space": {"lr": {"type": "uniform", "low": 0, "high": 1}}}), "space.lr.points"),
            (
                json!({"space": {"a b": {"type": "fixed", "value": 1}, "a_b": {"type": "fixed", "value": 1}}}),
                "space.a_b",
            ),
        ] {
            let shown = changes.to_string();
            let error = create(&db, changes).await.expect_err(&shown);
            let told = kernel::error::Classified::field(&error).map(str::to_owned);
            assert_eq!(told.as_deref(), Some(field), "{shown}: {error}");
        }
    })
    .await;
}
