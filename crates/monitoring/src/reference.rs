//! References: the profile of what a version was trained on, kept beside the version.

use db::Tx;
use kernel::ctx::Ctx;

use crate::Error;
use crate::profile::{Profile, Subject};

/// Stores the reference of a version; a newer one replaces it. Returns its digest.
pub fn put(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, version: &str, profile: &Profile) -> Result<String, Error> {
    let what = || format!("the reference of `{model}` version {version}");
    let text = serde_json::to_string(profile).map_err(|source| Error::Stored { what: what(), source })?;
    let digest = kernel::digest::of(text.as_bytes());
    tx.execute(
        "INSERT INTO monitor_references (workspace, model, version, digest, n_rows, profile, created_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (workspace, model, version) DO UPDATE
         SET digest = excluded.digest, n_rows = excluded.n_rows, profile = excluded.profile, created_us = excluded.created_us",
        &[
            ctx.workspace.as_str().into(),
            model.into(),
            version.into(),
            digest.as_str().into(),
            (profile.rows() as i64).into(),
            text.into(),
            ctx.now_us.into(),
        ],
    )?;
    Ok(digest)
}

/// The reference of a version, if it has one. It knows whose it is.
pub fn get(tx: &mut Tx<'_>, ctx: &Ctx, model: &str, version: &str) -> Result<Option<Profile>, Error> {
    let row = tx.query_opt(
        "SELECT digest, profile FROM monitor_references WHERE workspace = $1 AND model = $2 AND version = $3",
        &[ctx.workspace.as_str().into(), model.into(), version.into()],
    )?;
    let Some(row) = row else { return Ok(None) };
    let text = row.text("profile")?;
    let mut profile: Profile = serde_json::from_str(&text)
        .map_err(|source| Error::Stored { what: format!("the reference of `{model}` version {version}"), source })?;
    let (model, version) = (model.to_owned(), version.to_owned());
    profile.subject = Some(Subject { model, version, digest: row.text("digest")? });
    Ok(Some(profile))
}
