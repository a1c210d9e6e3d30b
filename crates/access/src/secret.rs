//! Secrets: random tokens and their digests, passwords and their hashes.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// What every token begins with, so that scanners of source code find one that was left there.
const PREFIX: &str = "rondo_";

/// Characters that a password must have.
const LEAST_PASSWORD: usize = 12;

/// A token as its owner knows it: shown once, never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// 256 bits from the system.
    pub fn random() -> Result<Self, Error> {
        let mut bits = [0_u8; 32];
        getrandom::fill(&mut bits).map_err(|error| Error::Hash { reason: error.to_string() })?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits))))
    }

    /// The text to show.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn digest(&self) -> String {
        digest(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is stored of a token. A plain digest is enough: nobody guesses 256 random bits.
pub(crate) fn digest(token: &str) -> String {
    kernel::digest::of(token.as_bytes())
}

/// Whether a password is in truth a token, which clients send that know only names and passwords.
pub(crate) fn is_token(password: &str) -> bool {
    password.starts_with(PREFIX)
}

/// Hashes a password with argon2id. Takes tens of milliseconds: not for an asynchronous thread.
pub(crate) fn hash_password(password: &str) -> Result<String, Error> {
    if password.chars().count() < LEAST_PASSWORD {
        return Err(Error::ShortPassword { least: LEAST_PASSWORD });
    }
    let mut bits = [0_u8; 16];
    getrandom::fill(&mut bits).map_err(|error| Error::Hash { reason: error.to_string() })?;
    let unhashed = |error: argon2::password_hash::Error| Error::Hash { reason: error.to_string() };
    let salt = SaltString::encode_b64(&bits).map_err(unhashed)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(unhashed)?.to_string())
}

/// Whether it is the password of this hash. Takes as long when there is no such user, so that names cannot be found out.
pub(crate) fn is_password(password: &str, hash: Option<&str>) -> bool {
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let parsed = PasswordHash::new(hash.unwrap_or(NOBODY));
    parsed.is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()) && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_random_and_not_shown_by_accident() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), PREFIX.len() + 43);
        assert_eq!(format!("{one:?}"), "Secret(..)");
        assert!(is_token(one.reveal()) && !is_token("correct horse battery"));
    }

    #[test]
    fn only_the_password_itself_opens() {
        let hash = hash_password("correct horse battery").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(is_password("correct horse battery", Some(&hash)));
        assert!(!is_password("correct horse batterz", Some(&hash)));
        assert!(!is_password("correct horse battery", None) && !is_password("", None));
        assert!(!is_password("correct horse battery", Some("not a hash")));
        assert_ne!(hash, hash_password("correct horse battery").unwrap(), "each has a salt of its own");
        assert!(hash_password("short").is_err());
    }
}
