//! Signed tokens of others (RFC 7515): who signed, and nothing else. Three algorithms, each with its own kind of key, so that none can be
//! taken for another; `none` and everything with a shared secret do not exist here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// The longest token that is read, bytes.
const MAX_TOKEN: usize = 32 << 10;

/// A key of a provider (RFC 7517), as far as it is of use here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Jwk {
    /// Its name.
    pub kid: Option<String>,
    /// Its kind: `RSA`, `EC` or `OKP`.
    pub kty: String,
    /// What it is for; none is anything.
    #[serde(rename = "use")]
    pub purpose: Option<String>,
    /// The one algorithm that it is for; none is any of its kind.
    pub alg: Option<String>,
    /// The curve.
    pub crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Why a token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It cannot be read.
    #[error("the token cannot be read: {0}")]
    Malformed(&'static str),
    /// Signed in a way that is not taken.
    #[error("the token is signed with `{0}`, and only RS256, ES256 and EdDSA are taken")]
    Algorithm(String),
    /// By a key that is not known.
    #[error("the token is signed with a key that the provider does not name")]
    UnknownKey,
    /// By somebody else.
    #[error("the signature of the token is not right")]
    Signature,
    /// A claim is not as it must be.
    #[error("the claim `{claim}` of the token {why}")]
    Claim {
        /// Which.
        claim: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    fn read(name: &str) -> Result<Self, Rejected> {
        match name {
            "RS256" => Ok(Self::Rs256),
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            other => Err(Rejected::Algorithm(other.chars().take(20).collect())),
        }
    }

    /// Whether a key can have signed with it.
    fn fits(self, key: &Jwk, name: &str) -> bool {
        let kind = match self {
            Self::Rs256 => key.kty == "RSA",
            Self::Es256 => key.kty == "EC" && key.crv.as_deref() == Some("P-256"),
            Self::EdDsa => key.kty == "OKP" && key.crv.as_deref() == Some("Ed25519"),
        };
        let signs = key.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        kind && signs && key.alg.as_deref().is_none_or(|alg| alg == name)
    }

    fn verifies(self, key: &Jwk, signed: &[u8], signature: &[u8]) -> Option<bool> {
        let part = |text: &Option<String>| bytes(text.as_deref()?);
        let right = match self {
            Self::Rs256 => {
                let (n, e) = (part(&key.n)?, part(&key.e)?);
                let key = RsaPublicKeyComponents { n: strip(&n), e: strip(&e) };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok()
            }
            Self::Es256 => {
                let point = [&[4], part(&key.x)?.as_slice(), part(&key.y)?.as_slice()].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            Self::EdDsa => UnparsedPublicKey::new(&ED25519, part(&key.x)?).verify(signed, signature).is_ok(),
        };
        Some(right)
    }
}

/// What a token says, if one of these keys signed it. [`Rejected::UnknownKey`] means that newer keys may help.
pub fn open(token: &str, keys: &[Jwk]) -> Result<Vec<u8>, Rejected> {
    if token.len() > MAX_TOKEN {
        return Err(Rejected::Malformed("it is too long"));
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Rejected::Malformed("it has no signature"))?;
    let (header, payload) = signed.split_once('.').ok_or(Rejected::Malformed("it has no header"))?;
    let decoded = |text, what| bytes(text).ok_or(Rejected::Malformed(what));
    let header: Header = serde_json::from_slice(&decoded(header, "its header is not base64url")?)
        .map_err(|_| Rejected::Malformed("its header is not JSON"))?;
    let algorithm = Algorithm::read(&header.alg)?;
    if header.crit.is_some() {
        return Err(Rejected::Malformed("it has extensions that must be understood"));
    }
    let signature = decoded(signature, "its signature is not base64url")?;
    let named = |key: &&Jwk| header.kid.is_none() || key.kid == header.kid;
    let fitting: Vec<&Jwk> = keys.iter().filter(named).filter(|key| algorithm.fits(key, &header.alg)).collect();
    if fitting.is_empty() {
        return Err(Rejected::UnknownKey);
    }
    let verified = |key: &&Jwk| algorithm.verifies(key, signed.as_bytes(), &signature) == Some(true);
    if !fitting.iter().any(verified) {
        return Err(Rejected::Signature);
    }
    decoded(payload, "its payload is not base64url")
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// A number without zeros in front, as RSA keys are taken.
fn strip(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}
