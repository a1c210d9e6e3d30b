//! One configuration: `rondo.toml`, overridden by `RONDO_*` variables, overridden by flags; each value remembers its origin.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use conductor::house::SignIn;
use conductor::oidc;
use serde::Serialize;

use crate::term::hinted;

/// One setting: its name in `rondo.toml`, its variable, its default and what it means.
struct Setting {
    key: &'static str,
    variable: &'static str,
    default: &'static str,
    meaning: &'static str,
}

/// Everything that can be set. `docs/CONFIGURATION.md` is this table in prose, and a test holds them together.
const SETTINGS: [Setting; 24] = [
    Setting { key: "listen", variable: "RONDO_LISTEN", default: "127.0.0.1:5000", meaning: "address to listen on" },
    Setting {
        key: "auth",
        variable: "RONDO_AUTH",
        default: "off",
        meaning: "on: every request must prove who sends it; off is for loopback only",
    },
    Setting {
        key: "hosts",
        variable: "RONDO_HOSTS",
        default: "",
        meaning: "names under which the server is called beside those of this machine, separated by commas",
    },
    Setting {
        key: "public_url",
        variable: "RONDO_PUBLIC_URL",
        default: "",
        meaning: "the address under which browsers reach the server; empty is the one that they name, by http",
    },
    Setting {
        key: "oidc_issuer",
        variable: "RONDO_OIDC_ISSUER",
        default: "",
        meaning: "the OpenID Connect provider at which people sign in, exactly as it names itself",
    },
    Setting {
        key: "oidc_client_id",
        variable: "RONDO_OIDC_CLIENT_ID",
        default: "rondo",
        meaning: "who this server is to the provider",
    },
    Setting {
        key: "oidc_secret_file",
        variable: "RONDO_OIDC_SECRET_FILE",
        default: "",
        meaning: "the file that holds the client's secret; empty is a public client",
    },
    Setting {
        key: "oidc_scopes",
        variable: "RONDO_OIDC_SCOPES",
        default: "openid profile email",
        meaning: "what is asked of the provider, separated by spaces",
    },
    Setting {
        key: "oidc_user_claim",
        variable: "RONDO_OIDC_USER_CLAIM",
        default: "preferred_username",
        meaning: "the claim that becomes the name of a user",
    },
    Setting {
        key: "oidc_role_claim",
        variable: "RONDO_OIDC_ROLE_CLAIM",
        default: "groups",
        meaning: "the claim that roles are read from",
    },
    Setting {
        key: "oidc_roles",
        variable: "RONDO_OIDC_ROLES",
        default: "",
        meaning: "what its values give: VALUE=ROLE or VALUE=ROLE@WORKSPACE, separated by commas; * is everybody",
    },
    Setting {
        key: "data_dir",
        variable: "RONDO_DATA_DIR",
        default: "./rondo-data",
        meaning: "where everything is kept",
    },
    Setting {
        key: "database",
        variable: "RONDO_DATABASE",
        default: "",
        meaning: "database URL, sqlite:PATH or postgres://...; empty is SQLite in the data folder",
    },
    Setting {
        key: "artifacts",
        variable: "RONDO_ARTIFACTS",
        default: "",
        meaning: "where artifacts are kept, a folder or s3://BUCKET/PREFIX; empty is the data folder",
    },
    Setting {
        key: "server",
        variable: "RONDO_SERVER",
        default: "http://127.0.0.1:5000",
        meaning: "the server that the other commands talk to",
    },
    Setting {
        key: "user",
        variable: "RONDO_USER",
        default: "",
        meaning: "the name under which the commands act; empty is the name of the system's user",
    },
    Setting {
        key: "token",
        variable: "RONDO_TOKEN",
        default: "",
        meaning: "the token with which the commands prove who they are",
    },
    Setting {
        key: "workspace",
        variable: "RONDO_WORKSPACE",
        default: "",
        meaning: "the workspace in which the commands act; empty is that of the token",
    },
    Setting { key: "log", variable: "RONDO_LOG", default: "warn", meaning: "what is logged: a tracing filter" },
    Setting { key: "log_format", variable: "RONDO_LOG_FORMAT", default: "text", meaning: "text or json" },
    Setting {
        key: "predict_threads",
        variable: "RONDO_PREDICT_THREADS",
        default: "2",
        meaning: "threads for large prediction requests",
    },
    Setting {
        key: "pipeline_slots",
        variable: "RONDO_PIPELINE_SLOTS",
        default: "2",
        meaning: "pipeline steps that may run at once",
    },
    Setting {
        key: "failover",
        variable: "RONDO_FAILOVER",
        default: "10",
        meaning: "seconds within which another server of the same database takes over from one that died",
    },
    Setting {
        key: "webhook_private",
        variable: "RONDO_WEBHOOK_PRIVATE",
        default: "false",
        meaning: "whether webhooks may name private addresses and plain http",
    },
];

/// A value and where it comes from.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) origin: String,
    pub(crate) meaning: &'static str,
}

/// The settled configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    values: Vec<Entry>,
}

impl Config {
    /// Reads the file (the given one, else `rondo.toml` if it exists), the variables and the flags.
    pub(crate) fn load(file: Option<&Path>, flags: &[(&'static str, Option<String>)]) -> anyhow::Result<Self> {
        let variables: BTreeMap<String, String> =
            std::env::vars().filter(|(name, _)| name.starts_with("RONDO_")).collect();
        let default = Path::new("rondo.toml");
        let path = file.or_else(|| default.exists().then_some(default));
        let text = match path {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
            }
            None => String::new(),
        };
        Self::from_parts(path, &text, &variables, flags)
    }

    fn from_parts(
        path: Option<&Path>,
        text: &str,
        variables: &BTreeMap<String, String>,
        flags: &[(&'static str, Option<String>)],
    ) -> anyhow::Result<Self> {
        let shown = path.map(|path| path.display().to_string()).unwrap_or_default();
        let table: toml::Table = text.parse().with_context(|| format!("{shown} is not valid TOML"))?;
        let table = flat(table);
        for key in table.keys() {
            if !SETTINGS.iter().any(|setting| setting.key == key) {
                return Err(hinted(
                    format!("{shown}: `{key}` is not a setting"),
                    format!("the settings are {}", SETTINGS.map(|setting| setting.key).join(", ")),
                ));
            }
        }
        let values = SETTINGS.iter().map(|setting| {
            let flag = flags.iter().find(|(key, _)| *key == setting.key).and_then(|(_, value)| value.clone());
            let (value, origin) = if let Some(value) = flag {
                (value, format!("flag --{}", setting.key.replace('_', "-")))
            } else if let Some(value) = variables.get(setting.variable) {
                (value.clone(), format!("variable {}", setting.variable))
            } else if let Some(value) = table.get(setting.key) {
                (value.as_str().map_or_else(|| value.to_string(), str::to_owned), format!("file {shown}"))
            } else {
                (setting.default.to_owned(), "default".to_owned())
            };
            Entry { key: setting.key, value, origin, meaning: setting.meaning }
        });
        Ok(Self { values: values.collect() })
    }

    /// The name in the address under which browsers reach the server.
    pub(crate) fn public_host(&self) -> Option<String> {
        Some(reqwest::Url::parse(self.get("public_url")).ok()?.host_str()?.to_ascii_lowercase())
    }

    /// How people sign in with a browser.
    pub(crate) fn sign_in(&self, clock: &kernel::clock::Clock) -> anyhow::Result<SignIn> {
        let filled = |key| Some(self.get(key)).filter(|text| !text.is_empty()).map(str::to_owned);
        let public_url = filled("public_url").map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = public_url.as_deref()
            && !reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/")
        {
            return Err(hinted(format!("`public_url` is `{url}`"), "write https://HOST, without a path"));
        }
        let Some(issuer) = filled("oidc_issuer") else { return Ok(SignIn { provider: None, public_url }) };
        let rules = access::oidc::read_rules(self.get("oidc_roles")).map_err(|why| {
            hinted(format!("`oidc_roles`: {why}"), "write e.g. ml-admins=admin,team-a=editor@team-a,*=viewer")
        })?;
        if rules.is_empty() {
            let hint = "set `oidc_roles`, e.g. ml-admins=admin,*=viewer";
            return Err(hinted("nobody who signs in at the provider would have a role", hint));
        }
        let mut scopes: Vec<String> = self.get("oidc_scopes").split_whitespace().map(str::to_owned).collect();
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        let options = oidc::Options {
            issuer,
            client_id: self.get("oidc_client_id").to_owned(),
            secret_file: filled("oidc_secret_file").map(PathBuf::from),
            scopes,
            user_claim: self.get("oidc_user_claim").to_owned(),
            role_claim: self.get("oidc_role_claim").to_owned(),
            rules,
        };
        Ok(SignIn { provider: Some(oidc::Provider::new(options, clock.clone())?), public_url })
    }

    /// Every value with its origin; of a token only that there is one.
    pub(crate) fn values(&self) -> Vec<Entry> {
        let shown = |entry: &Entry| {
            let secret = entry.key == "token" && !entry.value.is_empty();
            let value = if secret { "(set)".to_owned() } else { entry.value.clone() };
            Entry { value, ..entry.clone() }
        };
        self.values.iter().map(shown).collect()
    }

    fn get(&self, key: &str) -> &str {
        self.values.iter().find(|value| value.key == key).map_or("", |value| &value.value)
    }

    fn parsed<T: std::str::FromStr>(&self, key: &'static str, wants: &str) -> anyhow::Result<T> {
        self.get(key).parse().map_err(|_| {
            let origin = self.values.iter().find(|value| value.key == key).map_or("", |value| &value.origin);
            hinted(format!("`{key}` is `{}` ({origin})", self.get(key)), format!("{key} must be {wants}"))
        })
    }

    /// Whether every request must prove who sends it.
    pub(crate) fn authenticates(&self) -> anyhow::Result<bool> {
        match self.get("auth") {
            "on" => Ok(true),
            "off" => Ok(false),
            other => Err(hinted(format!("`auth` is `{other}`"), "auth must be on or off")),
        }
    }

    /// Names under which the server is called.
    pub(crate) fn hosts(&self) -> anyhow::Result<Vec<String>> {
        let names = self.get("hosts").split(',').map(str::trim).filter(|name| !name.is_empty());
        let checked = names.map(|name| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if name.chars().all(plain) {
                return Ok(name.to_ascii_lowercase());
            }
            let hint = "hosts are bare names separated by commas, e.g. rondo.example,rondo";
            Err(hinted(format!("`{name}` in `hosts` is not the name of a host"), hint))
        });
        checked.collect()
    }

    /// The token with which the commands prove who they are.
    pub(crate) fn token(&self) -> Option<&str> {
        Some(self.get("token")).filter(|token| !token.is_empty())
    }

    /// The workspace in which the commands act, if it is not that of the token.
    pub(crate) fn workspace(&self) -> Option<&str> {
        Some(self.get("workspace")).filter(|name| !name.is_empty())
    }

    /// The address to listen on. Beyond loopback only if every request must prove who sends it.
    pub(crate) fn listen(&self) -> anyhow::Result<SocketAddr> {
        let text = self.get("listen").replace("localhost", "127.0.0.1");
        let address: SocketAddr = text.parse().map_err(|_| {
            hinted(
                format!("`{}` is not an address to listen on", self.get("listen")),
                "write HOST:PORT, e.g. 127.0.0.1:5000",
            )
        })?;
        if !address.ip().is_loopback() && !self.authenticates()? {
            return Err(hinted(
                format!("{address} is reachable from other machines, and nothing there would ask who calls"),
                "turn authentication on with `--auth on` (RONDO_AUTH=on), or listen on 127.0.0.1",
            ));
        }
        Ok(address)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        PathBuf::from(self.get("data_dir"))
    }

    /// The database URL; SQLite in the data folder unless another is named.
    pub(crate) fn database(&self) -> String {
        match self.get("database") {
            "" => format!("sqlite:{}", self.data_dir().join("rondo.db").display()),
            url => url.to_owned(),
        }
    }

    /// The folder or URL of the artifacts, if they are not in the data folder.
    pub(crate) fn artifacts(&self) -> Option<&str> {
        Some(self.get("artifacts")).filter(|url| !url.is_empty())
    }

    pub(crate) fn server(&self) -> &str {
        self.get("server").trim_end_matches('/')
    }

    /// The name under which the commands act.
    pub(crate) fn user(&self) -> String {
        match self.get("user") {
            "" => std::env::var("USER").unwrap_or_else(|_| "anonymous".to_owned()),
            name => name.to_owned(),
        }
    }

    pub(crate) fn log(&self) -> &str {
        self.get("log")
    }

    pub(crate) fn log_is_json(&self) -> bool {
        self.get("log_format") == "json"
    }

    pub(crate) fn predict_threads(&self) -> anyhow::Result<usize> {
        self.parsed("predict_threads", "a number of threads")
    }

    pub(crate) fn pipeline_slots(&self) -> anyhow::Result<usize> {
        self.parsed("pipeline_slots", "a number of steps")
    }

    pub(crate) fn failover(&self) -> anyhow::Result<Duration> {
        let seconds: u64 = self.parsed("failover", "a number of seconds")?;
        if !(1..=3_600).contains(&seconds) {
            return Err(hinted(format!("`failover` is {seconds}"), "failover must be 1 to 3600 seconds"));
        }
        Ok(Duration::from_secs(seconds))
    }

    pub(crate) fn webhook_private(&self) -> anyhow::Result<bool> {
        self.parsed("webhook_private", "true or false")
    }
}

/// Settings in a section `[oidc]` are those whose names begin with `oidc_`.
fn flat(table: toml::Table) -> toml::Table {
    let mut flat = toml::Table::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(section) => {
                flat.extend(section.into_iter().map(|(inner, value)| (format!("{key}_{inner}"), value)));
            }
            value => {
                flat.insert(key, value);
            }
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)], flag: Option<&str>) -> anyhow::Result<Config> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_parts(Some(Path::new("rondo.toml")), text, &variables, &[("listen", flag.map(str::to_owned))])
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
        let check = |text: &str, variables: &[(&str, &str)], flag: Option<&str>, value: &str, origin: &str| {
            let config = load(text, variables, flag).unwrap();
            assert_eq!((config.values[0].value.as_str(), config.values[0].origin.as_str()), (value, origin));
        };
        let file = "listen = '127.0.0.1:2'";
        let variable = [("RONDO_LISTEN", "127.0.0.1:3")];
        check("", &[], None, "127.0.0.1:5000", "default");
        check(file, &[], None, "127.0.0.1:2", "file rondo.toml");
        check(file, &variable, None, "127.0.0.1:3", "variable RONDO_LISTEN");
        check(file, &variable, Some("127.0.0.1:4"), "127.0.0.1:4", "flag --listen");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, expect: &str| {
            let error = load(text, &[], None).and_then(|config| config.listen()).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("lissten = 'x'", "`lissten` is not a setting");
        check("listen = ", "not valid TOML");
        check("listen = 'here'", "`here` is not an address");
        check("listen = '0.0.0.0:5000'", "reachable from other machines");
        check("listen = '[::]:5000'\nauth = 'off'", "reachable from other machines");
        check("listen = '0.0.0.0:5000'\nauth = 'yes'", "`auth` is `yes`");
    }

    #[test]
    fn whoever_authenticates_may_listen_everywhere() {
        let config = load("listen = '0.0.0.0:5000'\nauth = 'on'\nhosts = 'Rondo.example, rondo'", &[], None).unwrap();
        assert!(config.listen().is_ok() && config.authenticates().unwrap());
        assert_eq!(config.hosts().unwrap(), ["rondo.example", "rondo"]);
        let odd = load("hosts = 'http://rondo.example'", &[], None).unwrap();
        assert!(odd.hosts().unwrap_err().to_string().contains("is not the name of a host"));
    }

    #[test]
    fn a_token_is_never_shown() {
        let config = load("", &[("RONDO_TOKEN", "rondo_secret")], None).unwrap();
        assert_eq!(config.token(), Some("rondo_secret"));
        assert!(config.values().iter().all(|entry| !entry.value.contains("secret")));
        assert!(config.values().iter().any(|entry| entry.key == "token" && entry.value == "(set)"));
    }

    #[test]
    fn the_reference_page_names_every_setting() {
        let page = include_str!("../../../docs/CONFIGURATION.md");
        for setting in &SETTINGS {
            assert!(page.contains(&format!("`{}`", setting.key)) && page.contains(setting.variable), "{}", setting.key);
        }
    }
}
