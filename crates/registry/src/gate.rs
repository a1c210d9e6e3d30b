//! The gate: may this pointer move to that version?
//!
//! Nothing gets to production unproven. Under the policy `required` a guarded pointer moves only to a version whose last verdict
//! for that pointer passed, against the present champion, since the pointer last moved, not too long ago, under the thresholds
//! of today, and approved where the policy wants a person. A version that held the pointer before may come back: a rollback must
//! not wait for a measurement. Taking the champion down is always possible, deleting it is not. `advisory` asks the same questions
//! and only writes the answer down; `off` asks nothing.

use db::Tx;
use kernel::clock::DAY_US;
use kernel::ctx::Ctx;

use crate::model::Locked;
use crate::moves::{self, Move};
use crate::pointer::Pointer;
use crate::policy::{self, Approve, Mode, Policy};
use crate::verdict::{self, State, Verdict};
use crate::{Error, Result};

/// On what grounds a move was let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Basis {
    pub(crate) mode: Mode,
    pub(crate) guarded: bool,
    pub(crate) verdict_id: Option<String>,
    pub(crate) rollback: bool,
    pub(crate) unproven: bool,
}

/// Judges a move; an error is a refusal. `champion` is the version that had to be beaten before the change began.
pub(crate) fn check(tx: &mut Tx<'_>, ctx: &Ctx, model: &Locked, moved: &Move, champion: Option<i64>) -> Result<Basis> {
    let policy = policy::get(tx, ctx, &model.name)?;
    let guarded = policy.guards(&moved.pointer);
    let mut basis = Basis { mode: policy.mode, guarded, ..Basis::default() };
    let Some(version) = moved.to else { return Ok(basis) };
    if !guarded || policy.mode == Mode::Off {
        return Ok(basis);
    }
    let last = verdict::latest(tx, &model.uid, version, &moved.pointer)?;
    let since = moves::last_revision(tx, &model.uid, &moved.pointer)?.unwrap_or(0);
    let objection = match &last {
        None => Some(format!("version {version} has no verdict for {}", moved.pointer)),
        Some(last) => objection(ctx, &policy, last, champion, since),
    };
    match (objection, last) {
        (None, Some(last)) => basis.verdict_id = Some(last.id),
        (objection, last) => {
            basis.rollback = moves::has_held(tx, &model.uid, &moved.pointer, version)?;
            if !basis.rollback && policy.mode == Mode::Required {
                let objection = objection.unwrap_or_default();
                return Err(refused(model, &moved.pointer, version, &objection, last.as_ref(), &policy));
            }
            basis.unproven = !basis.rollback;
        }
    }
    Ok(basis)
}

/// Under `required`, neither the champion of a guarded pointer nor its model can be deleted or renamed away: what comes next would
/// have nothing to be compared with.
pub(crate) fn check_removal(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    model: &Locked,
    policy_of: &str,
    version: Option<i64>,
    what: &str,
) -> Result<()> {
    let policy = policy::get(tx, ctx, policy_of)?;
    if policy.mode != Mode::Required {
        return Ok(());
    }
    for pointer in &policy.guarded {
        let Some(champion) = moves::champion(tx, &model.uid, pointer)? else { continue };
        if version.is_none_or(|version| version == champion) {
            return Err(Error::GateRefused {
                model: model.name.clone(),
                pointer: pointer.to_string(),
                reason: format!("version {champion} is the champion of {pointer}, so {what}"),
                hint: format!(
                    "promote another version first, or change the policy with `rondo model policy {policy_of}`"
                ),
            });
        }
    }
    Ok(())
}

/// What speaks against a verdict, if anything does.
fn objection(ctx: &Ctx, policy: &Policy, last: &Verdict, champion: Option<i64>, since: i64) -> Option<String> {
    let Verdict { id, version, pointer, .. } = last;
    let champion = champion.map(|champion| champion.to_string()).filter(|champion| champion != version);
    match last.state {
        State::Failed => return Some(format!("verdict {id} on version {version} failed: {}", last.reason())),
        State::Rejected => return Some(format!("verdict {id} on version {version} was rejected by a person")),
        State::Passed | State::Approved => {}
    }
    if last.champion != champion {
        let named =
            |champion: &Option<String>| champion.clone().map_or("nothing".to_owned(), |v| format!("version {v}"));
        return Some(format!(
            "verdict {id} compares version {version} with {}, but the champion of {pointer} is {}",
            named(&last.champion),
            named(&champion)
        ));
    }
    if last.revision < since {
        return Some(format!("{pointer} has moved since verdict {id} on version {version}"));
    }
    if ctx.now_us - last.created_us > policy.max_age_us {
        let days = policy.max_age_us as f64 / DAY_US as f64;
        return Some(format!("verdict {id} on version {version} is older than the policy allows ({days} days)"));
    }
    if last.digests.thresholds.as_ref().is_some_and(|bound| *bound != policy.thresholds_digest()) {
        return Some(format!("the thresholds of the policy have changed since verdict {id} on version {version}"));
    }
    if policy.approve == Approve::Human && last.state != State::Approved {
        return Some(format!("verdict {id} on version {version} passed and waits for the approval of a person"));
    }
    None
}

fn refused(
    model: &Locked,
    pointer: &Pointer,
    version: i64,
    objection: &str,
    last: Option<&Verdict>,
    policy: &Policy,
) -> Error {
    let waits = last.is_some_and(|last| last.state == State::Passed) && objection.contains("waits for the approval");
    let hint = match last {
        Some(last) if waits && policy.approve == Approve::Human => {
            format!("approve it with `rondo model approve {} {version}` (verdict {})", model.name, last.id)
        }
        _ => format!("evaluate it with `rondo model evaluate {} {version}`", model.name),
    };
    Error::GateRefused {
        model: model.name.clone(),
        pointer: pointer.to_string(),
        reason: format!("{pointer} moves only with a fresh passing verdict, and {objection}"),
        hint,
    }
}
