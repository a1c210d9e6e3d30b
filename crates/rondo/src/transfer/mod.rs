//! Copying between tracking servers: from a running server or from what a tool left on disk, into a running server. Everything that
//! is written can be written again without effect, so a copy that was stopped is simply started anew: what is there in full is
//! passed over, what is there in part is completed.

mod artifact;
mod experiment;
mod logged_model;
mod registered_model;
mod report;
mod run;
mod server;
mod source;
mod target;

use std::collections::{HashMap, HashSet};

pub(crate) use report::Report;
pub(crate) use server::{MLFLOW, Refused, Server, is_missing, proxied};
pub(crate) use source::Source;
pub(crate) use target::Target;

/// What is copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Only experiments of these names; all if there is none.
    pub(crate) experiments: Vec<String>,
    /// Say what would be copied and copy nothing.
    pub(crate) dry_run: bool,
    /// Leave the files out.
    pub(crate) without_artifacts: bool,
}

/// Where things of the source are in the target.
#[derive(Debug, Default)]
struct Places {
    /// Runs, by the id they had.
    runs: HashMap<String, Place>,
    /// Logged models, by the id they had.
    models: HashMap<String, Place>,
}

/// One thing there and here.
#[derive(Clone, Debug)]
struct Place {
    id: String,
    location: String,
    old_location: String,
}

/// A copy under way.
struct Copy<'a> {
    source: Source,
    target: &'a Target,
    options: &'a Options,
    places: Places,
    /// Points that are no numbers, by run, metric, timestamp and step: MLflow's SQL store has them as 0 on its logged models.
    nans: HashSet<(String, String, i64, i64)>,
    report: Report,
}

/// Copies everything; the report says what was done.
pub(crate) async fn copy(source: Source, target: &Target, options: &Options) -> anyhow::Result<Report> {
    let report = Report::new(options.dry_run);
    let mut copy = Copy { source, target, options, places: Places::default(), nans: HashSet::new(), report };
    let experiments = copy.source.experiments().await?;
    let wanted = |name: &str| options.experiments.is_empty() || options.experiments.iter().any(|one| one == name);
    for name in &options.experiments {
        if !experiments.iter().any(|experiment| experiment.name == *name) {
            return Err(crate::term::hinted(
                format!("the source has no experiment `{name}`"),
                format!("it has {}", experiments.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")),
            ));
        }
    }
    for experiment in experiments.iter().filter(|experiment| wanted(&experiment.name)) {
        copy.experiment(experiment).await?;
    }
    if options.experiments.is_empty() {
        copy.registered_models().await?;
    }
    for warning in copy.source.warnings() {
        copy.report.warn(warning);
    }
    copy.report.end();
    Ok(copy.report)
}
