//! Nothing gets to production unproven: every path that moves a pointer, under every policy.

use rondo_registry::policy::{self, Approve, Mode, Policy};
use rondo_registry::stage::Stage;
use rondo_registry::verdict::{self, Digests, NewVerdict};
use rondo_registry::{Error, model, pointer, version};

use super::{MIGRATIONS, events, model_with, moves, on_day, refused, write};
use db::{Db, Tx};
use kernel::ctx::Ctx;
use kernel::error::{Classified as _, Kind};

async fn set_policy(db: &Db, policy: Policy) {
    write(db, move |tx| policy::set(tx, &on_day(1), "m", &policy)).await;
}

fn required() -> Policy {
    Policy { mode: Mode::Required, approve: Approve::Auto, ..Policy::default() }
}

fn verdict(tx: &mut Tx<'_>, ctx: &Ctx, version: &str, champion: Option<&str>, pointer: &str) -> Result<String, Error> {
    let new = NewVerdict {
        model: "m".to_owned(),
        version: version.to_owned(),
        pointer: pointer.to_owned(),
        champion: champion.map(str::to_owned),
        passed: true,
        ..NewVerdict::default()
    };
    verdict::record(tx, ctx, new).map(|verdict| verdict.id)
}

/// Version 1 of `m` holds Production and @champion by verdict, versions 2 and 3 wait; the policy is `required`.
async fn guarded(db: &Db) {
    model_with(db, "m", 3).await;
    set_policy(db, required()).await;
    write(db, |tx| {
        let ctx = on_day(1);
        for pointer in ["Production", "@champion"] {
            verdict(tx, &ctx, "1", None, pointer)?;
            pointer::promote(tx, &ctx, "m", "1", &pointer.parse()?, "first")?;
        }
        Ok(())
    })
    .await;
}

type Path = fn(&mut Tx<'_>, &Ctx) -> Result<(), Error>;

/// Every way in which version 2 could come to hold Production or @champion, or the champion could be made to vanish.
const PATHS: &[(&str, Path)] = &[
    ("transition, archiving", |tx, ctx| {
        version::transition_stage(tx, ctx, "m", "2", Stage::Production, true, "t").map(|_| ())
    }),
    ("transition, beside the incumbent", |tx, ctx| {
        version::transition_stage(tx, ctx, "m", "2", Stage::Production, false, "t").map(|_| ())
    }),
    ("alias", |tx, ctx| model::set_alias(tx, ctx, "m", "champion", "2", "t")),
    ("promote to the stage", |tx, ctx| pointer::promote(tx, ctx, "m", "2", &"Production".parse()?, "t")),
    ("promote to the alias", |tx, ctx| pointer::promote(tx, ctx, "m", "2", &"@champion".parse()?, "t")),
    ("take the champion down, then promote", |tx, ctx| {
        version::transition_stage(tx, ctx, "m", "1", Stage::Archived, false, "t")?;
        version::transition_stage(tx, ctx, "m", "2", Stage::Production, false, "t").map(|_| ())
    }),
    ("take the champion down, then promote with a rubber stamp", |tx, ctx| {
        version::transition_stage(tx, ctx, "m", "1", Stage::None, false, "t")?;
        verdict(tx, ctx, "2", None, "Production")?;
        version::transition_stage(tx, ctx, "m", "2", Stage::Production, false, "t").map(|_| ())
    }),
    ("delete the alias, then set it with a rubber stamp", |tx, ctx| {
        model::delete_alias(tx, ctx, "m", "champion", "t")?;
        verdict(tx, ctx, "2", None, "@champion")?;
        model::set_alias(tx, ctx, "m", "champion", "2", "t")
    }),
    ("delete the champion", |tx, ctx| version::delete(tx, ctx, "m", "1", "t")),
    ("take the champion down, then delete it", |tx, ctx| {
        version::transition_stage(tx, ctx, "m", "1", Stage::Archived, false, "t")?;
        model::delete_alias(tx, ctx, "m", "champion", "t")?;
        version::delete(tx, ctx, "m", "1", "t")
    }),
    ("delete the model", |tx, ctx| model::delete(tx, ctx, "m")),
    ("rename the model away", |tx, ctx| model::rename(tx, ctx, "m", "other").map(|_| ())),
    ("rename another model to the guarded name", |tx, ctx| {
        model::create(tx, ctx, "n", Vec::new(), None)?;
        super::register(tx, ctx, "n")?;
        version::transition_stage(tx, ctx, "n", "1", Stage::Production, false, "t")?;
        // The guarded name is free only after its model is gone, which this may not bring about either.
        model::delete(tx, ctx, "m")?;
        model::rename(tx, ctx, "n", "m").map(|_| ())
    }),
];

#[tokio::test]
async fn no_path_leads_an_unproven_version_to_a_guarded_pointer() {
    testkit::on_both(MIGRATIONS, |db| async move {
        guarded(&db).await;
        let before = events(&db).await.len();
        for (path, walk) in PATHS {
            let Err(error) = db.write(|tx| walk(tx, &on_day(2))).await else { panic!("{path}: not refused") };
            assert!(matches!(error, Error::GateRefused { .. }), "{path}: {error}");
            assert_eq!(error.kind(), Kind::Precondition, "{path}");
            let text = error.to_string();
            assert!(text.contains("the policy of model `m`"), "{path}: {text}");
            assert!(error.hint().unwrap().contains("rondo model"), "{path}: {error:?}");
            assert_eq!(events(&db).await.len(), before, "{path}: something was recorded");
            let holders = write(&db, |tx| {
                let production = pointer::resolve(tx, &on_day(2), "m", &"Production".parse()?)?;
                let champion = pointer::resolve(tx, &on_day(2), "m", &"@champion".parse()?)?;
                Ok([production, champion].map(|holder| holder.map(|version| version.version)))
            })
            .await;
            assert_eq!(holders, [Some("1".to_owned()), Some("1".to_owned())], "{path}: a pointer moved");
        }
    })
    .await;
}

#[tokio::test]
async fn an_older_version_in_the_stage_does_not_inherit_it() {
    testkit::on_both(MIGRATIONS, |db| async move {
        model_with(&db, "m", 3).await;
        set_policy(&db, required()).await;
        write(&db, |tx| {
            verdict(tx, &on_day(1), "3", None, "Production")?;
            pointer::promote(tx, &on_day(1), "m", "3", &"Production".parse()?, "first")?;
            // Version 2 joins version 3 in the stage, which moves nothing and so is nobody's business ...
            version::transition_stage(tx, &on_day(1), "m", "2", Stage::Production, false, "t")
        })
        .await;
        // ... but then version 3 cannot leave and make it the holder.
        for stage in [Stage::Archived, Stage::None, Stage::Staging] {
            let error =
                refused(&db, move |tx| version::transition_stage(tx, &on_day(1), "m", "3", stage, false, "t")).await;
            assert!(matches!(error, Error::GateRefused { .. }), "{error}");
        }
        assert_eq!(moves(&db).await, ["m Production - 3 proven"]);
    })
    .await;
}

#[tokio::test]
async fn the_same_paths_are_open_and_marked_under_advisory_and_open_under_off() {
    testkit::on_both(MIGRATIONS, |db| async move {
        guarded(&db).await;
        for (mode, marked) in [(Mode::Advisory, true), (Mode::Off, false)] {
            set_policy(&db, Policy { mode, ..required() }).await;
            for (path, walk) in PATHS {
                // Rolled back afterwards, so that each path starts from the same place.
                let undone: Result<Vec<String>, Undo> = db
                    .write(|tx| {
                        let head = db::events::head(tx)?;
                        walk(tx, &on_day(2))?;
                        let told = db::events::after(tx, head, 100)?.into_iter();
                        let unproven =
                            told.filter(|event| event.payload["unproven"] == true && event.payload["to"] == "2");
                        Err(Undo::Done(unproven.count()))
                    })
                    .await;
                let Err(Undo::Done(unproven)) = undone else { panic!("{mode:?} {path}: {undone:?}") };
                let promotes = !path.starts_with("delete the c")
                    && !path.starts_with("delete the m")
                    && !path.starts_with("rename")
                    && !path.ends_with("delete it");
                assert_eq!(unproven > 0, marked && promotes, "{mode:?} {path}");
            }
        }
    })
    .await;
}

#[derive(Debug)]
enum Undo {
    Done(usize),
    Failed(#[expect(dead_code, reason = "shown when a test fails")] String),
}

impl From<Error> for Undo {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<db::Error> for Undo {
    fn from(error: db::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

#[tokio::test]
async fn a_verdict_opens_the_gate_once_and_for_what_it_measured() {
    testkit::on_both(MIGRATIONS, |db| async move {
        guarded(&db).await;
        write(&db, |tx| {
            verdict(tx, &on_day(2), "2", Some("1"), "Production")?;
            version::transition_stage(tx, &on_day(2), "m", "2", Stage::Production, true, "better")
        })
        .await;
        assert_eq!(moves(&db).await.last().unwrap(), "m Production 1 2 proven");
        let told = events(&db).await.pop().unwrap();
        assert_eq!(told.payload["policy"], "required");
        assert_eq!(told.payload["reason"], "better");
        // The verdict was for Production, not for the alias, and not for version 3.
        for walk in
            [PATHS[2].1, |tx: &mut Tx<'_>, ctx: &Ctx| pointer::promote(tx, ctx, "m", "3", &"Production".parse()?, "t")]
        {
            assert!(matches!(refused(&db, move |tx| walk(tx, &on_day(2))).await, Error::GateRefused { .. }));
        }
    })
    .await;
}

/// A passing verdict on version 2 against version 1, then `spoil`, then the promotion is tried on day `day`.
async fn spoiled(day: i64, spoil: fn(&mut Tx<'_>, &str) -> Result<(), Error>, expect: &'static str) {
    testkit::on_both(MIGRATIONS, move |db| async move {
        guarded(&db).await;
        write(&db, move |tx| {
            let id = verdict(tx, &on_day(2), "2", Some("1"), "Production")?;
            spoil(tx, &id)
        })
        .await;
        let error =
            refused(&db, move |tx| pointer::promote(tx, &on_day(day), "m", "2", &"Production".parse()?, "t")).await;
        assert!(matches!(error, Error::GateRefused { .. }), "{error}");
        assert!(error.to_string().contains(expect), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_verdict_expires() {
    spoiled(10, |_, _| Ok(()), "is older than the policy allows (7 days)").await;
}

#[tokio::test]
async fn a_later_failure_voids_a_pass() {
    let spoil = |tx: &mut Tx<'_>, _: &str| {
        let new = NewVerdict {
            model: "m".to_owned(),
            version: "2".to_owned(),
            pointer: "Production".to_owned(),
            champion: Some("1".to_owned()),
            evidence: serde_json::json!({ "reason": "worse on newer rows" }),
            ..NewVerdict::default()
        };
        verdict::record(tx, &on_day(3), new).map(|_| ())
    };
    spoiled(3, spoil, "failed: worse on newer rows").await;
}

#[tokio::test]
async fn a_verdict_against_a_former_champion_is_void() {
    let spoil = |tx: &mut Tx<'_>, _: &str| {
        verdict(tx, &on_day(2), "3", Some("1"), "Production")?;
        pointer::promote(tx, &on_day(2), "m", "3", &"Production".parse()?, "t")
    };
    spoiled(3, spoil, "but the champion of Production is version 3").await;
}

#[tokio::test]
async fn a_verdict_older_than_the_last_move_is_void_even_if_the_champion_is_back() {
    let spoil = |tx: &mut Tx<'_>, _: &str| {
        verdict(tx, &on_day(2), "3", Some("1"), "Production")?;
        pointer::promote(tx, &on_day(2), "m", "3", &"Production".parse()?, "t")?;
        pointer::promote(tx, &on_day(2), "m", "1", &"Production".parse()?, "back")
    };
    spoiled(3, spoil, "Production has moved since verdict").await;
}

#[tokio::test]
async fn a_verdict_under_other_thresholds_is_void() {
    let spoil = |tx: &mut Tx<'_>, _: &str| {
        let new = NewVerdict {
            model: "m".to_owned(),
            version: "2".to_owned(),
            pointer: "Production".to_owned(),
            champion: Some("1".to_owned()),
            passed: true,
            digests: Digests { thresholds: Some(required().thresholds_digest()), ..Digests::default() },
            ..NewVerdict::default()
        };
        verdict::record(tx, &on_day(2), new)?;
        policy::set(tx, &on_day(2), "m", &Policy { margin: 0.5, ..required() })
    };
    spoiled(3, spoil, "the thresholds of the policy have changed").await;
}

#[tokio::test]
async fn a_rejected_verdict_is_void() {
    let spoil = |tx: &mut Tx<'_>, id: &str| verdict::approve(tx, &on_day(2), id, false, None).map(|_| ());
    spoiled(3, spoil, "was rejected by a person").await;
}

#[tokio::test]
async fn a_policy_that_wants_a_person_waits_for_one() {
    testkit::on_both(MIGRATIONS, |db| async move {
        guarded(&db).await;
        set_policy(&db, Policy { approve: Approve::Human, ..required() }).await;
        let id = write(&db, |tx| verdict(tx, &on_day(2), "2", Some("1"), "Production")).await;
        let promote = |tx: &mut Tx<'_>| pointer::promote(tx, &on_day(2), "m", "2", &"Production".parse()?, "t");
        let error = refused(&db, promote).await;
        assert!(error.to_string().contains("waits for the approval of a person"), "{error}");
        assert!(error.hint().unwrap().contains("rondo model approve m 2"), "{error:?}");
        write(&db, move |tx| verdict::approve(tx, &on_day(2), &id, true, None)).await;
        write(&db, promote).await;
        assert_eq!(moves(&db).await.last().unwrap(), "m Production 1 2 proven");
    })
    .await;
}

#[tokio::test]
async fn a_rollback_needs_no_verdict_and_a_stop_is_always_possible() {
    testkit::on_both(MIGRATIONS, |db| async move {
        guarded(&db).await;
        write(&db, |tx| {
            let production = "Production".parse()?;
            verdict(tx, &on_day(2), "2", Some("1"), "Production")?;
            pointer::promote(tx, &on_day(2), "m", "2", &production, "better")?;
            pointer::promote(tx, &on_day(3), "m", "1", &production, "2 is slow")?;
            pointer::promote(tx, &on_day(3), "m", "1", &production, "already there")?;
            version::transition_stage(tx, &on_day(4), "m", "1", Stage::Archived, false, "stop")?;
            assert_eq!(pointer::resolve(tx, &on_day(4), "m", &production)?, None);
            let champion = pointer::champion(tx, &on_day(4), "m", &production)?;
            assert_eq!(champion.map(|version| version.version).as_deref(), Some("1"), "still the one to beat");
            pointer::promote(tx, &on_day(4), "m", "1", &production, "go on")
        })
        .await;
        let told = moves(&db).await;
        assert_eq!(
            told[2..],
            ["m Production 1 2 proven", "m Production 2 1 rollback", "m Production 1 -", "m Production - 1 rollback"]
        );
        let error = refused(&db, |tx| pointer::promote(tx, &on_day(4), "m", "3", &"Production".parse()?, "t")).await;
        assert!(matches!(error, Error::GateRefused { .. }));
    })
    .await;
}

#[tokio::test]
async fn a_candidate_can_beat_a_champion_that_was_taken_down() {
    testkit::on_both(MIGRATIONS, |db| async move {
        guarded(&db).await;
        write(&db, |tx| {
            version::transition_stage(tx, &on_day(2), "m", "1", Stage::Archived, false, "stop")?;
            verdict(tx, &on_day(2), "2", Some("1"), "Production")?;
            pointer::promote(tx, &on_day(2), "m", "2", &"Production".parse()?, "better")?;
            // Now version 1 is nobody's champion, except the alias's.
            model::delete_alias(tx, &on_day(2), "m", "champion", "t")?;
            verdict(tx, &on_day(2), "2", Some("1"), "@champion")?;
            model::set_alias(tx, &on_day(2), "m", "champion", "2", "t")?;
            version::delete(tx, &on_day(2), "m", "1", "old")
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn only_guarded_pointers_are_guarded() {
    testkit::on_both(MIGRATIONS, |db| async move {
        guarded(&db).await;
        write(&db, |tx| {
            version::transition_stage(tx, &on_day(2), "m", "2", Stage::Staging, false, "t")?;
            model::set_alias(tx, &on_day(2), "m", "shadow", "3", "t")?;
            version::delete(tx, &on_day(2), "m", "3", "t")
        })
        .await;
        let told = moves(&db).await;
        assert_eq!(told[2..], ["m Staging - 2", "m @shadow - 3", "m @shadow 3 -"]);
    })
    .await;
}

#[tokio::test]
async fn a_policy_stays_with_the_name_and_its_change_is_told() {
    testkit::on_both(MIGRATIONS, |db| async move {
        assert_eq!(write(&db, |tx| policy::get(tx, &on_day(1), "m")).await, Policy::default());
        set_policy(&db, required()).await;
        set_policy(&db, required()).await;
        let told = events(&db).await;
        assert_eq!(told.len(), 1, "the same policy again is no change");
        assert_eq!(told[0].payload["policy"]["mode"], "required");
        assert_eq!(told[0].payload["from"]["mode"], "advisory");

        model_with(&db, "m", 1).await;
        write(&db, |tx| {
            // Nothing is held, so the model may go; what comes after it under that name is held to the same policy.
            model::rename(tx, &on_day(1), "m", "n")?;
            assert_eq!(policy::get(tx, &on_day(1), "n")?.mode, Mode::Required);
            model::delete(tx, &on_day(1), "n")
        })
        .await;
        model_with(&db, "m", 1).await;
        let error = refused(&db, |tx| pointer::promote(tx, &on_day(1), "m", "1", &"Production".parse()?, "t")).await;
        assert!(matches!(error, Error::GateRefused { .. }), "{error}");
        model_with(&db, "free", 1).await;
        write(&db, |tx| pointer::promote(tx, &on_day(1), "free", "1", &"Production".parse()?, "t")).await;
        write(&db, |tx| model::delete(tx, &on_day(1), "m")).await;
        let error = refused(&db, |tx| model::rename(tx, &on_day(1), "free", "m")).await;
        assert!(matches!(error, Error::GateRefused { .. }), "{error}");
    })
    .await;
}
