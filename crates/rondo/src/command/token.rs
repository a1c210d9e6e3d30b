//! `rondo token`.

use kernel::clock::{Clock, DAY_US, rfc3339};
use reqwest::Method;
use serde_json::json;

use super::{Session, show};
use crate::cli::Token;
use crate::client::segment;
use crate::term;

pub(crate) async fn run(session: &Session, what: Token) -> anyhow::Result<()> {
    match what {
        Token::List => list(session).await,
        Token::Create { name, role, user, scopes, days } => {
            let expires = days.map(|days| rfc3339(Clock::system().now_us() + days * DAY_US));
            let new = json!({ "name": name, "role": role, "user": user, "scopes": scopes, "expires": expires });
            let answer = session.client.send(Method::POST, "/api/v1/tokens", &new).await?;
            if session.json {
                return term::json(&answer);
            }
            term::note(format!("the token {name} is shown only now; keep it where secrets are kept"));
            term::line(show::cell(&answer["secret"]));
            Ok(())
        }
        Token::Revoke { token } => {
            let path = format!("/api/v1/tokens/{}", segment(&token));
            let answer = session.client.send(Method::DELETE, &path, &json!({})).await?;
            if session.json {
                return term::json(&answer);
            }
            term::line(format!("the token {} opens nothing any more", show::cell(&answer["name"])));
            Ok(())
        }
    }
}

async fn list(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/api/v1/tokens").await?;
    if session.json {
        return term::json(&answer);
    }
    let fields = ["name", "role", "user", "scopes", "expires_us", "last_used_us", "revoked_us", "id"];
    term::table(&show::headings(&fields), &show::rows(&answer["tokens"], &fields));
    Ok(())
}
