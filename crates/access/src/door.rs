//! The door: what a request proves itself with becomes an identity, remembered for a short while.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwap;
use db::Db;
use kernel::clock::Clock;
use kernel::ctx::Principal;
use tokio::sync::Semaphore;

use crate::session::{self, Of};
use crate::{Credential, Denied, Error, Identity, Reach, Role, Secret, member, secret, token, user};

/// An identity younger than this is taken as it is.
const FRESH_US: i64 = 5_000_000;
/// An identity younger than this is taken once more while it is checked again behind the scenes.
const STALE_US: i64 = 15_000_000;
/// Identities that are remembered at most.
const REMEMBERED: usize = 4_096;
/// How old the note of the last use may be before a new one is written.
const NOTE_USE_US: i64 = 60_000_000;
/// Passwords that are hashed at once, and that may wait for it.
const HASHING: usize = 2;
const WAITING: usize = 16;

/// Where identities are checked; cheap to clone. Looking up a known one takes no lock and asks no database.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    /// Makes the keys of this process useless elsewhere.
    salt: [u8; 32],
    known: ArcSwap<HashMap<Key, Arc<Entry>>>,
    hashing: Semaphore,
    waiting: Semaphore,
}

type Key = [u8; 32];

struct Entry {
    identity: Arc<Identity>,
    proof: Proof,
    checked_us: AtomicI64,
    checking: AtomicBool,
}

/// What is looked up again when an entry grows old.
#[derive(Clone)]
enum Proof {
    /// A part of this process: it is never asked again.
    Internal,
    Token {
        digest: String,
    },
    Session {
        digest: String,
    },
    Password {
        user: String,
        hash: String,
    },
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// The door to what this database knows.
    pub fn new(db: Db, clock: Clock) -> Self {
        let mut salt = [0; 32];
        let _keys_are_digests_anyway = getrandom::fill(&mut salt);
        let known = ArcSwap::default();
        Self(Arc::new(Inner {
            db,
            clock,
            salt,
            known,
            hashing: Semaphore::new(HASHING),
            waiting: Semaphore::new(WAITING),
        }))
    }

    /// A known identity, at once. `None` means that it must be [verified](Self::verify).
    pub fn lookup(&self, credential: &Credential) -> Option<Arc<Identity>> {
        let known = self.0.known.load();
        let entry = known.get(&self.key(credential))?;
        if matches!(entry.proof, Proof::Internal) {
            return Some(Arc::clone(&entry.identity));
        }
        let now_us = self.0.clock.now_us();
        let age_us = now_us - entry.checked_us.load(Ordering::Relaxed);
        if entry.identity.is_over(now_us) || age_us >= STALE_US {
            return None;
        }
        if age_us >= FRESH_US && !entry.checking.swap(true, Ordering::Relaxed) {
            let (this, key, proof) = (self.clone(), self.key(credential), entry.proof.clone());
            kernel::task::spawn("identity-check", async move { this.check_again(key, proof).await });
        }
        Some(Arc::clone(&entry.identity))
    }

    /// Asks the database, and remembers the answer for a short while.
    pub async fn verify(&self, credential: &Credential) -> Result<Arc<Identity>, Denied> {
        if let Some(identity) = self.lookup(credential) {
            return Ok(identity);
        }
        let proof = match credential {
            Credential::Token(token) => Proof::Token { digest: secret::digest(token) },
            Credential::Session(secret) => Proof::Session { digest: secret::digest(secret) },
            Credential::Password { user, password } => self.check_password(user, password).await?,
        };
        let identity = self.identify(&proof).await?;
        self.remember(self.key(credential), &identity, proof);
        Ok(identity)
    }

    /// Forgets what was remembered: the next request of each is checked. For whoever changes users or tokens.
    pub fn forget(&self) {
        self.0.known.rcu(|known| {
            let internal = known.iter().filter(|(_, entry)| matches!(entry.proof, Proof::Internal));
            internal.map(|(key, entry)| (*key, Arc::clone(entry))).collect::<HashMap<_, _>>()
        });
    }

    /// Makes a token of a part of this process, which lives as long as the process and is stored nowhere.
    /// It is bound to a workspace.
    pub fn internal(&self, name: &str, role: Role, workspace: &str) -> Result<Secret, Error> {
        let secret = Secret::random()?;
        let identity = Identity {
            principal: Principal::Service(name.to_owned()),
            workspace: workspace.to_owned(),
            reach: Reach::Bound,
            role,
            grants: role.grants(),
            token: Some(name.to_owned()),
            expires_us: None,
        };
        let key = self.key(&Credential::Token(secret.reveal().to_owned()));
        self.remember(key, &Arc::new(identity), Proof::Internal);
        Ok(secret)
    }

    fn key(&self, credential: &Credential) -> Key {
        let mut digest = blake3::Hasher::new_keyed(&self.0.salt);
        match credential {
            Credential::Token(token) => digest.update(token.as_bytes()),
            Credential::Session(secret) => digest.update(b"\x01").update(secret.as_bytes()),
            Credential::Password { user, password } => digest
                .update(b"\0")
                .update(&(user.len() as u64).to_le_bytes())
                .update(user.as_bytes())
                .update(password.as_bytes()),
        };
        *digest.finalize().as_bytes()
    }

    fn remember(&self, key: Key, identity: &Arc<Identity>, proof: Proof) {
        let now_us = self.0.clock.now_us();
        let entry = Arc::new(Entry {
            identity: Arc::clone(identity),
            proof,
            checked_us: AtomicI64::new(now_us),
            checking: AtomicBool::new(false),
        });
        self.0.known.rcu(|known| {
            let full = known.len() >= REMEMBERED;
            let lives = |entry: &Entry| {
                let young = now_us - entry.checked_us.load(Ordering::Relaxed) < STALE_US;
                matches!(entry.proof, Proof::Internal) || (young && !full)
            };
            let mut next: HashMap<Key, Arc<Entry>> =
                known.iter().filter(|(_, entry)| lives(entry)).map(|(key, entry)| (*key, Arc::clone(entry))).collect();
            next.insert(key, Arc::clone(&entry));
            next
        });
    }

    async fn check_again(&self, key: Key, proof: Proof) {
        match self.identify(&proof).await {
            Ok(identity) => self.remember(key, &identity, proof),
            // The entry grows stale by itself, and whoever comes then is told.
            Err(Denied::Busy | Denied::Unavailable { .. }) => {}
            Err(_) => {
                self.0.known.rcu(|known| {
                    let mut next = HashMap::clone(known);
                    next.remove(&key);
                    next
                });
            }
        }
    }

    /// The proof that a password is right.
    async fn check_password(&self, user: &str, password: &str) -> Result<Proof, Denied> {
        let _waits = self.0.waiting.try_acquire().map_err(|_| Denied::Busy)?;
        let _hashes = self.0.hashing.acquire().await.map_err(|_| Denied::Busy)?;
        let name = user.to_owned();
        let login = self.0.db.read(move |tx| user::login(tx, &name)).await.map_err(unavailable)?;
        let (hash, password) = (login.and_then(|login| login.hash), password.to_owned());
        let checking = tokio::task::spawn_blocking(move || {
            let right = secret::is_password(&password, hash.as_deref());
            hash.filter(|_| right)
        });
        match checking.await {
            Ok(Some(hash)) => Ok(Proof::Password { user: user.to_owned(), hash }),
            Ok(None) => Err(Denied::Unknown { what: "user or password" }),
            Err(error) => Err(Denied::Unavailable { reason: error.to_string() }),
        }
    }

    /// Whom a proof makes of its bearer, as the database knows now.
    async fn identify(&self, proof: &Proof) -> Result<Arc<Identity>, Denied> {
        match proof.clone() {
            Proof::Internal => Err(Denied::Unknown { what: "token" }),
            Proof::Token { digest } => self.identify_token(digest).await,
            Proof::Session { digest } => self.identify_session(digest).await,
            Proof::Password { user, hash } => {
                let name = user.clone();
                let read = self.0.db.read(move |tx| Ok((user::login(tx, &name)?, member::of_user(tx, &name)?)));
                let (login, elsewhere) = read.await.map_err(unavailable)?;
                let same = login.filter(|login| login.hash.as_deref() == Some(&hash));
                let login = same.ok_or(Denied::Unknown { what: "user or password" })?;
                let (person, reach) = (Principal::Person(user), Reach::Member(elsewhere));
                Ok(Arc::new(Identity::at_home(person, login.workspace, login.role, None, reach)))
            }
        }
    }

    async fn identify_session(&self, digest: String) -> Result<Arc<Identity>, Denied> {
        let now_us = self.0.clock.now_us();
        let found = self.0.db.read(move |tx| session::find(tx, &digest, now_us)).await.map_err(unavailable)?;
        let (of, expires_us) = found.ok_or(Denied::Unknown { what: "session" })?;
        let identity = match of {
            Of::Token(digest) => Identity::clone(&*self.identify_token(digest).await?),
            Of::User(name) => {
                let user = name.clone();
                let read = self.0.db.read(move |tx| Ok((user::login(tx, &user)?, member::of_user(tx, &user)?)));
                let (login, elsewhere) = read.await.map_err(unavailable)?;
                let login = login.ok_or(Denied::Unknown { what: "session" })?;
                let (person, reach) = (Principal::Person(name), Reach::Member(elsewhere));
                Identity::at_home(person, login.workspace, login.role, None, reach)
            }
        };
        let end = identity.expires_us.map_or(expires_us, |end| end.min(expires_us));
        Ok(Arc::new(Identity { expires_us: Some(end), ..identity }))
    }

    async fn identify_token(&self, digest: String) -> Result<Arc<Identity>, Denied> {
        let now_us = self.0.clock.now_us();
        let found = self.0.db.read(move |tx| token::identify(tx, &digest, now_us)).await.map_err(unavailable)?;
        let (token, identity) = found?;
        if token.last_used_us.is_none_or(|last| now_us - last >= NOTE_USE_US) {
            let db = self.0.db.clone();
            kernel::task::spawn("token-used", async move {
                let noted = db.write(move |tx| token::used(tx, &token.id, now_us)).await;
                if let Err(error) = noted {
                    tracing::debug!(%error, "the use of a token could not be noted");
                }
            });
        }
        Ok(Arc::new(identity))
    }
}

fn unavailable(error: db::Error) -> Denied {
    match error {
        db::Error::Overloaded { .. } => Denied::Busy,
        other => Denied::Unavailable { reason: other.to_string() },
    }
}
