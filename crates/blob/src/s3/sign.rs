//! Links for anything that S3 can do, signed in their query (AWS Signature Version 4): `object_store` signs only links to whole objects.

use std::time::Duration;

use hmac::{Hmac, Mac as _};
use object_store::aws::AwsCredential;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// What a canonical query leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is signed.
pub(crate) struct Link<'a> {
    /// Of the request.
    pub(crate) method: &'a str,
    /// Scheme, host and path of the object, encoded as it will be sent; a query is cut off.
    pub(crate) url: &'a str,
    /// What the query says beside the signature.
    pub(crate) query: &'a [(&'a str, String)],
    /// How long it may be used.
    pub(crate) time: Duration,
}

/// The link, signed at `now_us` (microseconds since the epoch).
pub(crate) fn sign(link: &Link<'_>, credential: &AwsCredential, region: &str, now_us: i64) -> String {
    let url = link.url.split('?').next().unwrap_or_default();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let stamp: String = kernel::clock::rfc3339(now_us).chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let (day, stamp) = (stamp.get(..8).unwrap_or_default(), format!("{}Z", stamp.get(..15).unwrap_or_default()));
    let scope = format!("{day}/{region}/s3/aws4_request");
    let mut query: Vec<(&str, String)> = link.query.to_vec();
    query.push(("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()));
    query.push(("X-Amz-Credential", format!("{}/{scope}", credential.key_id)));
    query.push(("X-Amz-Date", stamp.clone()));
    query.push(("X-Amz-Expires", link.time.as_secs().to_string()));
    query.push(("X-Amz-SignedHeaders", "host".to_owned()));
    query.extend(credential.token.iter().map(|token| ("X-Amz-Security-Token", token.clone())));
    query.sort();
    let query: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, PLAIN))).collect();
    let query = query.join("&");
    let canonical = format!("{}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD", link.method);
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = [day, region, "s3", "aws4_request"]
        .iter()
        .fold(format!("AWS4{}", credential.secret_key).into_bytes(), |key, text| keyed(&key, text));
    format!("{url}?{query}&X-Amz-Signature={}", hex(&keyed(&key, &to_sign)))
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        // HMAC takes keys of any length.
        Err(_) => Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of "Authenticating Requests: Using Query Parameters" in the reference of Amazon S3.
    #[test]
    fn a_link_is_signed_as_the_reference_says() {
        let credential = AwsCredential {
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        let url = "https://examplebucket.s3.amazonaws.com/test.txt";
        let link = Link { method: "GET", url, query: &[], time: Duration::from_hours(24) };
        let at = kernel::clock::parse_us("2013-05-24T00:00:00Z").unwrap();
        let signed = sign(&link, &credential, "us-east-1", at);
        assert!(
            signed.ends_with("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
            "{signed}"
        );
        assert!(
            signed.starts_with(&format!("{url}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA")),
            "{signed}"
        );
    }
}
