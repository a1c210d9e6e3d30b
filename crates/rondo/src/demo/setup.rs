//! What a team would set up once: the policy, the deployment, the monitor, the pipeline; and the first model.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kernel::clock::DAY_US;
use monitoring::rule::Rule;
use serde_json::{Value, json};

use super::api::Api;
use super::flights::START_US;
use super::house::{Folder, PIPELINE};
use super::progress::{self, Step};
use super::{NAME, replay};

const WEEK_US: i64 = 7 * DAY_US;

/// Makes what is not there yet; all of it may be sent again.
pub(super) async fn furnish(api: &Api, folder: &Folder, share: u32) -> anyhow::Result<()> {
    // A promotion needs a passing verdict, and the verdict is enough.
    api.put(&format!("/api/v1/models/{NAME}/policy"), &json!({ "mode": "required", "approve": "auto" })).await?;
    let pointer = format!("models:/{NAME}/Production");
    api.put(&format!("/api/v1/deployments/{NAME}"), &json!({ "pointer": pointer })).await?;
    // Weeks from the first day of the replay on. The rules are those that are shipped, but for two: the weather of a week is never
    // that of a season, and there are no gusts to be told of when there is no wind. How far the inputs drifted is recorded all the same.
    let shipped =
        Rule::defaults().into_iter().filter(|rule| !["feature-drift", "missing-values"].contains(&rule.name.as_str()));
    let rules: Vec<Rule> = shipped.collect();
    let monitor = json!({
        "deployment": NAME, "window_us": WEEK_US, "offset_us": START_US.rem_euclid(WEEK_US), "start_us": START_US,
        "outcome_delay_us": DAY_US, "rules": rules,
    });
    api.put(&format!("/api/v1/monitors/{NAME}"), &monitor).await?;
    let definition = PIPELINE.replace("share = 100", &format!("share = {share}"));
    let pipeline = json!({ "definition": definition, "dir": folder.demo() });
    api.put(&format!("/api/v1/pipelines/{NAME}"), &pipeline).await?;
    Ok(())
}

/// Runs the pipeline by hand once and waits until the deployment answers.
pub(super) async fn first_model(api: &Api, folder: &Folder) -> anyhow::Result<()> {
    let step = progress::step("first model");
    let start = json!({ "key": "first", "reason": "the first model" });
    let started = api.post(&format!("/api/v1/pipelines/{NAME}/runs"), start.to_string()).await?;
    let run_id = started["run_id"].as_str().context("the id of the run")?;
    let run = finished(api, run_id, &step).await?;
    if run["state"] != json!("succeeded") {
        let error = run["error"].as_str().unwrap_or("it was stopped");
        bail!("the first training failed: {error} (its logs are in {})", folder.data().join("pipelines").display());
    }
    step.note("opening and deploying the model");
    replay::rest(api).await?;
    let deployment = api.get(&format!("/api/v1/deployments/{NAME}")).await?;
    let Some(version) = deployment["version"].as_str() else {
        bail!(
            "the first model is not live: {}",
            deployment["failure"].as_str().unwrap_or("no version is in Production")
        );
    };
    let trained = if started["fresh"] == json!(true) { "trained on January and February, " } else { "is there, " };
    step.done(format!("{trained}version {version} is live"));
    Ok(())
}

/// Waits for the end of a run, showing which step it is at.
async fn finished(api: &Api, run_id: &str, step: &Step) -> anyhow::Result<Value> {
    loop {
        let run = api.get(&format!("/api/v1/pipeline-runs/{run_id}")).await?;
        if !matches!(run["state"].as_str(), Some("pending" | "running")) {
            return Ok(run);
        }
        let steps = run["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(at) = steps.iter().find(|one| one["state"] == json!("running")) {
            let what = match at["name"].as_str() {
                Some("prepare") => "preparing a year of flights",
                Some("fetch") => "gathering the rows to learn from",
                _ => "training on January and February",
            };
            step.note(what);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
