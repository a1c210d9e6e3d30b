//! Users and tokens, on both engines.
#![expect(clippy::unwrap_used, reason = "tests")]

extern crate rondo_access as access;

mod door;
mod jws;
mod token;
mod user;

use access::{Access, Credential, Denied, Error, Role, Secret};
use db::{Db, Tx};
use kernel::clock::Clock;
use kernel::ctx::{Ctx, Principal};

const NOW_US: i64 = 1_700_000_000_000_000;

async fn write<T, F>(db: &Db, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>, &Ctx) -> Result<T, Error> + Send + 'static,
{
    let ctx = Ctx::new(Principal::Person("root".to_owned()), NOW_US);
    db.write(move |tx| work(tx, &ctx)).await
}

fn new(name: &str, role: Role) -> access::token::NewToken {
    access::token::NewToken { name: name.to_owned(), user: None, role, scopes: Vec::new(), expires_us: None }
}

async fn a_token(db: &Db, new: access::token::NewToken) -> Credential {
    let secret = Secret::random().unwrap();
    let shown = secret.reveal().to_owned();
    write(db, move |tx, ctx| access::token::create(tx, ctx, &new, &secret)).await.unwrap();
    Credential::Token(shown)
}

fn door(db: &Db) -> (Access, Clock) {
    let clock = Clock::manual(NOW_US);
    (Access::new(db.clone(), clock.clone()), clock)
}

#[track_caller]
fn denied<T: std::fmt::Debug>(result: Result<T, Denied>, expect: &str) {
    assert_eq!(result.unwrap_err().to_string(), expect);
}
