//! `rondo user`.

use std::io::Read as _;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Session, show};
use crate::cli::User;
use crate::client::segment;
use crate::term;

pub(crate) async fn run(session: &Session, what: User) -> anyhow::Result<()> {
    match what {
        User::List => list(session).await,
        User::Create { name, role, password_stdin } => {
            let new = json!({ "name": name, "role": role, "password": password(password_stdin)? });
            let answer = session.client.send(Method::POST, "/api/v1/users", &new).await?;
            let next = if password_stdin {
                String::new()
            } else {
                format!("; make a token with `rondo token create {name}-1 --role {role} --user {name}`")
            };
            tell(session, &answer, format!("{name} is {role}{next}"))
        }
        User::Set { name, role, password_stdin } => {
            let mut change = serde_json::Map::new();
            change.extend(role.map(|role| ("role".to_owned(), json!(role))));
            change.extend(password(password_stdin)?.map(|password| ("password".to_owned(), json!(password))));
            if change.is_empty() {
                return Err(term::hinted("there is nothing to change", "give --role, --password-stdin or both"));
            }
            let path = format!("/api/v1/users/{}", segment(&name));
            let answer = session.client.send(Method::PATCH, &path, &change).await?;
            tell(session, &answer, format!("{name} is {}", show::cell(&answer["role"])))
        }
        User::Delete { name } => {
            let path = format!("/api/v1/users/{}", segment(&name));
            let answer = session.client.send(Method::DELETE, &path, &json!({})).await?;
            tell(session, &answer, format!("{name} is gone, and its tokens with it"))
        }
        User::Me => me(session).await,
    }
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/api/v1/users").await?;
    if session.json {
        return term::json(&answer);
    }
    let fields = ["name", "role", "has_password", "created_us", "created_by"];
    term::table(&["name", "role", "password", "created", "by"], &show::rows(&answer["users"], &fields));
    Ok(())
}

async fn me(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/api/v1/me").await?;
    let text = if answer["authenticates"] == json!(true) {
        let field = |name: &str| show::cell(&answer[name]);
        format!("{} ({}): {}", field("principal"), field("role"), field("permissions"))
    } else {
        format!("{}; the server asks nobody who calls", show::cell(&answer["principal"]))
    };
    tell(session, &answer, text)
}

/// A password from standard input, without its line end. It never stands in the command, which others could see.
fn password(asked: bool) -> anyhow::Result<Option<String>> {
    if !asked {
        return Ok(None);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("the password cannot be read from standard input")?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn tell(session: &Session, answer: &Value, text: String) -> anyhow::Result<()> {
    if session.json {
        return term::json(answer);
    }
    term::line(text);
    Ok(())
}
