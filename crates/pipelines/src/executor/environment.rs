//! What a step finds around it: a short list of the server's variables, what its definition and its run give, and where it is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::Options;
use crate::definition::{self, Step};
use crate::run::Run;
use crate::step_key;

/// Variables that programs need to run at all; all others must be asked for with `inherit`.
const PASSED_ON: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SYSTEMROOT",
];

/// The command of a step, ready to spawn but for its output.
pub(super) fn command(step: &Step, run: &Run, attempt: i64, options: &Options) -> Command {
    let mut command = match &step.run {
        definition::Command::Shell(line) => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", line]);
            shell
        }
        definition::Command::Words(words) => {
            let mut words = words.iter();
            let mut program = Command::new(words.next().map_or("", String::as_str));
            program.args(words);
            program
        }
    };
    command.current_dir(&run.dir).stdin(Stdio::null()).env_clear().envs(environment(step, run, attempt, options));
    command
}

fn environment(step: &Step, run: &Run, attempt: i64, options: &Options) -> BTreeMap<String, OsString> {
    let mut env: BTreeMap<String, OsString> = BTreeMap::new();
    for name in PASSED_ON.iter().copied().chain(step.inherit.iter().map(String::as_str)) {
        if let Some(value) = std::env::var_os(name) {
            env.insert(name.to_owned(), value);
        }
    }
    if let Some(venv) = &step.venv {
        enter_venv(&mut env, &Path::new(&run.dir).join(venv));
    }
    // Logs are streamed; a buffer in the step would hold them back.
    env.insert("PYTHONUNBUFFERED".to_owned(), "1".into());
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.into());
    set("RONDO_URL", &options.base_url);
    set("MLFLOW_TRACKING_URI", &options.base_url);
    for (name, value) in options.env.iter().chain(&options.workspace_env.of(&run.workspace)) {
        set(name, value);
    }
    if run.workspace != kernel::ctx::DEFAULT_WORKSPACE {
        set("RONDO_WORKSPACE", &run.workspace);
        set("MLFLOW_WORKSPACE", &run.workspace);
    }
    for (name, value) in step_key::env(step, run) {
        set(&name, &value);
    }
    for (name, value) in step_key::params(step, run) {
        set(&format!("RONDO_PARAM_{}", name.to_ascii_uppercase()), &value);
    }
    set("RONDO_PIPELINE", &run.pipeline);
    set("RONDO_PIPELINE_RUN", &run.run_id);
    set("RONDO_STEP", &step.name);
    set("RONDO_ATTEMPT", &attempt.to_string());
    set("RONDO_TRIGGER", &run.trigger_kind);
    set("RONDO_AT", &kernel::clock::rfc3339(run.at_us));
    set("RONDO_EVENT", &run.event.to_string());
    env
}

/// What `activate` does.
fn enter_venv(env: &mut BTreeMap<String, OsString>, venv: &Path) {
    let mut path = venv.join("bin").into_os_string();
    if let Some(old) = env.get("PATH") {
        path.push(":");
        path.push(old);
    }
    env.insert("PATH".to_owned(), path);
    env.insert("VIRTUAL_ENV".to_owned(), venv.as_os_str().to_owned());
}
