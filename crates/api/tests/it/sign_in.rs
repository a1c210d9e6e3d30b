//! Signing in with a browser: at a provider that can lie, with a password, with a token; what the session opens, and how it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use access::user::PasswordHash;
use access::{Permission, Role, Secret};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use conductor::house::SignIn;
use conductor::oidc::{Options, Provider};
use kernel::ctx::{Ctx, Principal};
use reqwest::Method;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::server::Server;

const CLIENT: &str = "rondo-test";

/// How the provider lies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    Claim(&'static str, i64),
    Unsigned,
    SharedSecret,
    OtherKey,
    Changed,
}

/// A provider with a key of its own, which signs what it is told to.
struct Fake {
    issuer: String,
    key: Mutex<(String, Ed25519KeyPair)>,
    lie: Mutex<Lie>,
    nonce: Mutex<String>,
    challenge: Mutex<String>,
    subject: Mutex<(String, String, Vec<String>)>,
    fetched: Mutex<usize>,
}

fn new_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap()
}

impl Fake {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Arc::new(Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            key: Mutex::new(("k1".to_owned(), new_key())),
            lie: Mutex::new(Lie::None),
            nonce: Mutex::default(),
            challenge: Mutex::default(),
            subject: Mutex::new(("s-1".to_owned(), "ada".to_owned(), vec!["ml".to_owned()])),
            fetched: Mutex::default(),
        });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&fake));
        kernel::task::spawn("fake-provider", async move { axum::serve(listener, routes).await.unwrap() });
        fake
    }

    fn rotate(&self, kid: &str) {
        *self.key.lock().unwrap() = (kid.to_owned(), new_key());
    }

    fn jwk(&self) -> Value {
        let key = self.key.lock().unwrap();
        json!({"kty": "OKP", "crv": "Ed25519", "kid": key.0, "x": URL_SAFE_NO_PAD.encode(key.1.public_key())})
    }

    fn token(&self) -> String {
        let lie = *self.lie.lock().unwrap();
        let (subject, name, groups) = self.subject.lock().unwrap().clone();
        let now = kernel::clock::Clock::system().now_us() / 1_000_000;
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "sub": subject, "exp": now + 300, "iat": now,
            "nonce": *self.nonce.lock().unwrap(), "preferred_username": name, "groups": groups,
        });
        if let Lie::Claim(claim, by) = lie {
            claims[claim] = match claim {
                "exp" | "iat" => json!(now + by),
                _ => json!("somebody-else"),
            };
        }
        let key = self.key.lock().unwrap();
        let header = match lie {
            Lie::Unsigned => json!({"alg": "none"}),
            Lie::SharedSecret => json!({"alg": "HS256", "kid": key.0}),
            _ => json!({"alg": "EdDSA", "kid": key.0}),
        };
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", text(&header), text(&claims));
        let signature = match lie {
            Lie::Unsigned => Vec::new(),
            // The public key as the secret of an HMAC.
            Lie::SharedSecret => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.1.public_key().as_ref());
                ring::hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            Lie::OtherKey => new_key().sign(signed.as_bytes()).as_ref().to_vec(),
            _ => key.1.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        if lie == Lie::Changed {
            claims["preferred_username"] = json!("root");
            return format!("{}.{}.{}", text(&header), text(&claims), URL_SAFE_NO_PAD.encode(signature));
        }
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

async fn answer(State(fake): State<Arc<Fake>>, uri: axum::http::Uri, headers: HeaderMap, body: String) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", fake.issuer);
    Json(match uri.path() {
        "/.well-known/openid-configuration" => json!({
            "issuer": fake.issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"),
        }),
        "/keys" => {
            *fake.fetched.lock().unwrap() += 1;
            json!({"keys": [{"kty": "XYZ", "n": 5}, fake.jwk()]})
        }
        _ => {
            let form: BTreeMap<String, String> =
                reqwest::Url::parse(&format!("http://x/?{body}")).unwrap().query_pairs().into_owned().collect();
            let digest = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
            let proven = URL_SAFE_NO_PAD.encode(digest) == *fake.challenge.lock().unwrap();
            let basic = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let known = basic == Some(format!("Basic {}", STANDARD.encode(format!("{CLIENT}:se+cret"))));
            if proven && known && form["code"] == "good" { json!({"id_token": fake.token()}) } else { json!({}) }
        }
    })
}

/// A server that knows the provider, and a browser that follows nothing by itself.
struct Stage {
    server: Server,
    fake: Arc<Fake>,
    browser: reqwest::Client,
}

/// What the browser got.
struct Got {
    status: u16,
    location: String,
    cookies: Vec<String>,
    text: String,
}

impl Stage {
    async fn set() -> Self {
        let (server, fake) = (Server::asking().await, Fake::start().await);
        let secret = server.folder("secret").join("client");
        std::fs::write(&secret, "se cret\n").unwrap();
        let options = Options {
            issuer: fake.issuer.clone(),
            client_id: CLIENT.to_owned(),
            secret_file: Some(secret),
            scopes: vec!["openid".to_owned()],
            user_claim: "preferred_username".to_owned(),
            role_claim: "groups".to_owned(),
            rules: access::oidc::read_rules("ml=editor, looks=viewer@team-a, boss=admin").unwrap(),
        };
        let provider = Some(Provider::new(options, server.house.clock.clone()).unwrap());
        server.house.set_sign_in(SignIn { provider, public_url: None });
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { server, fake, browser }
    }

    async fn get(&self, path: &str, cookie: Option<&str>) -> Got {
        let mut request = self.browser.get(format!("{}{path}", self.server.url));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.unwrap();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
        Got {
            status: answer.status().as_u16(),
            location: answer.headers().get("location").map(text).unwrap_or_default(),
            cookies: answer.headers().get_all("set-cookie").iter().map(text).collect(),
            text: answer.text().await.unwrap(),
        }
    }

    /// Begins a sign-in; the state and the cookie of the browser.
    async fn begin(&self, return_to: &str) -> (String, String) {
        let got = self.get(&format!("/auth/oidc/start?return={return_to}"), None).await;
        assert_eq!(got.status, 303, "{}", got.text);
        assert!(got.location.starts_with(&format!("{}/authorize?", self.fake.issuer)), "{}", got.location);
        let asked: BTreeMap<String, String> =
            reqwest::Url::parse(&got.location).unwrap().query_pairs().into_owned().collect();
        assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
        assert_eq!(asked["redirect_uri"], format!("{}/auth/oidc/callback", self.server.url));
        self.fake.nonce.lock().unwrap().clone_from(&asked["nonce"]);
        self.fake.challenge.lock().unwrap().clone_from(&asked["code_challenge"]);
        let cookie = &got.cookies[0];
        assert!(cookie.starts_with("rondo_sign_in=") && cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
        (asked["state"].clone(), pair(cookie))
    }

    async fn come_back(&self, state: &str, browser: &str) -> Got {
        self.get(&format!("/auth/oidc/callback?code=good&state={state}"), Some(browser)).await
    }

    async fn sign_in(&self) -> Got {
        let (state, browser) = self.begin("/%23/models").await;
        self.come_back(&state, &browser).await
    }

    async fn me(&self, cookie: &str) -> (u16, Value) {
        self.server.send(self.server.request(Method::GET, "/api/v1/me").header("cookie", cookie)).await
    }
}

fn pair(cookie: &str) -> String {
    cookie.split(';').next().unwrap().to_owned()
}

fn session(got: &Got) -> Option<String> {
    got.cookies.iter().map(|cookie| pair(cookie)).find(|pair| pair.starts_with("rondo_session=rondo_"))
}

#[tokio::test]
async fn whom_the_provider_vouches_for_has_a_session_with_the_roles_that_it_gives() {
    let stage = Stage::set().await;
    let ctx = Ctx::new(Principal::System("test"), 1);
    let make = move |tx: &mut db::Tx<'_>| access::workspace::create(tx, &ctx, "team-a", None);
    stage.server.house.db.write(make).await.unwrap();
    let got = stage.sign_in().await;
    assert_eq!((got.status, got.location.as_str()), (303, "/#/models"), "{}", got.text);
    let cookie = got.cookies.iter().find(|cookie| cookie.starts_with("rondo_session")).unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
    let (_, me) = stage.me(&session(&got).unwrap()).await;
    assert_eq!((&me["principal"], &me["role"]), (&json!("person:ada"), &json!("editor")), "{me}");
    assert_eq!((&me["workspace"], &me["workspaces"]), (&json!("default"), &json!(["default"])), "{me}");

    // The next time the groups are others; the session from before is the same person's.
    stage.fake.subject.lock().unwrap().2 = vec!["looks".to_owned()];
    let again = stage.sign_in().await;
    let (_, me) = stage.me(&session(&again).unwrap()).await;
    assert_eq!(
        (&me["workspace"], &me["role"], &me["workspaces"]),
        (&json!("team-a"), &json!("viewer"), &json!(["team-a"]))
    );
    let (_, me) = stage.me(&session(&got).unwrap()).await;
    assert_eq!(me["role"], "viewer", "{me}");

    // Without a role nobody comes in.
    stage.fake.subject.lock().unwrap().2 = vec!["strangers".to_owned()];
    let got = stage.sign_in().await;
    assert_eq!((got.status, session(&got)), (403, None), "{}", got.text);
    assert!(got.text.contains("`ada` has no role here"), "{}", got.text);
}

#[tokio::test]
async fn a_token_that_is_not_right_signs_nobody_in() {
    let stage = Stage::set().await;
    for (lie, told) in [
        (Lie::Claim("nonce", 0), "`nonce`"),
        (Lie::Claim("aud", 0), "`aud`"),
        (Lie::Claim("iss", 0), "`iss`"),
        (Lie::Claim("azp", 0), "`azp`"),
        (Lie::Claim("exp", -120), "`exp`"),
        (Lie::Claim("iat", 600), "`iat`"),
        (Lie::Unsigned, "signed with `none`"),
        (Lie::SharedSecret, "signed with `HS256`"),
        (Lie::OtherKey, "signature"),
        (Lie::Changed, "signature"),
    ] {
        *stage.fake.lie.lock().unwrap() = lie;
        let got = stage.sign_in().await;
        assert_eq!((got.status, session(&got)), (403, None), "{lie:?}: {}", got.text);
        assert!(got.text.contains(told), "{lie:?}: {}", got.text);
    }
    *stage.fake.lie.lock().unwrap() = Lie::None;
    assert!(session(&stage.sign_in().await).is_some());
}

#[tokio::test]
async fn a_state_counts_once_and_in_the_browser_that_began() {
    let stage = Stage::set().await;
    let (state, browser) = stage.begin("/").await;
    for (state, browser) in
        [("guess", browser.as_str()), (state.as_str(), "rondo_sign_in=another"), (state.as_str(), "x=y")]
    {
        let got = stage.come_back(state, browser).await;
        assert_eq!((got.status, session(&got)), (403, None), "{}", got.text);
    }
    assert!(session(&stage.come_back(&state, &browser).await).is_some());
    let replayed = stage.come_back(&state, &browser).await;
    assert_eq!((replayed.status, session(&replayed)), (403, None), "{}", replayed.text);
    let (state, browser) = stage.begin("/").await;
    let refused = stage.get(&format!("/auth/oidc/callback?error=access_denied&state={state}"), Some(&browser)).await;
    assert_eq!((refused.status, session(&refused)), (403, None));
    assert!(refused.text.contains("access_denied"), "{}", refused.text);
}

#[tokio::test]
async fn the_way_back_never_leads_elsewhere() {
    let stage = Stage::set().await;
    for place in
        ["//evil.example", "https://evil.example", "/%5Cevil.example", "%5C%5Cevil.example", "javascript:x", "%20/x"]
    {
        let (state, browser) = stage.begin(place).await;
        let got = stage.come_back(&state, &browser).await;
        assert_eq!((got.status, got.location.as_str()), (303, "/"), "{place}");
    }
}

#[tokio::test]
async fn a_user_of_this_server_is_not_taken_over_by_name() {
    let stage = Stage::set().await;
    let (ctx, hash) = (Ctx::new(Principal::System("test"), 1), PasswordHash::of("correct horse battery").unwrap());
    let make = move |tx: &mut db::Tx<'_>| access::user::create(tx, &ctx, "root", Role::Admin, Some(hash));
    stage.server.house.db.write(make).await.unwrap();
    *stage.fake.subject.lock().unwrap() = ("s-9".to_owned(), "root".to_owned(), vec!["ml".to_owned()]);
    let got = stage.sign_in().await;
    assert_eq!((got.status, session(&got)), (409, None), "{}", got.text);
    // Another person of the provider with the name of one who came before.
    *stage.fake.subject.lock().unwrap() = ("s-1".to_owned(), "ada".to_owned(), vec!["ml".to_owned()]);
    assert!(session(&stage.sign_in().await).is_some());
    *stage.fake.subject.lock().unwrap() = ("s-2".to_owned(), "ada".to_owned(), vec!["boss".to_owned()]);
    assert_eq!(stage.sign_in().await.status, 409);
}

#[tokio::test]
async fn keys_are_fetched_anew_when_one_is_unknown_but_not_for_everybody() {
    let stage = Stage::set().await;
    assert!(session(&stage.sign_in().await).is_some());
    stage.fake.rotate("k2");
    // Fetched a moment ago: not again, whoever asks.
    for _ in 0..3 {
        assert_eq!(stage.sign_in().await.status, 403);
    }
    assert_eq!(*stage.fake.fetched.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_password_and_a_token_make_a_session_that_ends() {
    let server = Server::asking().await;
    let (ctx, hash) = (Ctx::new(Principal::System("test"), 1), PasswordHash::of("correct horse battery").unwrap());
    let secret = Secret::random().unwrap();
    let token = secret.reveal().to_owned();
    let make = move |tx: &mut db::Tx<'_>| {
        access::user::create(tx, &ctx, "ada", Role::Editor, Some(hash))?;
        let new = access::token::NewToken {
            name: "ci".to_owned(),
            user: None,
            role: Role::Admin,
            scopes: vec![Permission::View],
            expires_us: None,
        };
        access::token::create(tx, &ctx, &new, &secret)
    };
    server.house.db.write(make).await.unwrap();
    for (proof, principal) in [
        (json!({"user": "ada", "password": "correct horse battery"}), "person:ada"),
        (json!({"token": token}), "service:ci"),
    ] {
        let request = server.request(Method::POST, "/api/v1/session").header("origin", &server.url).json(&proof);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let cookie = pair(answer.headers()["set-cookie"].to_str().unwrap());
        let with = |method: Method, path: &str| server.request(method, path).header("cookie", &cookie);
        let (_, me) = server.send(with(Method::GET, "/api/v1/me")).await;
        assert_eq!(me["principal"], principal, "{me}");
        if principal == "service:ci" {
            assert_eq!(me["permissions"], json!(["view"]), "a session may no more than its token");
        }
        // Browsers send the cookie by themselves: a change must come from a page of ours.
        let body = json!({"name": "e"});
        let create = || with(Method::POST, "/api/2.0/mlflow/experiments/create").json(&body);
        let (status, _) = server.send(create()).await;
        assert_eq!(status, 401, "no origin");
        let (status, _) = server.send(create().header("origin", "http://evil.example")).await;
        assert_eq!(status, 403, "another origin");
        let (status, _) =
            server.send(create().header("origin", &server.url).header("sec-fetch-site", "same-site")).await;
        assert_eq!(status, 401, "another page of the site");
        let own = server.send(create().header("origin", &server.url)).await;
        assert_eq!(own.0, if principal == "person:ada" { 200 } else { 403 }, "{own:?}");
        let ended = with(Method::DELETE, "/api/v1/session").header("origin", &server.url).send().await.unwrap();
        assert!(ended.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(server.send(with(Method::GET, "/api/v1/me")).await.0, 401);
    }
    let wrong = json!({"user": "ada", "password": "correct horse batterz"});
    let (status, answer) = server.post("/api/v1/session", &wrong).await;
    assert_eq!((status, &answer["error"]["kind"]), (401, &json!("unauthenticated")), "{answer}");
}
