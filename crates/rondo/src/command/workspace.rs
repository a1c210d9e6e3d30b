//! `rondo workspace` and `rondo member`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Session, show};
use crate::cli::{Member, Workspace};
use crate::client::segment;
use crate::term;

pub(crate) async fn run(session: &Session, what: Workspace) -> anyhow::Result<()> {
    match what {
        Workspace::List => {
            let answer = session.client.get("/api/v1/workspaces").await?;
            let fields = ["name", "description", "created_us", "created_by"];
            table(session, &answer, "workspaces", &fields)
        }
        Workspace::Create { name, description } => {
            let new = json!({ "name": name, "description": description });
            let answer = session.client.send(Method::POST, "/api/v1/workspaces", &new).await?;
            tell(session, &answer, &format!("{name} is there; enter it with --workspace {name} or MLFLOW_WORKSPACE"))
        }
        Workspace::Describe { name, description } => {
            let change = json!({ "description": description });
            let answer = session.client.send(Method::PATCH, &path("workspaces", &name), &change).await?;
            tell(session, &answer, &format!("{name}: {description}"))
        }
        Workspace::Delete { name } => {
            let answer = session.client.send(Method::DELETE, &path("workspaces", &name), &json!({})).await?;
            tell(session, &answer, &format!("{name} is gone, and its tokens with it"))
        }
    }
}

pub(crate) async fn members(session: &Session, what: Member) -> anyhow::Result<()> {
    match what {
        Member::List => {
            let answer = session.client.get("/api/v1/members").await?;
            table(session, &answer, "members", &["user", "role", "created_us", "created_by"])
        }
        Member::Set { user, role } => {
            let answer = session.client.send(Method::PUT, &path("members", &user), &json!({ "role": role })).await?;
            tell(session, &answer, &format!("{user} is {role} here"))
        }
        Member::Remove { user } => {
            let answer = session.client.send(Method::DELETE, &path("members", &user), &json!({})).await?;
            tell(session, &answer, &format!("{user} is nothing here any more"))
        }
    }
}

fn path(noun: &str, name: &str) -> String {
    format!("/api/v1/{noun}/{}", segment(name))
}

fn table(session: &Session, answer: &Value, noun: &str, fields: &[&str]) -> anyhow::Result<()> {
    if session.json {
        return term::json(answer);
    }
    term::table(&show::headings(fields), &show::rows(&answer[noun], fields));
    Ok(())
}

fn tell(session: &Session, answer: &Value, text: &str) -> anyhow::Result<()> {
    if session.json {
        return term::json(answer);
    }
    term::line(text);
    Ok(())
}
