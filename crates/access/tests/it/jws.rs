//! Tokens that pyca/cryptography signed (`tests/golden/signed.py`), and what attackers make of them.

use access::jws::{Jwk, Rejected, open};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

fn golden(name: &str) -> (Jwk, String) {
    let all: Value = serde_json::from_str(include_str!("../golden/signed.json")).unwrap();
    let one = &all[name];
    (serde_json::from_value(one["jwk"].clone()).unwrap(), one["token"].as_str().unwrap().to_owned())
}

fn keys() -> Vec<Jwk> {
    ["rs", "es", "ed"].map(|name| golden(name).0).into()
}

/// A token with another header.
fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[test]
fn each_kind_of_key_opens_what_it_signed() {
    for name in ["rs", "es", "ed"] {
        assert_eq!(open(&golden(name).1, &keys()).unwrap(), b"{\"sub\":\"ada\"}", "{name}");
    }
}

#[test]
fn a_changed_token_is_refused() {
    for name in ["rs", "es", "ed"] {
        let (_, token) = golden(name);
        let parts: Vec<&str> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(br#"{"sub":"eve"}"#);
        let other = format!("{}.{forged}.{}", parts[0], parts[2]);
        assert_eq!(open(&other, &keys()), Err(Rejected::Signature), "{name}");
        let cut = format!("{}.{}.", parts[0], parts[1]);
        assert_eq!(open(&cut, &keys()), Err(Rejected::Signature), "{name}");
    }
}

#[test]
fn no_other_algorithm_is_taken_and_none_for_the_key_of_another() {
    let (_, token) = golden("rs");
    for name in ["none", "None", "nOnE", "HS256", "HS512", "RS384", "PS256", "ES384", "rs256", ""] {
        let forged = with_header(&token, &json!({"alg": name, "kid": "r"}));
        assert_eq!(open(&forged, &keys()), Err(Rejected::Algorithm(name.to_owned())), "{name}");
    }
    for (name, kid) in [("RS256", "e"), ("RS256", "d"), ("ES256", "r"), ("EdDSA", "r"), ("RS256", "nobody")] {
        let forged = with_header(&token, &json!({"alg": name, "kid": kid}));
        assert_eq!(open(&forged, &keys()), Err(Rejected::UnknownKey), "{name} {kid}");
    }
    let extended = with_header(&token, &json!({"alg": "RS256", "kid": "r", "crit": ["b64"], "b64": false}));
    assert!(matches!(open(&extended, &keys()), Err(Rejected::Malformed(_))));
    // A key in the header is nobody's.
    let own = with_header(&token, &json!({"alg": "RS256", "jwk": {"kty": "RSA"}}));
    assert_eq!(open(&own, &keys()), Err(Rejected::Signature));
}

#[test]
fn a_key_that_is_too_short_or_for_something_else_opens_nothing() {
    let (weak, token) = golden("weak");
    assert_eq!(open(&token, &[weak]), Err(Rejected::Signature));
    let (key, token) = golden("es");
    let mut secret = key.clone();
    secret.purpose = Some("enc".to_owned());
    assert_eq!(open(&token, &[secret]), Err(Rejected::UnknownKey));
    let mut other = key;
    other.alg = Some("ES384".to_owned());
    assert_eq!(open(&token, &[other]), Err(Rejected::UnknownKey));
}

#[test]
fn what_is_no_token_is_no_defect() {
    for text in ["", ".", "..", "...", "a.b", "a.b.c", "e30.e30.e30", "\u{fffd}.x.y", &"a".repeat(40_000)] {
        assert!(open(text, &keys()).is_err(), "{text}");
    }
}
