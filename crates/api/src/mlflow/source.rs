//! Where the files of a new version are.
//!
//! A client names a source in several ways; the registry wants the place itself. A source must belong to the run or the logged
//! model that the request names, so that nobody registers files of somebody else under a run that did not make them.

use db::Tx;
use kernel::ctx::Ctx;
use registry::model;
use registry::tag::IS_PROMPT;
use registry::version::{self, Version};
use tracking::{logged_model, run};

use super::Error;

/// What a client says of a new version.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) source: String,
    pub(super) run_id: Option<String>,
    pub(super) model_id: Option<String>,
    pub(super) is_prompt: bool,
}

/// Where it really comes from.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) source: String,
    pub(super) location: String,
    pub(super) run_id: Option<String>,
    pub(super) model_id: Option<String>,
}

/// Schemes of stores that clients read themselves.
const ELSEWHERE: [&str; 9] = ["s3", "gs", "wasb", "wasbs", "abfs", "abfss", "dbfs", "hdfs", "viewfs"];

/// The texts that stand for the source of a prompt, which has no files.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];

/// Finds the place; an error if the source does not belong to what the claim names.
pub(super) fn resolve(tx: &mut Tx<'_>, ctx: &Ctx, claim: Claim) -> Result<Origin, Error> {
    if claim.is_prompt {
        return prompt(claim);
    }
    let Some((scheme, rest)) = claim.source.split_once(':') else {
        return Err(local(&claim));
    };
    match scheme {
        "models" => match logged_model_id(rest) {
            Some(model_id) => from_logged_model(tx, ctx, model_id.to_owned(), claim),
            None => from_version(tx, ctx, claim),
        },
        "runs" => from_run(tx, ctx, claim),
        "mlflow-artifacts" => from_artifacts(tx, ctx, claim),
        other if ELSEWHERE.contains(&other) => from_elsewhere(claim),
        "file" => Err(local(&claim)),
        _ => Err(Error::invalid(format!(
            "Invalid model version source: '{}'. Name a run (runs:/RUN_ID/PATH), a logged model (models:/MODEL_ID), a version \
             (models:/NAME/VERSION), or a place in an artifact store.",
            claim.source
        ))),
    }
}

fn prompt(claim: Claim) -> Result<Origin, Error> {
    if !PROMPT_SOURCES.contains(&claim.source.as_str()) {
        return Err(Error::invalid(format!(
            "Invalid prompt source: '{}'. Prompt sources must use an MLflow placeholder.",
            claim.source
        )));
    }
    let Claim { source, run_id, model_id, .. } = claim;
    Ok(Origin { location: source.clone(), source, run_id, model_id })
}

fn local(claim: &Claim) -> Error {
    Error::invalid(format!(
        "Invalid model version source: '{}'. A path on a machine is no source: log the files to a run and register them as \
         runs:/RUN_ID/PATH.",
        claim.source
    ))
}

fn foreign(claim: &Claim, field: &str) -> Error {
    Error::invalid(format!(
        "Invalid model version source: '{}'. The {field} request parameter must identify the resource that contains the \
         source.",
        claim.source
    ))
}

/// `/m-<id>`: the form of ids that logged models have.
fn logged_model_id(rest: &str) -> Option<&str> {
    let id = rest.strip_prefix('/')?;
    (id.starts_with("m-") && !id.contains(['/', '@'])).then_some(id)
}

fn from_logged_model(tx: &mut Tx<'_>, ctx: &Ctx, model_id: String, claim: Claim) -> Result<Origin, Error> {
    if claim.model_id.as_ref().is_some_and(|claimed| *claimed != model_id) {
        return Err(foreign(&claim, "model_id"));
    }
    let model = logged_model::get(tx, ctx, &model_id, false)?;
    Ok(Origin {
        location: canonical(&model.artifact_location),
        source: claim.source,
        run_id: claim.run_id.or(model.source_run_id),
        model_id: Some(model_id),
    })
}

fn from_version(tx: &mut Tx<'_>, ctx: &Ctx, claim: Claim) -> Result<Origin, Error> {
    let version = named_version(tx, ctx, &claim.source)?;
    let model = model::get(tx, ctx, &version.name)?;
    if model.tags.iter().any(|tag| tag.key == IS_PROMPT && tag.value == "true") {
        return Err(Error::invalid(format!(
            "Invalid model version source: '{}'. Prompt versions cannot be used as model version sources.",
            claim.source
        )));
    }
    let differs = |claimed: &Option<String>, real: &Option<String>| claimed.is_some() && claimed != real;
    if differs(&claim.run_id, &version.run_id) || differs(&claim.model_id, &version.model_id) {
        return Err(Error::invalid(format!(
            "Invalid model version source: '{}'. The run_id and model_id request parameters must match the referenced \
             model version.",
            claim.source
        )));
    }
    Ok(Origin {
        source: format!("models:/{}/{}", version.name, version.version),
        location: version.storage_location,
        run_id: version.run_id,
        model_id: version.model_id,
    })
}

/// `models:/NAME/VERSION`, `models:/NAME/STAGE`, `models:/NAME/latest` or `models:/NAME@ALIAS`.
fn named_version(tx: &mut Tx<'_>, ctx: &Ctx, source: &str) -> Result<Version, Error> {
    let wrong = || Error::invalid(format!("Invalid model version source: '{source}'. Expected models:/NAME/VERSION."));
    let rest = source.strip_prefix("models:/").ok_or_else(wrong)?;
    if let Some((name, alias)) = rest.rsplit_once('@').filter(|(name, _)| !name.contains('/')) {
        return Ok(model::get_by_alias(tx, ctx, name, alias)?);
    }
    let (name, target) = rest.split_once('/').ok_or_else(wrong)?;
    if target.eq_ignore_ascii_case("latest") {
        return Ok(model::get_by_alias(tx, ctx, name, "latest")?);
    }
    if target.parse::<i64>().is_ok() {
        return Ok(version::get(tx, ctx, name, target)?);
    }
    let stage = target.parse().map_err(|_| wrong())?;
    version::latest(tx, ctx, name, &[stage])?.pop().ok_or_else(wrong)
}

fn from_run(tx: &mut Tx<'_>, ctx: &Ctx, claim: Claim) -> Result<Origin, Error> {
    let rest = claim.source.trim_start_matches("runs:");
    let (run_id, path) = rest.strip_prefix('/').and_then(|rest| rest.split_once('/')).unwrap_or_default();
    if run_id.is_empty() || claim.run_id.as_deref() != Some(run_id) {
        return Err(foreign(&claim, "run_id"));
    }
    let run = run::get(tx, ctx, run_id)?;
    // A logged model of that name is what MLflow 3 means by the path; its files are not among the run's own.
    for output in run.model_outputs.iter().rev() {
        let model = logged_model::get(tx, ctx, &output.model_id, false)?;
        if model.name == path {
            let location = canonical(&model.artifact_location);
            return Ok(Origin { location, source: claim.source, run_id: claim.run_id, model_id: Some(model.model_id) });
        }
    }
    let location = canonical(&format!("{}/{path}", run.info.artifact_uri));
    blob::artifact_path(&location).map_err(|error| Error::invalid(format!("Invalid model version source: {error}")))?;
    Ok(Origin { location, source: claim.source, run_id: claim.run_id, model_id: claim.model_id })
}

fn from_artifacts(tx: &mut Tx<'_>, ctx: &Ctx, claim: Claim) -> Result<Origin, Error> {
    let path = blob::artifact_path(&claim.source).map_err(|error| {
        Error::invalid(format!(
            "Invalid model version source: '{}'. Please provide an absolute path: {error}",
            claim.source
        ))
    })?;
    let (root, field) = match (&claim.model_id, &claim.run_id) {
        (Some(model_id), _) => (logged_model::get(tx, ctx, model_id, false)?.artifact_location, "model_id"),
        (None, Some(run_id)) => (run::info(tx, ctx, run_id)?.artifact_uri, "run_id"),
        (None, None) => return Err(foreign(&claim, "run_id")),
    };
    let inside = blob::artifact_path(&root).is_ok_and(|root| {
        path.as_str().strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if !inside {
        return Err(foreign(&claim, field));
    }
    let location = canonical(&claim.source);
    Ok(Origin { location, source: claim.source, run_id: claim.run_id, model_id: claim.model_id })
}

fn from_elsewhere(claim: Claim) -> Result<Origin, Error> {
    let (_, path) = claim.source.split_once(':').unwrap_or_default();
    if blob::SafePath::parse(path.trim_matches('/')).is_err() {
        return Err(Error::invalid(format!(
            "Invalid model version source: '{}'. An absolute path must be provided without relative path references present.",
            claim.source
        )));
    }
    let Claim { source, run_id, model_id, .. } = claim;
    Ok(Origin { location: source.clone(), source, run_id, model_id })
}

/// One way of writing a place in our own store, so that two spellings of it are equal.
fn canonical(location: &str) -> String {
    match blob::artifact_path(location) {
        Ok(path) => format!("mlflow-artifacts:/{}", path.as_str().strip_prefix("artifacts/").unwrap_or_default()),
        Err(_) => location.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_is_written_one_way() {
        let check = |location: &str, expect: &str| assert_eq!(canonical(location), expect);
        check("mlflow-artifacts:/0/r/artifacts/model/", "mlflow-artifacts:/0/r/artifacts/model");
        check("mlflow-artifacts://host:5000/0/r", "mlflow-artifacts:/0/r");
        check("mlflow-artifacts:/artifacts/artifacts/x", "mlflow-artifacts:/artifacts/artifacts/x");
        check("s3://bucket/x", "s3://bucket/x");
    }

    #[test]
    fn ids_of_logged_models_are_told_from_names() {
        assert_eq!(logged_model_id("/m-0a1b"), Some("m-0a1b"));
        for other in ["/m-0a1b/3", "/name", "m-0a1b", "/m-x@alias", "/"] {
            assert_eq!(logged_model_id(other), None, "{other}");
        }
    }
}
