//! What can be typed of sweeps.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Sweep {
    /// Create a sweep from its definition (TOML or YAML)
    Create {
        /// The file, e.g. sweep.toml
        file: PathBuf,
    },
    /// All sweeps
    List,
    /// One sweep with its trials
    Show {
        name: String,
        /// How many trials
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Begin no more trials for now
    Pause { name: String },
    /// Go on with a sweep that was paused or stopped, or try more
    Resume {
        name: String,
        /// How many trials there shall be altogether
        #[arg(long)]
        trials: Option<u32>,
    },
    /// Begin no more trials; those under way go on
    Stop { name: String },
    /// End a sweep and the trials under way
    Cancel { name: String },
    /// Forget a sweep that is over; its runs stay
    Delete { name: String },
    /// Take trials and run a command for each until the sweep is over
    Work(Work),
}

/// A worker.
#[derive(Clone, Debug, Args)]
pub(crate) struct Work {
    /// The sweep
    pub(crate) name: String,
    /// How many trials at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) parallel: u32,
    /// Seconds that a process gets to end by itself before it is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) grace: u64,
    /// Leave after so many failed trials one after the other
    #[arg(long, value_name = "TRIALS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_failures: u32,
    /// Where the output of each trial and the file with its values go [default: .rondo/sweeps/NAME]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) logs: Option<PathBuf>,
    /// The command; {NAME} is the value of a parameter, {params} all of them as --NAME=VALUE
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
