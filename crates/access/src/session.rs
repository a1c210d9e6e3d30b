//! Sessions: what a browser proves itself with after somebody signed in there, and sign-ins that are under way at a provider.

use db::Tx;
use kernel::ctx::{Ctx, Principal};
use kernel::event::{NewEvent, kind};
use serde_json::json;

use crate::{Credential, Error, Identity, Secret, secret};

/// How long a session lasts, and how long a person may take at the provider, microseconds.
pub const LIFE_US: i64 = 12 * 3_600 * 1_000_000;
const SIGN_IN_US: i64 = 600_000_000;
/// Sign-ins that may be under way.
const MOST_SIGN_INS: i64 = 10_000;

/// Whom a session is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// A user.
    User(String),
    /// The bearer of a token, by its digest: as long as that is good.
    Token(String),
}

/// Starts a session of somebody who was proven, with this proof.
pub fn start(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    identity: &Identity,
    proof: &Credential,
    secret: &Secret,
) -> Result<(), Error> {
    match (proof, &identity.principal) {
        (Credential::Token(token), _) => insert(tx, ctx, None, Some(secret::digest(token)), secret)?,
        (_, Principal::Person(name)) => insert(tx, ctx, Some(name.clone()), None, secret)?,
        _ => return Err(Error::NoSession),
    }
    let payload = json!({ "by": if identity.token.is_some() { "token" } else { "password" } });
    started(tx, &ctx.within(&identity.workspace), &identity.principal, payload)
}

/// Starts a session of a user whom a provider vouched for.
pub fn start_vouched(tx: &mut Tx<'_>, ctx: &Ctx, user_name: &str, issuer: &str, secret: &Secret) -> Result<(), Error> {
    insert(tx, ctx, Some(user_name.to_owned()), None, secret)?;
    let principal = Principal::Person(user_name.to_owned());
    let home = crate::user::login(tx, user_name)?.map(|login| login.workspace);
    let ctx = home.map_or_else(|| ctx.clone(), |home| ctx.within(&home));
    started(tx, &ctx, &principal, json!({ "by": issuer }))
}

fn insert(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    user_name: Option<String>,
    token_digest: Option<String>,
    secret: &Secret,
) -> Result<(), Error> {
    tx.execute("DELETE FROM sessions WHERE expires_us <= $1", &[ctx.now_us.into()])?;
    tx.execute(
        "INSERT INTO sessions (digest, user_name, token_digest, created_us, expires_us) VALUES ($1, $2, $3, $4, $5)",
        &[
            secret.digest().into(),
            user_name.into(),
            token_digest.into(),
            ctx.now_us.into(),
            (ctx.now_us + LIFE_US).into(),
        ],
    )?;
    Ok(())
}

/// Ends a session; one that is not there is fine.
pub fn end(tx: &mut Tx<'_>, secret: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM sessions WHERE digest = $1", &[secret::digest(secret).into()])?;
    Ok(())
}

/// Whom a live session is of, and when it ends.
pub(crate) fn find(tx: &mut Tx<'_>, digest: &str, now_us: i64) -> Result<Option<(Of, i64)>, db::Error> {
    let row = tx.query_opt(
        "SELECT user_name, token_digest, expires_us FROM sessions WHERE digest = $1 AND expires_us > $2",
        &[digest.into(), now_us.into()],
    )?;
    let Some(row) = row else { return Ok(None) };
    let of = match (row.opt_text("user_name")?, row.opt_text("token_digest")?) {
        (Some(name), _) => Of::User(name),
        (None, Some(digest)) => Of::Token(digest),
        (None, None) => return Ok(None),
    };
    Ok(Some((of, row.i64("expires_us")?)))
}

/// A sign-in that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Must come back in the token.
    pub nonce: String,
    /// Proves to the provider that the same party asks for the token.
    pub verifier: String,
    /// Where the browser goes afterwards: a path of ours.
    pub return_to: String,
    /// The address to which the provider sends the browser back.
    pub redirect_uri: String,
}

/// Remembers a sign-in under its state and the browser that began it.
pub fn begin_sign_in(tx: &mut Tx<'_>, ctx: &Ctx, state: &str, browser: &str, new: &SignIn) -> Result<(), Error> {
    tx.execute("DELETE FROM sign_ins WHERE expires_us <= $1", &[ctx.now_us.into()])?;
    let waiting = tx.query_opt("SELECT count(*) AS n FROM sign_ins", &[])?;
    if waiting.map(|row| row.i64("n")).transpose()?.unwrap_or(0) >= MOST_SIGN_INS {
        return Err(Error::TooManySignIns);
    }
    tx.execute(
        "INSERT INTO sign_ins (state, browser, nonce, verifier, return_to, redirect_uri, expires_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            secret::digest(state).into(),
            secret::digest(browser).into(),
            new.nonce.as_str().into(),
            new.verifier.as_str().into(),
            new.return_to.as_str().into(),
            new.redirect_uri.as_str().into(),
            (ctx.now_us + SIGN_IN_US).into(),
        ],
    )?;
    Ok(())
}

/// The sign-in of a state, if this browser began it. It is gone with this: a state counts once.
pub fn take_sign_in(tx: &mut Tx<'_>, ctx: &Ctx, state: &str, browser: &str) -> Result<Option<SignIn>, Error> {
    let key = [secret::digest(state).into(), secret::digest(browser).into(), ctx.now_us.into()];
    let row = tx.query_opt(
        "SELECT nonce, verifier, return_to, redirect_uri FROM sign_ins
         WHERE state = $1 AND browser = $2 AND expires_us > $3",
        &key,
    )?;
    let Some(row) = row else { return Ok(None) };
    // Of two that come at once, one deletes it.
    if tx.execute("DELETE FROM sign_ins WHERE state = $1", &key[..1])? == 0 {
        return Ok(None);
    }
    Ok(Some(SignIn {
        nonce: row.text("nonce")?,
        verifier: row.text("verifier")?,
        return_to: row.text("return_to")?,
        redirect_uri: row.text("redirect_uri")?,
    }))
}

fn started(tx: &mut Tx<'_>, ctx: &Ctx, who: &Principal, payload: serde_json::Value) -> Result<(), Error> {
    let ctx = Ctx { principal: who.clone(), ..ctx.clone() };
    let event = NewEvent { kind: kind::SESSION_STARTED, subject: "session".to_owned(), model: None, payload };
    db::events::emit(tx, &ctx, event)?;
    Ok(())
}
