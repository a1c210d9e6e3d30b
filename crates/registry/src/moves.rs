//! Every change that can move a pointer runs in here: who held what before is compared with who holds what afterwards, the gate
//! is asked about each difference, and each one is recorded. A path that forgot the gate cannot exist without going around this.

use std::collections::BTreeMap;

use db::Tx;
use kernel::ctx::Ctx;
use kernel::event::{NewEvent, kind};
use serde_json::json;

use crate::gate::{self, Basis};
use crate::model::Locked;
use crate::pointer::Pointer;
use crate::stage::Stage;
use crate::{Result, policy};

/// Who holds which pointer.
pub(crate) type Holders = BTreeMap<Pointer, i64>;

/// A pointer that moved.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) pointer: Pointer,
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// Runs a change of a locked model; an error of the gate undoes it with the transaction.
pub(crate) fn watched<T>(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    model: &Locked,
    reason: &str,
    change: impl FnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<T> {
    let before = holders(tx, &model.uid)?;
    // What the gate weighs is read before the change, so that the change cannot tip it.
    let mut champions = BTreeMap::new();
    for pointer in &policy::get(tx, ctx, &model.name)?.guarded {
        if let Some(champion) = champion(tx, &model.uid, pointer)? {
            champions.insert(pointer.clone(), champion);
        }
    }
    let done = change(tx)?;
    let after = holders(tx, &model.uid)?;
    for moved in differences(&before, &after) {
        let basis = gate::check(tx, ctx, model, &moved, champions.get(&moved.pointer).copied())?;
        record(tx, ctx, model, &moved, &basis, reason)?;
    }
    Ok(done)
}

/// Which version each pointer names: the newest ready one in a stage, the one an alias was set to.
pub(crate) fn holders(tx: &mut Tx<'_>, uid: &str) -> Result<Holders> {
    let mut holders = Holders::new();
    for row in tx.query(
        "SELECT stage, max(version) AS version FROM model_versions
         WHERE model_uid = $1 AND NOT deleted AND status = 'READY' AND stage IN ('Staging', 'Production')
         GROUP BY stage ORDER BY stage",
        &[uid.into()],
    )? {
        holders.insert(Pointer::Stage(row.str("stage")?.parse()?), row.i64("version")?);
    }
    for row in tx.query(
        "SELECT alias, version FROM registered_model_aliases WHERE model_uid = $1 ORDER BY alias",
        &[uid.into()],
    )? {
        holders.insert(Pointer::Alias(row.text("alias")?), row.i64("version")?);
    }
    Ok(holders)
}

/// Which version one pointer names.
pub(crate) fn holder(tx: &mut Tx<'_>, uid: &str, pointer: &Pointer) -> Result<Option<i64>> {
    let row = match pointer {
        Pointer::Stage(stage) => tx.query_opt(
            "SELECT max(version) AS version FROM model_versions
             WHERE model_uid = $1 AND stage = $2 AND NOT deleted AND status = 'READY'",
            &[uid.into(), Stage::as_str(*stage).into()],
        )?,
        Pointer::Alias(alias) => tx.query_opt(
            "SELECT version FROM registered_model_aliases WHERE model_uid = $1 AND alias = $2",
            &[uid.into(), alias.as_str().into()],
        )?,
    };
    Ok(row.map(|row| row.opt_i64("version")).transpose()?.flatten())
}

/// See [`crate::pointer::champion`].
pub(crate) fn champion(tx: &mut Tx<'_>, uid: &str, pointer: &Pointer) -> Result<Option<i64>> {
    if let Some(holder) = holder(tx, uid, pointer)? {
        return Ok(Some(holder));
    }
    let last = tx.query_opt(
        "SELECT m.version AS version FROM pointer_moves m
         JOIN model_versions v ON v.model_uid = m.model_uid AND v.version = m.version
         WHERE m.model_uid = $1 AND m.pointer = $2 AND NOT v.deleted ORDER BY m.revision DESC LIMIT 1",
        &[uid.into(), pointer.to_string().into()],
    )?;
    Ok(last.map(|row| row.i64("version")).transpose()?)
}

/// True if the pointer has named the version before.
pub(crate) fn has_held(tx: &mut Tx<'_>, uid: &str, pointer: &Pointer, version: i64) -> Result<bool> {
    let row = tx.query_opt(
        "SELECT revision FROM pointer_moves WHERE model_uid = $1 AND pointer = $2 AND version = $3 LIMIT 1",
        &[uid.into(), pointer.to_string().into(), version.into()],
    )?;
    Ok(row.is_some())
}

/// The model's revision at the last move of a pointer.
pub(crate) fn last_revision(tx: &mut Tx<'_>, uid: &str, pointer: &Pointer) -> Result<Option<i64>> {
    let row = tx.query_opt(
        "SELECT max(revision) AS revision FROM pointer_moves WHERE model_uid = $1 AND pointer = $2",
        &[uid.into(), pointer.to_string().into()],
    )?;
    Ok(row.map(|row| row.opt_i64("revision")).transpose()?.flatten())
}

fn differences(before: &Holders, after: &Holders) -> Vec<Move> {
    let mut pointers: Vec<&Pointer> = before.keys().chain(after.keys()).collect();
    pointers.sort();
    pointers.dedup();
    let moves = pointers.into_iter().map(|pointer| Move {
        pointer: pointer.clone(),
        from: before.get(pointer).copied(),
        to: after.get(pointer).copied(),
    });
    moves.filter(|moved| moved.from != moved.to).collect()
}

/// Writes the move down, for the gate and for the audit trail.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    model: &Locked,
    moved: &Move,
    basis: &Basis,
    reason: &str,
) -> Result<()> {
    tx.execute(
        "INSERT INTO pointer_moves (workspace, model_uid, pointer, revision, version, at_us)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            ctx.workspace.as_str().into(),
            model.uid.as_str().into(),
            moved.pointer.to_string().into(),
            model.revision.into(),
            moved.to.into(),
            ctx.now_us.into(),
        ],
    )?;
    announce(tx, ctx, &model.name, moved, basis, reason)
}

/// The event of a move.
pub(crate) fn announce(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    model: &str,
    moved: &Move,
    basis: &Basis,
    reason: &str,
) -> Result<()> {
    let mut payload = json!({
        "pointer": moved.pointer.to_string(),
        "from": moved.from.map(|version| version.to_string()),
        "to": moved.to.map(|version| version.to_string()),
        "verdict_id": basis.verdict_id,
        "policy": basis.mode,
        "guarded": basis.guarded,
        "reason": reason,
    });
    if basis.unproven {
        payload["unproven"] = json!(true);
    }
    if basis.rollback {
        payload["rollback"] = json!(true);
    }
    db::events::emit(
        tx,
        ctx,
        NewEvent {
            kind: kind::POINTER_MOVED,
            subject: format!("model/{model}"),
            model: Some(model.to_owned()),
            payload,
        },
    )?;
    Ok(())
}
