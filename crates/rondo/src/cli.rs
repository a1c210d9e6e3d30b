//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod sweep;

pub(crate) use sweep::{Sweep, Work};

/// The whole MLOps loop in one binary.
#[derive(Debug, Parser)]
#[command(name = "rondo", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Global {
    /// Configuration file [default: rondo.toml in the current folder, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "RONDO_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The server to talk to [default: http://127.0.0.1:5000]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The workspace to act in [default: that of the token]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) workspace: Option<String>,
    /// Print JSON for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve everything on one port
    Up(Up),
    /// Turn the whole loop on a year of New York flights and stay up
    Demo(Demo),
    /// Say what is there, what is missing and what to do
    Doctor,
    /// Registered models: who is in production, and why
    #[command(subcommand)]
    Model(Model),
    /// Deployments: named endpoints that follow the registry
    #[command(subcommand)]
    Deployment(Deployment),
    /// Monitors: windows of predictions compared with a reference
    #[command(subcommand)]
    Monitor(Monitor),
    /// Pipelines: steps and what triggers them
    #[command(subcommand)]
    Pipeline(Pipeline),
    /// Run a command and record everything that is needed to do it again; or look at runs
    Run(Run),
    /// Do a recorded run again in a clean place and compare: exit code 0 if it comes out the same, 3 if not, 4 if it cannot be done
    Reproduce(Reproduce),
    /// Send what waits on this disk because the server was away
    Sync,
    /// Sweeps: find the values that make a metric small or great
    #[command(subcommand)]
    Sweep(Sweep),
    /// Users: who may do what, by password or by token
    #[command(subcommand)]
    User(User),
    /// Tokens: what programs prove themselves with
    #[command(subcommand)]
    Token(Token),
    /// Workspaces: parts of a server whose things do not see each other
    #[command(subcommand)]
    Workspace(Workspace),
    /// Members: users of another workspace who are something to this one
    #[command(subcommand)]
    Member(Member),
    /// The audit trail as evidence: check its chain, export it
    #[command(subcommand)]
    Audit(Audit),
    /// The database: bring it up to date, move it, save it
    #[command(subcommand)]
    Db(Db),
    /// Remove for good what lies in the bin, and files that belong to nothing
    Gc(Gc),
    /// Bring in what another tool has tracked; the same command again goes on where it was stopped
    #[command(subcommand)]
    Import(Import),
    /// Take everything elsewhere
    #[command(subcommand)]
    Export(Export),
    /// The configuration and where each value comes from
    #[command(subcommand)]
    Config(Config),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Up {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Whether every request must prove who sends it: on or off [default: off, for loopback only]
    #[arg(long, value_name = "ON|OFF")]
    pub(crate) auth: Option<String>,
    /// Names under which the server is called beside those of this machine, separated by commas
    #[arg(long, value_name = "NAMES")]
    pub(crate) hosts: Option<String>,
    /// Where everything is kept
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Database URL [default: SQLite in the data folder]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Where artifacts are kept, a folder or s3://BUCKET/PREFIX [default: the data folder]
    #[arg(long, value_name = "URL")]
    pub(crate) artifacts: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub(crate) listen: String,
    /// Where the demo keeps everything
    #[arg(long, value_name = "FOLDER", default_value = "./rondo-demo")]
    pub(crate) data_dir: PathBuf,
    /// Replay all flights instead of a sample
    #[arg(long)]
    pub(crate) full: bool,
    /// Kill the server this many times at random moments of the replay, and check that nothing was lost
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    pub(crate) chaos: u32,
    /// Seed of the random moments
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Leave when the story is told instead of staying up
    #[arg(long)]
    pub(crate) exit: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// All registered models
    List,
    /// One model with its versions and verdicts
    Show { name: String },
    /// The story of a model: every decision with its evidence
    History { name: String },
    /// Read or change who may promote, and on what evidence
    Policy {
        name: String,
        /// required, advisory or off
        #[arg(long)]
        mode: Option<String>,
        /// human or auto
        #[arg(long)]
        approve: Option<String>,
        /// auto, brier, log_loss, auc, mae or rmse
        #[arg(long)]
        metric: Option<String>,
        /// How much worse a candidate may be at most
        #[arg(long, allow_negative_numbers = true, value_parser = finite)]
        margin: Option<f64>,
        /// Least number of labelled rows for a verdict
        #[arg(long, allow_negative_numbers = true)]
        min_rows: Option<i64>,
    },
    /// Evaluate a version together with the champion
    Evaluate { name: String, version: String },
    /// Move a pointer (a stage or @alias) to a version, through the gate
    Promote {
        name: String,
        version: String,
        /// Production, Staging, Archived or @alias
        #[arg(long, default_value = "Production")]
        to: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Say yes to a verdict that waits for a person
    Approve {
        name: String,
        verdict: String,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Say no to a verdict that waits for a person
    Reject {
        name: String,
        verdict: String,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Make the rows of a CSV or Parquet file the reference of a version
    Reference { name: String, version: String, file: PathBuf },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Deployment {
    /// All deployments
    List,
    /// One deployment
    Show { name: String },
    /// Create a deployment that follows a pointer
    Create {
        name: String,
        /// models:/NAME/STAGE or models:/NAME@ALIAS
        pointer: String,
    },
    /// Remove a deployment; the model stays
    Delete { name: String },
    /// Send rows and print the answer
    Predict {
        name: String,
        /// A JSON file with the request, or - for standard input
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Monitor {
    /// All monitors
    List,
    /// One monitor with its newest windows
    Show { name: String },
    /// Create or change a monitor from a TOML or JSON file
    Apply { name: String, file: PathBuf },
    /// Remove a monitor
    Delete { name: String },
    /// Alerts, the firing ones first
    Alerts,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pipeline {
    /// All pipelines
    List,
    /// One pipeline with its newest runs
    Show { name: String },
    /// Create or change a pipeline from its pipeline.toml; its folder is where the steps run
    Apply {
        /// pipeline.toml or its folder
        path: PathBuf,
    },
    /// Start a run
    Start {
        name: String,
        /// A parameter of the run, NAME=VALUE
        #[arg(long = "param", value_name = "NAME=VALUE")]
        params: Vec<String>,
        /// Wait for the end, showing the log
        #[arg(long)]
        wait: bool,
    },
    /// Stop a run
    Cancel { run: String },
    /// The log of a step
    Log { run: String, step: String },
}

/// `rondo run list`, `rondo run show RUN` and `rondo run [OPTIONS] -- COMMAND`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Run {
    #[command(subcommand)]
    pub(crate) look: Option<Look>,
    #[command(flatten)]
    pub(crate) start: Start,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Look {
    /// The newest runs
    List {
        /// Only of this experiment, by name
        #[arg(long)]
        experiment: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// One run
    Show { run: String },
}

/// A command to run and record.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Start {
    /// The experiment [default: MLFLOW_EXPERIMENT_NAME, else Default]
    #[arg(long, value_name = "NAME")]
    pub(crate) experiment: Option<String>,
    /// The name of the run
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A file, a folder or an http(s) address that the command reads; may be repeated
    #[arg(long, value_name = "PATH|URI")]
    pub(crate) data: Vec<String>,
    /// A variable that changes results, recorded beside the usual ones; may be repeated
    #[arg(long = "keep-env", value_name = "NAME")]
    pub(crate) keep_env: Vec<String>,
    /// Go on with a run that was interrupted, with its own command if none is given
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<String>,
    /// The command runs already, as the process of this number, and has started us; the Python package does
    #[arg(long, hide = true, value_name = "PID")]
    pub(crate) caller: Option<u32>,
    /// The command
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Reproduce {
    /// The id of the run
    pub(crate) run: String,
    /// How far a metric may be off; without a metric, all of them [default: 1e-6,rel]
    #[arg(long, value_name = "METRIC=SIZE,rel|abs", value_parser = record::compare::tolerance)]
    pub(crate) tol: Vec<(String, record::compare::Tolerance)>,
    /// exact: the versions of all packages; relock: the same packages, resolved anew
    #[arg(long, value_name = "exact|relock", default_value = "exact", value_parser = ["exact", "relock"])]
    pub(crate) env: String,
    /// Leave the clean place behind
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check that no event was changed, removed or slipped in; names the first that is not as it was
    Verify {
        /// A head that an earlier check printed, which must still be there
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<String>,
    },
    /// Write every event with its hash, one JSON object a line
    Export {
        /// Only events after this number
        #[arg(long, value_name = "SEQ")]
        after: Option<i64>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// All users
    List,
    /// Make a user
    Create {
        name: String,
        /// viewer, editor, approver or admin
        #[arg(long)]
        role: String,
        /// Read a password from standard input; without one the user needs a token
        #[arg(long)]
        password_stdin: bool,
    },
    /// Give another role, or another password
    Set {
        name: String,
        /// viewer, editor, approver or admin
        #[arg(long)]
        role: Option<String>,
        /// Read the new password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Remove a user, and end its tokens
    Delete { name: String },
    /// Who the server takes you for
    Me,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Workspace {
    /// Those that you may enter
    List,
    /// Make a workspace
    Create {
        name: String,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Say what it is for
    Describe { name: String, description: String },
    /// Delete a workspace in which there is nothing any more
    Delete { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// The members of the workspace
    List,
    /// Make a user a member, or give another role
    Set {
        user: String,
        /// viewer, editor, approver or admin
        #[arg(long)]
        role: String,
    },
    /// End a membership
    Remove { user: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// All tokens, without their secrets
    List,
    /// Make a token; its secret is shown this once
    Create {
        name: String,
        /// viewer, editor, approver or admin
        #[arg(long)]
        role: String,
        /// Act in the name of this user, with no more than its role
        #[arg(long)]
        user: Option<String>,
        /// Narrow it to view, predict, edit, approve or admin; may be repeated
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Let it expire after so many days
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=36_500))]
        days: Option<i64>,
    },
    /// End a token, by name or id
    Revoke { token: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Run the migrations that the database lacks, and nothing else
    Migrate(Store),
    /// Copy everything into an empty database, on the same engine or the other one
    Move {
        /// sqlite:PATH or postgres://...
        from: String,
        /// The same; it must be empty
        to: String,
    },
    /// Save the SQLite database to a file while the server runs
    Backup {
        #[command(flatten)]
        store: Store,
        /// The file, or a folder in which it becomes rondo.db
        target: PathBuf,
    },
}

/// Where everything is, when it is not where the configuration says.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Store {
    /// Where everything is kept
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Database URL [default: SQLite in the data folder]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Where artifacts are kept, a folder or s3://BUCKET/PREFIX [default: the data folder]
    #[arg(long, value_name = "URL")]
    pub(crate) artifacts: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Gc {
    #[command(flatten)]
    pub(crate) store: Store,
    /// How long a thing must have been deleted, or a file have been left alone: 30d, 12h, 2d8h5m20s
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = span_us)]
    pub(crate) older_than: i64,
    /// Say what would go, and leave it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// From MLflow: experiments, runs, histories, artifacts, models
    Mlflow {
        /// A server (http://HOST:PORT), a folder (mlruns) or a database (mlflow.db)
        source: String,
        #[command(flatten)]
        what: What,
    },
    /// From TensorBoard: each folder with event files becomes a run
    Tensorboard {
        /// The folder above the runs
        folder: PathBuf,
        #[command(flatten)]
        into: Destination,
    },
    /// From Weights & Biases: each offline run becomes a run
    Wandb {
        /// The folder above the runs (wandb)
        folder: PathBuf,
        #[command(flatten)]
        into: Destination,
    },
}

/// Where runs without an experiment go.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Destination {
    /// The experiment [default: the name of the folder; for wandb the project of each run]
    #[arg(long, value_name = "NAME")]
    pub(crate) into: Option<String>,
    /// Say what would be copied and copy nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave the files out
    #[arg(long)]
    pub(crate) without_artifacts: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// To an MLflow server, which gives its own ids and keeps ours in a tag
    Mlflow {
        /// http://HOST:PORT
        url: String,
        #[command(flatten)]
        what: What,
    },
}

/// What is copied.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct What {
    /// Only this experiment, without registered models; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) experiment: Vec<String>,
    /// Say what would be copied and copy nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave the files out
    #[arg(long)]
    pub(crate) without_artifacts: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Every value with its origin
    Show,
}

/// A time as MLflow writes it, in microseconds: days, hours, minutes and seconds in this order, each at most once.
fn span_us(text: &str) -> Result<i64, String> {
    let refused = || format!("`{text}` is not a time: write 30d, 12h or 2d8h5m20s");
    let (mut total, mut number) = (0_i64, String::new());
    let mut units = [('d', 86_400_000_000_i64), ('h', 3_600_000_000), ('m', 60_000_000), ('s', 1_000_000)].into_iter();
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let (_, unit) = units.find(|(name, _)| *name == letter).ok_or_else(refused)?;
        let count: i64 = number.parse().map_err(|_| refused())?;
        total = count.checked_mul(unit).and_then(|us| total.checked_add(us)).ok_or_else(refused)?;
        number.clear();
    }
    if text.is_empty() || !number.is_empty() { Err(refused()) } else { Ok(total) }
}

/// A number that JSON can carry.
fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("it must be finite".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn what_can_be_typed_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_is_written_as_mlflow_writes_it() {
        let check = |text: &str, seconds: Option<i64>| {
            assert_eq!(span_us(text).ok(), seconds.map(|seconds| seconds * 1_000_000), "{text}");
        };
        check("30d", Some(30 * 86_400));
        check("2d8h5m20s", Some(2 * 86_400 + 8 * 3_600 + 5 * 60 + 20));
        check("90m", Some(5_400));
        check("0s", Some(0));
        for text in ["", "30", "d", "5s2d", "1d1d", "-1d", "1w", "1 d", "99999999999999999d"] {
            check(text, None);
        }
    }

    #[test]
    fn a_number_is_finite() {
        let check = |text: &str, expect: Option<f64>| assert_eq!(finite(text).ok(), expect, "{text}");
        check("0.5", Some(0.5));
        check("-1", Some(-1.0));
        check("NaN", None);
        check("1e999", None);
        check("x", None);
    }
}
