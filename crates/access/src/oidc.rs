//! People whom an OpenID Connect provider vouches for: what an ID token must say, and what it makes of its bearer here.

use std::collections::BTreeMap;

use db::Tx;
use kernel::ctx::{Ctx, DEFAULT_WORKSPACE};
use kernel::event::{NewEvent, kind};
use serde_json::{Map, Value, json};

use crate::jws::{self, Jwk, Rejected};
use crate::permission::Role;
use crate::user::{self, check_name};
use crate::{Error, workspace};

/// By how much clocks may differ, seconds.
const LEEWAY_S: i64 = 60;

/// What an ID token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'e> {
    /// The provider.
    pub issuer: &'e str,
    /// Who we are to it.
    pub client_id: &'e str,
    /// What was sent along when the browser was sent there.
    pub nonce: &'e str,
    /// Now, seconds since the epoch.
    pub now_s: i64,
}

/// The claims of an ID token that one of these keys signed, for us, now, and for this sign-in.
pub fn verify(token: &str, keys: &[Jwk], expected: Expected<'_>) -> Result<Map<String, Value>, Rejected> {
    let payload = jws::open(token, keys)?;
    let claims: Map<String, Value> =
        serde_json::from_slice(&payload).map_err(|_| Rejected::Malformed("its claims are not a JSON object"))?;
    let wrong = |claim, why| Err(Rejected::Claim { claim, why });
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let number = |claim: &str| claims.get(claim).and_then(Value::as_f64);
    if text("iss") != Some(expected.issuer) {
        return wrong("iss", "names another provider");
    }
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&expected.client_id) {
        return wrong("aud", "names another client");
    }
    let party = text("azp");
    if audience.len() > 1 && party.is_none() || party.is_some_and(|party| party != expected.client_id) {
        return wrong("azp", "names another client");
    }
    let (now_s, leeway_s) = (expected.now_s as f64, LEEWAY_S as f64);
    if number("exp").is_none_or(|end| end + leeway_s <= now_s) {
        return wrong("exp", "is over or not there");
    }
    if number("iat").is_none_or(|made| made - leeway_s > now_s) {
        return wrong("iat", "is in the future or not there");
    }
    if claims.contains_key("nbf") && number("nbf").is_none_or(|begin| begin - leeway_s > now_s) {
        return wrong("nbf", "is in the future");
    }
    if text("nonce") != Some(expected.nonce) {
        return wrong("nonce", "is not that of this sign-in");
    }
    if text("sub").is_none_or(str::is_empty) {
        return wrong("sub", "is not there");
    }
    Ok(claims)
}

/// What a value of a claim makes of its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The value, as of a group; `*` is everybody.
    pub value: String,
    /// The role.
    pub role: Role,
    /// Where.
    pub workspace: String,
}

/// Reads `VALUE=ROLE` and `VALUE=ROLE@WORKSPACE`, separated by commas.
pub fn read_rules(text: &str) -> Result<Vec<Rule>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let rule = |part: &str| {
        let (value, role) = part.rsplit_once('=').ok_or_else(|| format!("`{part}` is not VALUE=ROLE"))?;
        let (role, workspace) = role.split_once('@').unwrap_or((role, DEFAULT_WORKSPACE));
        let role = role.trim().parse::<Role>().map_err(|error| error.to_string())?;
        Ok(Rule { value: value.trim().to_owned(), role, workspace: workspace.trim().to_owned() })
    };
    parts.map(rule).collect()
}

/// The strongest role in each workspace that these values of a claim give.
pub fn roles(rules: &[Rule], claim: Option<&Value>) -> BTreeMap<String, Role> {
    let values: Vec<&str> = match claim {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut roles = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.value == "*" || values.contains(&rule.value.as_str())) {
        let role = roles.entry(rule.workspace.clone()).or_insert(rule.role);
        *role = rule.role.max(*role);
    }
    roles
}

/// Whom a provider vouches for.
#[derive(Clone, Debug)]
pub struct Voucher {
    /// The provider.
    pub issuer: String,
    /// The provider's own id of the person, which never changes.
    pub subject: String,
    /// The name that a new user gets.
    pub name: String,
    /// What the person is, where.
    pub roles: BTreeMap<String, Role>,
}

/// Makes or finds the user of a person, gives it the roles that the provider's claims give now, and answers its name. A user that did not come
/// from this provider is not taken over, whatever its name.
pub fn admit(tx: &mut Tx<'_>, ctx: &Ctx, voucher: &Voucher) -> Result<String, Error> {
    let there = workspace::list(tx)?;
    let mut roles = voucher.roles.clone();
    roles.retain(|name, _| there.iter().any(|one| one.name == *name));
    let home = if roles.contains_key(DEFAULT_WORKSPACE) { Some(DEFAULT_WORKSPACE) } else { None };
    let home = home.or(roles.keys().next().map(String::as_str)).map(str::to_owned);
    let home = home.ok_or_else(|| Error::NoRole { name: voucher.name.clone() })?;
    let role = roles.remove(&home).ok_or_else(|| Error::NoRole { name: voucher.name.clone() })?;
    let row = tx.query_opt(
        "SELECT user_name FROM oidc_users WHERE issuer = $1 AND subject = $2",
        &[voucher.issuer.as_str().into(), voucher.subject.as_str().into()],
    )?;
    let known = row.map(|row| row.text("user_name")).transpose()?;
    let login = known.as_deref().map(|name| user::login(tx, name)).transpose()?.flatten();
    let name = match (known, login) {
        (Some(name), Some(login)) => {
            if (login.workspace.as_str(), login.role) != (home.as_str(), role) {
                user::place(tx, ctx, &name, &home, role)?;
            }
            name
        }
        _ => make(tx, &ctx.within(&home), voucher, role)?,
    };
    crate::member::settle(tx, ctx, &name, &roles)?;
    Ok(name)
}

fn make(tx: &mut Tx<'_>, ctx: &Ctx, voucher: &Voucher, role: Role) -> Result<String, Error> {
    check_name(&voucher.name)?;
    user::create(tx, ctx, &voucher.name, role, None)?;
    tx.execute(
        "INSERT INTO oidc_users (issuer, subject, user_name) VALUES ($1, $2, $3)
         ON CONFLICT (issuer, subject) DO UPDATE SET user_name = excluded.user_name",
        &[voucher.issuer.as_str().into(), voucher.subject.as_str().into(), voucher.name.as_str().into()],
    )?;
    let payload = json!({ "issuer": voucher.issuer, "subject": voucher.subject });
    let event = NewEvent { kind: kind::USER_VOUCHED, subject: format!("user/{}", voucher.name), model: None, payload };
    db::events::emit(tx, ctx, event)?;
    Ok(voucher.name.clone())
}
