//! The search language accepts what MLflow accepts and refuses what it refuses: every text of `search_language.json`, which
//! `search_language.py` writes by asking MLflow's own stores.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;

use super::API;
use crate::server::Server;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Accepted,
    Rejected,
    /// MLflow answers 500; we refuse.
    Crashed,
}

/// By noun, then by field, then by text.
type Golden = BTreeMap<String, BTreeMap<String, BTreeMap<String, Outcome>>>;

/// Where we differ on purpose: the noun, the text, and whether we accept it.
const DIFFERENT: &[(&str, &str, bool)] = &[
    // Keywords have no case, not only in most places.
    ("experiments", "name like 'x'", true),
    ("experiments", "tags.t like 'x'", true),
    // A key may stand in quotes or backticks, and after its full prefix, wherever keys stand.
    ("runs", "\"metrics\".acc > 1", true),
    ("registered-models", "`name` = 'x'", true),
    ("registered-models", "`tags`.x = 'y'", true),
    ("registered-models", "\"name\"", true),
    ("registered-models", "attribute.name DESC", true),
    ("registered-models", "attribute.name", true),
    // What MLflow's other stores order models by.
    ("registered-models", "creation_timestamp DESC", true),
    ("registered-models", "creation_timestamp", true),
    // What a filter may name, an order may name.
    ("runs", "`Run Name` DESC", true),
    ("runs", "`Run Name`", true),
    ("runs", "`run name` ASC", true),
    ("runs", "`run name` DESC", true),
    ("runs", "`run name` Desc", true),
    ("runs", "`run name` asc", true),
    ("runs", "`run name` desc", true),
    ("runs", "`run name`", true),
    ("runs", "attributes.`run name` DESC", true),
    ("runs", "attributes.`run name`", true),
    // Without a key, or with blanks or quotes that would be part of it.
    ("runs", "metrics. > 1", false),
    ("runs", "metrics. acc > 1", false),
    ("runs", "tags.`a b`.c = 'x'", false),
    ("runs", "metrics. DESC", false),
    ("runs", "metrics.", false),
    // Python reads `'x' 'y'` as one text, and `()` as an empty list.
    ("runs", "run_id IN ('x' 'y')", false),
    ("logged-models", "name IN ()", false),
    // A text needs its quotes here too.
    ("logged-models", "params.x = y", false),
    ("logged-models", "status = 1", false),
    // Keywords have no case here either.
    ("traces", "span.attributes.a like 'x'", true),
    ("traces", "span.attributes.a.b like 'x'", true),
    ("traces", "span.content like 'x'", true),
    ("traces", "span.name like 'x'", true),
    ("traces", "span.name rlike 'x'", true),
    ("traces", "span.status like 'x'", true),
    ("traces", "span.status rlike 'x'", true),
    ("traces", "span.type like 'x'", true),
    ("traces", "span.type rlike 'x'", true),
    // A number is compared with a number.
    ("traces", "end_time != 'x'", false),
    ("traces", "end_time = 'x'", false),
    ("traces", "end_time > 'x'", false),
    ("traces", "end_time_ms != 'x'", false),
    ("traces", "end_time_ms = 'x'", false),
    ("traces", "end_time_ms > 'x'", false),
    ("traces", "execution_time != 'x'", false),
    ("traces", "execution_time = 'x'", false),
    ("traces", "execution_time > 'x'", false),
    ("traces", "execution_time_ms != 'x'", false),
    ("traces", "execution_time_ms = 'x'", false),
    ("traces", "execution_time_ms > 'x'", false),
    ("traces", "timestamp_ms != 'x'", false),
    ("traces", "timestamp_ms = 'x'", false),
    ("traces", "timestamp_ms > 'x'", false),
    // An expression must be one; an issue has an id; a key of an attribute is plain; attributes are looked up in JSON, where no expression fits.
    ("traces", "name RLIKE '('", false),
    ("traces", "issue.name = 'x'", false),
    ("traces", "span.attributes.`a b` = 'x'", false),
    ("traces", "span.attributes.a RLIKE '^x.*'", false),
    ("traces", "span.attributes.a.b RLIKE '^x.*'", false),
];

#[tokio::test]
async fn every_text_is_accepted_or_refused_as_mlflow_does() {
    let server = Server::start().await;
    let golden: Golden = serde_json::from_str(include_str!("search_language.json")).unwrap();
    let (mut asked, mut wrong) = (0, Vec::new());
    for (noun, fields) in &golden {
        for (field, texts) in fields {
            for (text, outcome) in texts {
                let known = DIFFERENT.iter().find(|(place, other, _)| *place == noun && other == text);
                let expect = known.map_or(*outcome == Outcome::Accepted, |(_, _, accepted)| *accepted);
                let (status, answer) = search(&server, noun, field, text).await;
                asked += 1;
                if status != if expect { 200 } else { 400 } {
                    wrong.push(format!(
                        "{noun} {field} {text:?}: MLflow {outcome:?}, we {status} {}",
                        answer["message"]
                    ));
                }
            }
        }
    }
    assert!(asked > 1_000, "{asked}");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}

async fn search(server: &Server, noun: &str, field: &str, text: &str) -> (u16, serde_json::Value) {
    let request = match noun {
        "traces" => {
            let place = serde_json::json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}});
            let value = if field == "filter" { text.into() } else { serde_json::json!([text]) };
            let body = serde_json::json!({"locations": [place], field: value});
            server.request(Method::POST, &format!("{API}/traces/search")).json(&body)
        }
        "runs" | "logged-models" => {
            let value = if field == "filter" { text.into() } else { serde_json::json!([text]) };
            let body = serde_json::json!({"experiment_ids": ["0"], field: value});
            server.request(Method::POST, &format!("{API}/{noun}/search")).json(&body)
        }
        _ => {
            server.request(Method::GET, &format!("{API}/{noun}/search")).query(&[("max_results", "10"), (field, text)])
        }
    };
    server.send(request).await
}
