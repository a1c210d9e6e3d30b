//! Monitors, references, windows and alerts in the tables of both engines.

use db::{Db, Tx, events};
use kernel::ctx::{Ctx, Principal};
use kernel::error::{Classified, Kind as ErrorKind};
use kernel::event::{Event, kind};
use rondo_monitoring::alert::{self, State};
use rondo_monitoring::monitor::{self, Monitor};
use rondo_monitoring::profile::Profile;
use rondo_monitoring::report::{Kind, WindowReport};
use rondo_monitoring::rule::{Baseline, On, Rule};
use rondo_monitoring::task::Task;
use rondo_monitoring::window::{self, Due, Listing};
use rondo_monitoring::{Error, MIGRATIONS, reference};
use testkit::on_both;

use crate::support::{Dice, due, flights};

fn ctx() -> Ctx {
    Ctx::new(Principal::Person("ada".into()), 1_000_000)
}

async fn write<T: Send + 'static>(
    db: &Db,
    work: impl FnOnce(&mut Tx<'_>, &Ctx) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    db.write(move |tx| work(tx, &ctx())).await
}

fn monitor(rules: Vec<Rule>) -> Monitor {
    Monitor { rules, start_us: Some(0), ..Monitor::new("m", "d") }
}

/// Stores a reference and reads it back, knowing whose it is.
fn profile(tx: &mut Tx<'_>, ctx: &Ctx, version: &str, shift: f64) -> Result<Profile, Error> {
    let rows = flights(&mut Dice(1), 1_000, shift, 0.0, version);
    let profile = Profile::of(&rows.features, Some(&rows.scores)).with_task(Task::binary());
    reference::put(tx, ctx, "flights", version, &profile)?;
    Ok(reference::get(tx, ctx, "flights", version)?.unwrap())
}

/// Evaluates, records and steps as the conductor does.
fn pass(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    monitor: &Monitor,
    version: &str,
    window: (i64, Kind),
    data: (f64, f64),
) -> Result<bool, Error> {
    let (index, kind) = window;
    let reference = reference::get(tx, ctx, "flights", version)?;
    let rows = flights(&mut Dice(100 + index as u64), 600, data.0, data.1, version);
    let report = window::evaluate(monitor, reference.as_ref(), &rows, &due(monitor, index, kind));
    let fresh = window::record(tx, ctx, &report)?;
    if fresh {
        alert::step(tx, ctx, monitor, &report)?;
    }
    Ok(fresh)
}

fn states(tx: &mut Tx<'_>, ctx: &Ctx) -> Result<Vec<(String, State)>, Error> {
    Ok(alert::list(tx, ctx, "m")?.into_iter().map(|alert| (alert.rule, alert.state)).collect())
}

/// What was told of alerts.
fn story(tx: &mut Tx<'_>) -> Result<Vec<Event>, Error> {
    Ok(events::after(tx, -1, 100)?.into_iter().filter(|event| event.kind.starts_with("alert.")).collect())
}

fn kinds(story: &[Event]) -> Vec<&str> {
    story.iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test]
async fn a_monitor_is_put_read_listed_and_deleted() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            let mut wanted = monitor(Rule::defaults());
            wanted.webhook = Some("https://example.org/hook".to_owned());
            wanted.webhook_secret = Some("sesame".to_owned());
            monitor::put(tx, ctx, &wanted)?;
            monitor::put(tx, ctx, &Monitor::new("a", "d"))?;
            assert_eq!(monitor::get(tx, ctx, "m")?, wanted);
            let names: Vec<String> = monitor::list(tx, ctx)?.into_iter().map(|monitor| monitor.name).collect();
            assert_eq!(names, ["a", "m"]);
            wanted.min_rows = 500;
            monitor::put(tx, ctx, &wanted)?;
            monitor::put(tx, ctx, &wanted)?;
            assert_eq!(monitor::get(tx, ctx, "m")?.min_rows, 500);
            let mut elsewhere = ctx.clone();
            elsewhere.workspace = "other".to_owned();
            assert!(monitor::list(tx, &elsewhere)?.is_empty());
            monitor::delete(tx, ctx, "m")?;
            assert_eq!(monitor::find(tx, ctx, "m")?, None);
            assert_eq!(monitor::delete(tx, ctx, "m").unwrap_err().kind(), ErrorKind::NotFound);
            let bad = Monitor { window_us: 0, ..Monitor::new("b", "d") };
            assert_eq!(monitor::put(tx, ctx, &bad).unwrap_err().kind(), ErrorKind::Invalid);
            // Each change is in the trail, what changes nothing is not, and the secret never is.
            let trail = events::after(tx, -1, 100)?;
            let told: Vec<String> = trail.iter().map(|event| format!("{} {}", event.kind, event.subject)).collect();
            let changes = ["monitor.changed monitor/m", "monitor.changed monitor/a", "monitor.changed monitor/m"];
            assert_eq!(told, [&changes[..], &["monitor.deleted monitor/m"]].concat());
            assert!(trail.iter().all(|event| !event.payload.to_string().contains("sesame")));
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn a_reference_comes_back_as_it_was_and_knows_whose_it_is() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            assert_eq!(reference::get(tx, ctx, "flights", "1")?, None);
            let stored = profile(tx, ctx, "1", 0.0)?;
            let subject = stored.subject.clone().unwrap();
            assert_eq!((subject.model.as_str(), subject.version.as_str(), subject.digest.len()), ("flights", "1", 64));
            let again = profile(tx, ctx, "1", 0.0)?;
            assert_eq!(again, stored);
            assert_ne!(profile(tx, ctx, "1", 0.5)?.subject, stored.subject, "a newer one replaces it");
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn windows_fall_due_in_order_and_are_recorded_once() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            let monitor = monitor(Vec::new());
            let (week, day) = (monitor.window_us, monitor.outcome_delay_us);
            let drift = |index| due(&monitor, index, Kind::Drift);
            let mature = |index| due(&monitor, index, Kind::Mature);
            let check = |tx: &mut Tx<'_>, now_us: i64, expect: &[Due]| {
                assert_eq!(window::next_due(tx, ctx, &monitor, now_us).unwrap(), expect, "at {now_us}");
            };
            check(tx, week - 1, &[]);
            check(tx, week, &[drift(0)]);
            check(tx, 2 * week + day, &[drift(0), mature(0), drift(1), mature(1)]);
            assert!(pass(tx, ctx, &monitor, "1", (0, Kind::Drift), (0.0, 0.0))?);
            check(tx, week, &[]);
            check(tx, week + day, &[mature(0)]);
            assert!(!pass(tx, ctx, &monitor, "1", (0, Kind::Drift), (3.0, 0.0))?, "recorded already");
            assert!(pass(tx, ctx, &monitor, "1", (0, Kind::Mature), (0.0, 0.0))?);
            check(tx, week + day, &[]);
            assert_eq!(window::next_due(tx, ctx, &monitor, 1_000 * week)?.len(), 64);
            // shorter windows go on where the longer ones ended
            let daily = Monitor { window_us: day, ..monitor.clone() };
            let next = window::next_due(tx, ctx, &daily, week + day)?;
            assert_eq!(next, [due(&daily, 7, Kind::Drift)]);

            let all = window::list(tx, ctx, "m", &Listing::default())?;
            let found: Vec<_> = all.iter().map(|report| (report.from_us, report.kind, report.provisional)).collect();
            assert_eq!(found, [(0, Kind::Drift, true), (0, Kind::Mature, false)]);
            assert_eq!(window::last(tx, ctx, "m", Kind::Mature)?.as_ref(), all.last());
            let later = Listing { from_us: Some(1), ..Listing::default() };
            assert!(window::list(tx, ctx, "m", &later)?.is_empty());
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn the_first_window_of_a_monitor_without_a_start_is_the_one_that_closed_last() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            let monitor = Monitor::new("m", "d");
            let now_us = 100 * monitor.window_us + 5;
            let first = window::next_due(tx, ctx, &monitor, now_us)?;
            assert_eq!(first, [due(&monitor, 99, Kind::Drift)]);
            let started = Monitor { start_us: Some(98 * monitor.window_us + 1), ..monitor };
            assert_eq!(window::next_due(tx, ctx, &started, now_us)?, first, "a window that was cut is not looked at");
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn two_of_three_windows_fire_and_three_good_ones_in_a_row_resolve() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            let monitor = monitor(vec![Rule::new("drift", On::Drift, "share", 0.5)]);
            monitor::put(tx, ctx, &monitor)?;
            profile(tx, ctx, "1", 0.0)?;
            let mut expect = |index: i64, shift: f64, state: State| {
                pass(tx, ctx, &monitor, "1", (index, Kind::Drift), (shift, 0.0))?;
                assert_eq!(states(tx, ctx)?, [("drift".to_owned(), state)], "window {index}");
                Ok::<_, Error>(())
            };
            expect(0, 0.0, State::Ok)?;
            expect(1, 0.5, State::Pending)?;
            expect(2, 0.0, State::Pending)?;
            expect(3, 0.5, State::Firing)?;
            expect(4, 0.5, State::Firing)?;
            expect(5, 0.0, State::Recovering)?;
            expect(6, 0.5, State::Firing)?;
            expect(7, 0.0, State::Recovering)?;
            expect(8, 0.0, State::Recovering)?;
            expect(9, 0.0, State::Ok)?;
            expect(10, 0.0, State::Ok)?;
            assert!(alert::active(tx, ctx)?.is_empty());
            let story = story(tx)?;
            assert_eq!(kinds(&story), [kind::ALERT_FIRED, kind::ALERT_RESOLVED]);
            let fired = &story[0];
            assert_eq!((fired.subject.as_str(), fired.model.as_deref()), ("monitor/m", Some("flights")));
            assert_eq!(fired.payload["rule"], "drift");
            assert_eq!(fired.payload["version"], "1");
            assert_eq!(fired.payload["window"]["from_us"], 3 * monitor.window_us);
            assert_eq!(fired.payload["evidence"]["features"][0]["feature"], "x");
            assert!(fired.payload["evidence"]["features"][0]["p_value"].as_f64().unwrap() < 1e-6);
            let levels: Vec<&str> =
                fired.payload["windows"].as_array().unwrap().iter().filter_map(|past| past["level"].as_str()).collect();
            assert_eq!(levels, ["beyond", "well", "beyond"]);
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn another_version_ends_the_alert_of_the_last_one_and_may_raise_its_own() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            let monitor = monitor(vec![Rule::new("drift", On::Drift, "share", 0.5)]);
            profile(tx, ctx, "1", 0.0)?;
            profile(tx, ctx, "2", 0.5)?;
            for index in 0..2 {
                pass(tx, ctx, &monitor, "1", (index, Kind::Drift), (0.5, 0.0))?;
            }
            assert_eq!(alert::active(tx, ctx)?.len(), 1);
            pass(tx, ctx, &monitor, "2", (2, Kind::Drift), (0.5, 0.0))?;
            assert!(alert::active(tx, ctx)?.is_empty());
            for index in 3..5 {
                pass(tx, ctx, &monitor, "2", (index, Kind::Drift), (1.2, 0.0))?;
            }
            assert_eq!(alert::active(tx, ctx)?[0].version.as_deref(), Some("2"));
            let story = story(tx)?;
            assert_eq!(kinds(&story), [kind::ALERT_FIRED, kind::ALERT_RESOLVED, kind::ALERT_FIRED]);
            assert_eq!(story[1].payload["version"], "1");
            assert!(story[1].payload["reason"].as_str().unwrap().contains("another version"));
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn quality_is_judged_when_it_is_final_and_by_its_interval() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            let worse = Rule::new("worse", On::Quality, "brier", 0.01).relative_to(Baseline::FirstWindow);
            let absolute = Rule::new("absolute", On::Quality, "auc", 0.5);
            let monitor = monitor(vec![worse, absolute]);
            profile(tx, ctx, "1", 0.0)?;
            // bad quality that is not final says nothing
            for index in 0..3 {
                pass(tx, ctx, &monitor, "1", (index, Kind::Drift), (0.0, 0.6))?;
            }
            assert!(states(tx, ctx)?.is_empty());
            // the first final window is the baseline, so it is not judged itself
            pass(tx, ctx, &monitor, "1", (0, Kind::Mature), (0.0, 0.0))?;
            assert_eq!(states(tx, ctx)?, [("absolute".to_owned(), State::Ok)]);
            // within the interval: no alarm
            pass(tx, ctx, &monitor, "1", (1, Kind::Mature), (0.0, 0.02))?;
            // well outside
            for index in 2..4 {
                pass(tx, ctx, &monitor, "1", (index, Kind::Mature), (0.0, 0.5))?;
            }
            let expect = [("absolute".to_owned(), State::Ok), ("worse".to_owned(), State::Firing)];
            assert_eq!(states(tx, ctx)?, expect);
            let story = story(tx)?;
            assert_eq!(kinds(&story), [kind::ALERT_FIRED]);
            let evidence = &story[0].payload["evidence"];
            assert!(evidence["worse_by_at_least"].as_f64().unwrap() > 0.01, "{evidence}");
            assert!(evidence["baseline"]["n"].as_u64() == Some(600), "{evidence}");
            assert_eq!(story[0].payload["severity"], "warning");
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_is_changed_or_removed_ends_its_alert() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            let mut monitor = monitor(vec![
                Rule::new("drift", On::Drift, "share", 0.5),
                Rule::new("scores", On::PredictionDrift, "detected", 0.0),
            ]);
            monitor::put(tx, ctx, &monitor)?;
            profile(tx, ctx, "1", 0.0)?;
            for index in 0..2 {
                pass(tx, ctx, &monitor, "1", (index, Kind::Drift), (0.5, 0.0))?;
            }
            assert_eq!(alert::active(tx, ctx)?.len(), 2);
            monitor::put(tx, ctx, &monitor)?;
            assert_eq!(alert::active(tx, ctx)?.len(), 2, "nothing has changed");
            monitor.rules[0].threshold = 0.9;
            monitor::put(tx, ctx, &monitor)?;
            assert_eq!(states(tx, ctx)?, [("scores".to_owned(), State::Firing)]);
            monitor::delete(tx, ctx, "m")?;
            assert!(alert::active(tx, ctx)?.is_empty());
            assert!(window::list(tx, ctx, "m", &Listing::default())?.is_empty());
            let story = story(tx)?;
            assert_eq!(kinds(&story)[2..], [kind::ALERT_RESOLVED, kind::ALERT_RESOLVED]);
            assert_eq!(story[2].model.as_deref(), Some("flights"));
            Ok(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn windows_with_too_few_rows_leave_an_alert_as_it_is() {
    on_both(MIGRATIONS, |db| async move {
        write(&db, |tx, ctx| {
            let monitor = Monitor { min_rows: 1_000, ..monitor(Rule::defaults()) };
            profile(tx, ctx, "1", 0.0)?;
            for kind in [Kind::Drift, Kind::Mature] {
                for index in 0..3 {
                    pass(tx, ctx, &monitor, "1", (index, kind), (3.0, 0.5))?;
                }
            }
            assert!(states(tx, ctx)?.is_empty());
            assert!(story(tx)?.is_empty());
            Ok(())
        })
        .await
    })
    .await;
}

#[test]
fn a_report_is_small() {
    let monitor = monitor(Vec::new());
    let rows = flights(&mut Dice(1), 1_000, 0.0, 0.0, "1");
    let profile = Profile::of(&rows.features, Some(&rows.scores));
    let report: WindowReport = window::evaluate(&monitor, Some(&profile), &rows, &due(&monitor, 0, Kind::Drift));
    assert!(serde_json::to_string(&report).unwrap().len() < 8_000);
}
