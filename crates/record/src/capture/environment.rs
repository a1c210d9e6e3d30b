//! The Python environment of a command: which interpreter runs it, and which packages that sees.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::code::without_credentials;
use crate::manifest::Environment;
use crate::{Error, Result, program};

/// What an interpreter is asked. It needs neither `pip` nor `uv`, and sees what the command will see.
const PROBE: &str = r#"
import sys
sys.path[:1] = []
import importlib.metadata as metadata, json, platform, sysconfig
found = {}
for one in metadata.distributions():
    name = one.metadata["Name"]
    if name and name.lower() not in found:
        found[name.lower()] = [name, one.version, one.read_text("direct_url.json") or ""]
print(json.dumps({
    "version": platform.python_version(), "implementation": sys.implementation.name, "platform": sysconfig.get_platform(),
    "libc": " ".join(platform.libc_ver()), "interpreter": sys.executable, "packages": sorted(found.values()),
}))
"#;

#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    implementation: String,
    platform: String,
    libc: String,
    interpreter: String,
    packages: Vec<(String, String, String)>,
}

/// Where a package comes from that did not come from an index (PEP 610).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Direct {
    url: String,
    subdirectory: Option<String>,
    vcs_info: Option<Vcs>,
    dir_info: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Vcs {
    vcs: String,
    commit_id: String,
}

/// The environment of a command; none if it is no Python program.
pub(super) fn capture(argv: &[String], dir: &Path) -> Result<Option<Environment>> {
    if is_uv_run(argv) {
        return uv_interpreter(dir).map(|interpreter| probe(&interpreter, dir)).transpose();
    }
    let Some(interpreter) = argv.first().and_then(|name| interpreter(name, dir)) else { return Ok(None) };
    probe(&interpreter, dir).map(Some)
}

/// Whether a command is `uv run ...`, which chooses the environment itself.
pub fn is_uv_run(argv: &[String]) -> bool {
    let uv = argv.first().is_some_and(|name| Path::new(name).file_name().is_some_and(|name| name == "uv"));
    uv && argv.get(1).is_some_and(|word| word == "run")
}

/// The interpreter that runs a program: itself if it is one, else the one that its first line names.
pub fn interpreter(name: &str, dir: &Path) -> Option<PathBuf> {
    let path = if name.contains('/') { dir.join(name) } else { program::find(name)? };
    if is_python(&path) {
        return Some(path);
    }
    let mut first = String::new();
    BufReader::new(File::open(&path).ok()?.take(512)).read_line(&mut first).ok()?;
    let mut words = first.strip_prefix("#!")?.split_whitespace();
    let program = words.next()?;
    if Path::new(program).file_name()? == "env" {
        return program::find(words.find(|word| !word.starts_with('-'))?).filter(|path| is_python(path));
    }
    Some(PathBuf::from(program)).filter(|path| is_python(path))
}

fn is_python(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rest = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// The interpreter of the project that `uv run` finds.
fn uv_interpreter(dir: &Path) -> Option<PathBuf> {
    let home = std::env::var_os("UV_PROJECT_ENVIRONMENT").map(PathBuf::from);
    let project = dir.ancestors().find(|folder| folder.join("pyproject.toml").exists())?;
    let home = home.map_or_else(|| project.join(".venv"), |home| project.join(home));
    Some(home.join("bin/python")).filter(|path| path.exists())
}

/// Asks an interpreter.
pub fn probe(interpreter: &Path, dir: &Path) -> Result<Environment> {
    let mut ask = Command::new(interpreter);
    let answer = program::output(ask.args(["-c", PROBE]).current_dir(dir))?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| Error::Corrupt {
        what: format!("the answer of {}", interpreter.display()),
        reason: error.to_string(),
    })?;
    let mut environment = Environment {
        interpreter: answer.interpreter,
        version: answer.version,
        implementation: answer.implementation,
        platform: answer.platform,
        libc: answer.libc,
        ..Environment::default()
    };
    for (name, version, direct) in answer.packages {
        let direct: Direct = serde_json::from_str(&direct).unwrap_or_default();
        environment.requirements.extend(requirement(&name, &version, &direct, &mut environment.local));
    }
    environment.digest = digest(&environment);
    Ok(environment)
}

/// A line for `pip`; none for a folder of this machine, which goes into `local`.
fn requirement(name: &str, version: &str, direct: &Direct, local: &mut BTreeMap<String, String>) -> Option<String> {
    let url = without_credentials(&direct.url);
    if direct.dir_info.is_some() {
        local.insert(name.to_owned(), url.strip_prefix("file://").unwrap_or(&url).to_owned());
        return None;
    }
    if let Some(vcs) = &direct.vcs_info {
        let below = direct.subdirectory.as_ref().map(|path| format!("#subdirectory={path}")).unwrap_or_default();
        return Some(format!("{name} @ {}+{url}@{}{below}", vcs.vcs, vcs.commit_id));
    }
    // A wheel that was installed from a file of a cache or a build folder is known better by its version.
    if url.is_empty() || url.starts_with("file://") {
        return Some(format!("{name}=={version}"));
    }
    Some(format!("{name} @ {url}"))
}

/// Equal digests, equal environments: version, platform and packages, folders of one machine by their name only.
fn digest(environment: &Environment) -> String {
    let mut digest = kernel::digest::Builder::default();
    digest.piece(environment.version.as_bytes()).piece(environment.implementation.as_bytes());
    digest.piece(environment.platform.as_bytes());
    for line in &environment.requirements {
        digest.piece(line.as_bytes());
    }
    digest.piece(b"local");
    for name in environment.local.keys() {
        digest.piece(name.as_bytes());
    }
    digest.finish()
}

/// Notes the `uv.lock` around the working folder if the interpreter is that project's, and returns its text.
pub(super) fn lock(environment: &mut Environment, root: Option<&Path>, dir: &Path) -> Option<Vec<u8>> {
    let root = root?;
    let project =
        dir.ancestors().take_while(|folder| folder.starts_with(root)).find(|folder| folder.join("uv.lock").exists())?;
    let own =
        std::env::var_os("UV_PROJECT_ENVIRONMENT").map_or_else(|| project.join(".venv"), |home| project.join(home));
    if !Path::new(&environment.interpreter).starts_with(own) {
        return None;
    }
    let file = project.join("uv.lock");
    environment.lock = Some(file.strip_prefix(root).ok()?.to_string_lossy().into_owned());
    fs::read(file).ok()
}

/// Packages that are folders outside of the code: nobody records what is in them.
pub(super) fn gaps(environment: &Environment, root: Option<&Path>) -> Vec<String> {
    let outside = |folder: &str| root.is_none_or(|root| !Path::new(folder).starts_with(root));
    let gap = |(name, folder): (&String, &String)| {
        format!("the package `{name}` is the folder {folder}, whose content is not recorded")
    };
    environment.local.iter().filter(|(_, folder)| outside(folder)).map(gap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_known_by_its_name_or_by_the_first_line_of_a_script() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        put("python3.12", "");
        put("tool", "#!/opt/venv/bin/python3 -s\nprint()\n");
        put("shell", "#!/bin/sh\n");
        let check = |name: &str, expect: Option<&str>| {
            assert_eq!(interpreter(name, dir.path()), expect.map(PathBuf::from), "{name}");
        };
        let own = dir.path().join("python3.12");
        check("./python3.12", Some(&own.to_string_lossy().replace("python3.12", "./python3.12")));
        check("./tool", Some("/opt/venv/bin/python3"));
        check("./shell", None);
        check("./nothing", None);
    }

    #[test]
    fn a_package_is_written_as_pip_reads_it() {
        let mut local = BTreeMap::new();
        let mut line =
            |direct: &str| requirement("A", "1.0", &serde_json::from_str(direct).unwrap_or_default(), &mut local);
        assert_eq!(line("").as_deref(), Some("A==1.0"));
        assert_eq!(line(r#"{"url":"file:///w/a.whl","archive_info":{}}"#).as_deref(), Some("A==1.0"));
        let git = r#"{"url":"https://me:pw@host/a","vcs_info":{"vcs":"git","commit_id":"abc"},"subdirectory":"py"}"#;
        assert_eq!(line(git).as_deref(), Some("A @ git+https://host/a@abc#subdirectory=py"));
        assert_eq!(line(r#"{"url":"file:///src/a","dir_info":{"editable":true}}"#), None);
        assert_eq!(local["A"], "/src/a");
    }
}
