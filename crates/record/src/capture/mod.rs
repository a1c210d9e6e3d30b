//! What a run depends on, looked at before it starts.

mod code;
mod data;
mod environment;
mod hardware;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use code::Snapshot;
pub use data::{check as check_data, dataset};
pub use environment::{interpreter, is_uv_run, probe};
pub use variables::{ALLOWED, looks_secret};

use crate::manifest::{Command, Content, Data, Manifest, SCHEMA, Seed};
use crate::{Error, Result};

/// New files together are kept up to this many bytes, unless the caller says otherwise.
pub const UNTRACKED_LIMIT: u64 = 32 << 20;

/// What is captured.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The working folder, absolute.
    pub directory: PathBuf,
    /// Paths of data, as they were given.
    pub data: Vec<String>,
    /// URIs whose digest the caller knows: the URI, its digest, its bytes.
    pub uris: Vec<(String, String, u64)>,
    /// Variables of the command, those of this process and those that were chosen for it.
    pub variables: BTreeMap<String, String>,
    /// Further names of variables that change results.
    pub allow: Vec<String>,
    /// Whether the seed was chosen rather than given.
    pub seed_chosen: bool,
    /// New files together are kept up to this many bytes.
    pub untracked_limit: u64,
}

/// A manifest and what it refers to.
#[derive(Debug, Default)]
pub struct Captured {
    /// The manifest; run, attempt and time are the caller's to fill in.
    pub manifest: Manifest,
    /// Changes and new files as one patch; empty if there are none.
    pub patch: Vec<u8>,
    /// The text of `uv.lock`, if the environment has one.
    pub lock: Option<Vec<u8>>,
}

/// Looks at everything. Data that is not there is an error; all else that cannot be captured is a gap of the manifest.
pub fn capture(request: &Request) -> Result<Captured> {
    let data = data::capture(&request.data, &request.directory)?;
    let (code, environment, hardware) = std::thread::scope(|scope| {
        let code = scope.spawn(|| code::capture(&request.directory, &data, request.untracked_limit));
        let environment = scope.spawn(|| environment::capture(&request.argv, &request.directory));
        let hardware = hardware::capture();
        (code.join(), environment.join(), hardware)
    });
    let defect = |_| Error::Corrupt { what: "the machine".to_owned(), reason: "a capture ended early".to_owned() };
    let (code, environment) = (code.map_err(defect)?, environment.map_err(defect)?);
    let mut manifest = Manifest { schema: SCHEMA.to_owned(), hardware, ..Manifest::default() };
    let snapshot = settle(&mut manifest, "code", code).unwrap_or_default();
    manifest.gaps.extend(snapshot.gaps);
    manifest.environment = settle(&mut manifest, "environment", environment).flatten();
    let mut captured = Captured { patch: snapshot.patch, ..Captured::default() };
    let root = snapshot.code.as_ref().map(|code| PathBuf::from(&code.root));
    manifest.code = snapshot.code;
    if !captured.patch.is_empty()
        && let Some(code) = &mut manifest.code
    {
        code.patch = Some(Content {
            artifact: String::new(),
            digest: kernel::digest::of(&captured.patch),
            size: captured.patch.len() as u64,
        });
    }
    if let Some(environment) = &mut manifest.environment {
        captured.lock = environment::lock(environment, root.as_deref(), &request.directory);
        manifest.gaps.extend(environment::gaps(environment, root.as_deref()));
    }
    manifest.data = data.into_iter().map(|data| data::relative_to(data, root.as_deref())).collect();
    for (uri, digest, size) in &request.uris {
        manifest.data.push(data::uri(uri, digest, *size));
    }
    manifest.variables = variables::capture(&request.variables, &request.allow, root.as_deref());
    let seed = request.variables.get("RONDO_SEED").cloned().unwrap_or_default();
    manifest.seed = Seed { value: seed, chosen: request.seed_chosen };
    manifest.command = Command { argv: request.argv.clone(), directory: below(&request.directory, root.as_deref()) };
    manifest.settle_key();
    captured.manifest = manifest;
    Ok(captured)
}

/// What was found; or nothing, and a gap that says why.
fn settle<T>(manifest: &mut Manifest, what: &str, found: Result<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            manifest.gaps.push(format!("the {what} could not be captured: {error}"));
            None
        }
    }
}

/// A folder relative to the root, or as it is outside of one.
fn below(path: &Path, root: Option<&Path>) -> String {
    let relative = root.and_then(|root| path.strip_prefix(root).ok());
    relative.unwrap_or(path).to_string_lossy().into_owned()
}

/// Whether some data lies in a folder.
fn within(data: &Data, root: &Path) -> bool {
    Path::new(&data.location).starts_with(root)
}
