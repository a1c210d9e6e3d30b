//! `pipeline.toml`: what a pipeline is, read from text and checked before anything runs.
//!
//! ```toml
//! [pipeline]
//! name = "flight-delay"
//! model = "flight-delay"              # the registered model it trains, if it trains one
//! venv = "../venv"                    # a Python environment whose programs come first, relative to the folder
//!
//! [step.train]
//! run = "python train.py"             # a line for `sh -c`, or a list of arguments that no shell sees
//! needs = ["prepare"]                 # steps that go first; those that make our `deps` do anyway
//! deps = ["train.py", "flights.csv"]  # files or folders whose content matters
//! outs = ["model.bin"]                # files or folders it makes; removed before it runs
//! params = { days = 59 }              # given as RONDO_PARAM_DAYS; a run may give other values
//! env = { LANG = "C" }                # more variables; all others are cleared but a short list
//! inherit = ["HTTPS_PROXY"]           # variables passed on from the server
//! timeout = "10m"
//! retries = { max = 2, backoff = "5s" }
//! always = true                       # never skipped
//!
//! [trigger.drift]
//! kind = "alert"
//! monitor = "flight-delay"
//! cooldown = "14d"                    # no sooner after the last run than this
//! repeat = "28d"                      # and again, as long as the alert is on
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Error;

mod graph;
mod read;
mod section;

pub(crate) use section::is_variable;

/// A pipeline, checked.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// The registered model it trains.
    pub model: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The steps, each after those it waits for.
    pub steps: Vec<Step>,
    /// What starts it; `manual` is always possible and need not be written.
    pub triggers: Vec<Trigger>,
}

/// One step.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Step {
    /// Its name, unique in the pipeline.
    pub name: String,
    /// What is run.
    pub run: Command,
    /// The steps that it waits for: those written and those that make its `deps`, sorted.
    pub needs: Vec<String>,
    /// The files and folders it reads, relative to the pipeline's folder.
    pub deps: Vec<String>,
    /// The files and folders it makes, relative to the pipeline's folder.
    pub outs: Vec<String>,
    /// Its parameters with the values they have unless a run gives others.
    pub params: BTreeMap<String, String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Environment variables passed on from the server.
    pub inherit: Vec<String>,
    /// A Python environment whose programs come first.
    pub venv: Option<String>,
    /// It is ended after this many microseconds.
    pub timeout_us: Option<i64>,
    /// What happens when it fails.
    pub retries: Retries,
    /// It is never skipped.
    pub always: bool,
}

/// What a step runs.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[serde(untagged)]
pub enum Command {
    /// A line for `sh -c`.
    Shell(String),
    /// A program and its arguments; no shell sees them.
    Words(Vec<String>),
}

/// How often a failing step is tried again, and how long we wait in between.
#[derive(Clone, Copy, Debug, Serialize, PartialEq)]
pub struct Retries {
    /// Further attempts after the first failure.
    pub max: i64,
    /// The wait before the first of them; it doubles with each, up to five minutes.
    pub backoff_us: i64,
}

impl Default for Retries {
    fn default() -> Self {
        Self { max: 0, backoff_us: kernel::clock::SECOND_US }
    }
}

/// What starts a pipeline without being asked.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Trigger {
    /// Its name, unique in the pipeline.
    pub name: String,
    /// What it waits for.
    #[serde(flatten)]
    pub cause: Cause,
}

/// What a trigger waits for.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Cause {
    /// A person or a program asks.
    Manual,
    /// The time has come. Missed times are made up for by one run.
    Cron {
        /// Five fields, or six with seconds first.
        cron: String,
        /// An IANA time zone; UTC if none is given.
        timezone: String,
    },
    /// A deployment has that many more rows with a known outcome than at the last run.
    Data {
        /// The deployment.
        deployment: String,
        /// How many more.
        min_new_rows: i64,
        /// No earlier than this after the last run of the trigger, in event time.
        cooldown_us: i64,
    },
    /// A monitor fired an alert.
    Alert {
        /// The monitor.
        monitor: String,
        /// Only alerts of this rule.
        rule: Option<String>,
        /// No earlier than this after the last run of the trigger, in event time.
        cooldown_us: i64,
        /// Again so long after the last run of the trigger, as long as the alert is on; if absent, only when it fires.
        repeat_us: Option<i64>,
    },
}

impl Cause {
    /// The word for it in the file and in stored rows.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Cron { .. } => "cron",
            Self::Data { .. } => "data",
            Self::Alert { .. } => "alert",
        }
    }

    /// The thing it watches, by which triggers are found: a deployment, a monitor, or nothing.
    pub fn target(&self) -> &str {
        match self {
            Self::Manual | Self::Cron { .. } => "",
            Self::Data { deployment, .. } => deployment,
            Self::Alert { monitor, .. } => monitor,
        }
    }
}

impl Pipeline {
    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// The trigger of that name.
    pub fn trigger(&self, name: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.name == name)
    }

    /// The names of all parameters of all steps, sorted.
    pub fn params(&self) -> Vec<String> {
        let mut names: Vec<String> = self.steps.iter().flat_map(|step| step.params.keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Reads a definition and checks all of it: unknown keys, names, paths, durations, cron expressions, and that the steps can be
/// put in an order.
pub fn parse(text: &str) -> Result<Pipeline, Error> {
    let mut pipeline = read::pipeline(text)?;
    graph::link(&mut pipeline.steps)?;
    pipeline.steps = graph::order(pipeline.steps)?;
    Ok(pipeline)
}

#[cfg(test)]
mod tests;
