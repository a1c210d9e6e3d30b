//! An OpenID Connect provider that vouches for people: found by its discovery page, asked for its keys, and for the token of a sign-in.
//!
//! The provider is one that the configuration names, so it may be inside the own network; what it answers is bounded all the same: no
//! redirects, a deadline, a small body, and keys that are fetched anew at most twice a minute, whoever sends what.

use std::path::PathBuf;
use std::time::Duration;

use access::jws::{Jwk, Rejected};
use access::oidc::{Expected, Rule};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use kernel::clock::Clock;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::Digest as _;
use tokio::sync::Mutex;

/// How long an answer may take, and how large it may be, bytes.
const ANSWER: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1 << 20;
/// How long what the provider says of itself is taken as it was.
const FRESH_US: i64 = 3_600_000_000;
/// How long after keys were fetched they are not fetched again.
const KEYS_REST_US: i64 = 30_000_000;

/// What the configuration says of a provider.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its address, exactly as it names itself.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// Where the secret is that proves it; none for a public client.
    pub secret_file: Option<PathBuf>,
    /// What is asked for; `openid` always is.
    pub scopes: Vec<String>,
    /// The claim that becomes the name of a user.
    pub user_claim: String,
    /// The claim that roles are read from.
    pub role_claim: String,
    /// What its values give.
    pub rules: Vec<Rule>,
}

/// Why nobody could be signed in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the provider is not one that is called.
    #[error("`{0}` is not the address of a provider: it must be https, or http on this machine")]
    Address(String),
    /// The provider does not answer as it should.
    #[error("the provider at {url} answered {answer}")]
    Provider {
        /// Where it was asked.
        url: String,
        /// What came back.
        answer: String,
    },
    /// The token does not count.
    #[error(transparent)]
    Token(#[from] Rejected),
    /// A claim that is needed is not there.
    #[error("the token has no claim `{0}`")]
    NoClaim(String),
    /// The secret cannot be read.
    #[error("the client secret cannot be read: {0}")]
    Secret(String),
}

/// A provider.
#[derive(Debug)]
pub struct Provider {
    options: Options,
    http: reqwest::Client,
    clock: Clock,
    page: Mutex<Option<(Page, i64)>>,
    keys: Mutex<Option<(Vec<Jwk>, i64)>>,
}

/// What a provider says of itself.
#[derive(Clone, Debug, Deserialize)]
struct Page {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

/// What is sent along to the provider, and what must fit it when the browser comes back.
#[derive(Clone, Debug)]
pub struct Challenge<'c> {
    /// Names the sign-in.
    pub state: &'c str,
    /// Must come back in the token.
    pub nonce: &'c str,
    /// Proves later that it was us who asked.
    pub verifier: &'c str,
    /// Where the browser comes back to.
    pub redirect_uri: &'c str,
}

impl Provider {
    /// A provider; it is not asked for anything yet.
    pub fn new(options: Options, clock: Clock) -> Result<Self, Error> {
        address(&options.issuer)?;
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(ANSWER);
        let http = builder.build().map_err(|error| unanswered(&options.issuer, &error))?;
        Ok(Self { options, http, clock, page: Mutex::default(), keys: Mutex::default() })
    }

    /// What the configuration says.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Where a browser is sent to sign in.
    pub async fn authorize_url(&self, challenge: &Challenge<'_>) -> Result<String, Error> {
        let page = self.page().await?;
        let mut url = address(&page.authorization_endpoint)?;
        let digest = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(challenge.verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.options.client_id)
            .append_pair("redirect_uri", challenge.redirect_uri)
            .append_pair("scope", &self.options.scopes.join(" "))
            .append_pair("state", challenge.state)
            .append_pair("nonce", challenge.nonce)
            .append_pair("code_challenge", &digest)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// The claims of the token that a code is worth.
    pub async fn redeem(&self, code: &str, challenge: &Challenge<'_>) -> Result<Map<String, Value>, Error> {
        let page = self.page().await?;
        let token = self.exchange(&page, code, challenge).await?;
        let now_s = self.clock.now_us() / 1_000_000;
        let Options { issuer, client_id, .. } = &self.options;
        let expected = Expected { issuer, client_id, nonce: challenge.nonce, now_s };
        match access::oidc::verify(&token, &self.keys(&page, false).await?, expected) {
            // The provider may have new keys.
            Err(Rejected::UnknownKey) => Ok(access::oidc::verify(&token, &self.keys(&page, true).await?, expected)?),
            claims => Ok(claims?),
        }
    }

    async fn exchange(&self, page: &Page, code: &str, challenge: &Challenge<'_>) -> Result<String, Error> {
        let secret = match &self.options.secret_file {
            Some(path) => {
                let text = tokio::fs::read_to_string(path).await;
                Some(text.map_err(|error| Error::Secret(format!("{}: {error}", path.display())))?.trim().to_owned())
            }
            None => None,
        };
        let methods = &page.token_endpoint_auth_methods_supported;
        let by_body = !methods.is_empty() && !methods.iter().any(|method| method == "client_secret_basic");
        let mut form = address("https://form/")?;
        form.query_pairs_mut()
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", challenge.redirect_uri)
            .append_pair("client_id", &self.options.client_id)
            .append_pair("code_verifier", challenge.verifier);
        let mut request = self.http.post(address(&page.token_endpoint)?);
        match secret {
            Some(secret) if by_body => {
                form.query_pairs_mut().append_pair("client_secret", &secret);
            }
            Some(secret) => {
                let pair = format!("{}:{}", encoded(&self.options.client_id), encoded(&secret));
                request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
            None => {}
        }
        let body = form.query().unwrap_or_default().to_owned();
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let tokens: Tokens = json(&page.token_endpoint, request).await?;
        tokens.id_token.ok_or_else(|| Error::NoClaim("id_token".to_owned()))
    }

    async fn page(&self) -> Result<Page, Error> {
        let mut known = self.page.lock().await;
        let now_us = self.clock.now_us();
        if let Some((page, at_us)) = &*known
            && now_us - at_us < FRESH_US
        {
            return Ok(page.clone());
        }
        let url = format!("{}/.well-known/openid-configuration", self.options.issuer.trim_end_matches('/'));
        let page: Page = json(&url, self.http.get(address(&url)?)).await?;
        if page.issuer != self.options.issuer {
            let answer = format!("that it is `{}`, and the configuration says `{}`", page.issuer, self.options.issuer);
            return Err(Error::Provider { url, answer });
        }
        for endpoint in [&page.authorization_endpoint, &page.token_endpoint, &page.jwks_uri] {
            address(endpoint)?;
        }
        *known = Some((page.clone(), now_us));
        Ok(page)
    }

    async fn keys(&self, page: &Page, anew: bool) -> Result<Vec<Jwk>, Error> {
        let mut known = self.keys.lock().await;
        let now_us = self.clock.now_us();
        if let Some((keys, at_us)) = &*known
            && now_us - at_us < if anew { KEYS_REST_US } else { FRESH_US }
        {
            return Ok(keys.clone());
        }
        let set: KeySet = json(&page.jwks_uri, self.http.get(address(&page.jwks_uri)?)).await?;
        // One key that cannot be read does not hide the others.
        let keys: Vec<Jwk> = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        *known = Some((keys.clone(), now_us));
        Ok(keys)
    }
}

/// An address that is called: https, or http on this machine.
fn address(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::Address(text.to_owned()))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let fine = url.scheme() == "https" && !host.is_empty() || url.scheme() == "http" && here;
    fine.then_some(url).ok_or_else(|| Error::Address(text.to_owned()))
}

/// As RFC 6749 wants ids and secrets written in a header.
fn encoded(text: &str) -> String {
    let url = Url::parse_with_params("https://form/", [("v", text)]);
    url.ok().and_then(|url| Some(url.query()?.strip_prefix("v=")?.to_owned())).unwrap_or_default()
}

fn unanswered(url: &str, error: &reqwest::Error) -> Error {
    Error::Provider { url: url.to_owned(), answer: format!("nothing: {error}") }
}

async fn json<T: DeserializeOwned>(url: &str, request: reqwest::RequestBuilder) -> Result<T, Error> {
    let mut response =
        request.header("accept", "application/json").send().await.map_err(|error| unanswered(url, &error))?;
    let failed = |answer: String| Error::Provider { url: url.to_owned(), answer };
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(url, &error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(failed("more than a megabyte".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        let said =
            serde_json::from_slice::<Value>(&body).ok().and_then(|body| Some(body["error"].as_str()?.to_owned()));
        return Err(failed(said.map_or_else(|| status.to_string(), |said| format!("{status}: {said}"))));
    }
    serde_json::from_slice(&body).map_err(|error| failed(format!("what is not expected: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_called_over_tls_or_on_this_machine() {
        for fine in ["https://id.example/realm", "http://127.0.0.1:8080", "http://localhost/x", "http://[::1]:1"] {
            assert!(address(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "http://id.example",
            "ftp://localhost",
            "id.example",
            "file:///etc/passwd",
            "http://127.0.0.1.evil.example",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        assert_eq!(encoded("a b:c&d"), "a+b%3Ac%26d");
    }
}
