//! The manifest of a run: everything that is needed to do it again, as one JSON document. `docs/REPRODUCE.md` has the same list in prose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The name of this form of the document; another number when a reader of this one would misunderstand it.
pub const SCHEMA: &str = "rondo.manifest/1";

/// One attempt of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of the program that wrote it.
    pub rondo: String,
    /// The run.
    pub run_id: String,
    /// 1 for the first start, one more each time that the run was resumed.
    pub attempt: u32,
    /// When the command was started, RFC 3339, UTC.
    pub started: String,
    /// The digest of what decides the result; see [`Manifest::settle_key`].
    pub key: String,
    /// What was run.
    pub command: Command,
    /// The state of the code; none outside of a repository.
    pub code: Option<Code>,
    /// The Python environment; none if the command is no Python program.
    pub environment: Option<Environment>,
    /// Variables that change results, by name; those that were not set are absent.
    pub variables: BTreeMap<String, String>,
    /// The seed that the command was given.
    pub seed: Seed,
    /// The data that was declared, or reported by the command.
    pub data: Vec<Data>,
    /// The machine.
    pub hardware: Hardware,
    /// Why the run cannot be repeated exactly; empty if it can.
    pub gaps: Vec<String>,
}

/// What was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The working folder: relative to the root of the code, or absolute outside of a repository.
    pub directory: String,
}

/// The state of the code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Code {
    /// The folder of the repository on the machine of the run.
    pub root: String,
    /// Where it was cloned from, without credentials.
    pub remote: Option<String>,
    /// The branch, if one was checked out.
    pub branch: Option<String>,
    /// The commit.
    pub commit: String,
    /// The id of Git's tree with the changes and new files: what a restored folder must have.
    pub tree: String,
    /// Whether anything differed from the commit.
    pub dirty: bool,
    /// Changes and new files as one binary patch against the commit.
    pub patch: Option<Content>,
    /// New files, which the patch holds.
    pub untracked: Vec<String>,
    /// Repositories within the repository.
    pub submodules: Vec<Submodule>,
}

/// Something kept as an artifact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// The path of the artifact.
    pub artifact: String,
    /// BLAKE3 of its bytes.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// A repository within the repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Submodule {
    /// Relative to the root.
    pub path: String,
    /// The commit that was checked out.
    pub commit: String,
}

/// A Python environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The interpreter on the machine of the run.
    pub interpreter: String,
    /// Its version, three numbers.
    pub version: String,
    /// cpython, pypy.
    pub implementation: String,
    /// As in the names of wheels, e.g. `linux-x86_64`.
    pub platform: String,
    /// The C library, e.g. `glibc 2.41`.
    pub libc: String,
    /// The packages with their exact versions, one a line, as `pip` and `uv` read them.
    pub requirements: Vec<String>,
    /// Packages that are folders of one machine: name and folder.
    pub local: BTreeMap<String, String>,
    /// The `uv.lock` that the interpreter belongs to, relative to the root of the code.
    pub lock: Option<String>,
    /// The digest of version, platform and requirements: equal digests, equal environments.
    pub digest: String,
}

/// The seed of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seed {
    /// What `RONDO_SEED` held.
    pub value: String,
    /// Whether it was chosen for the run rather than given by its caller.
    pub chosen: bool,
}

/// Some data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// As it was declared: a path or a URI; or the name that the command gave it.
    pub name: String,
    /// Where it was: an absolute path, or the URI.
    pub location: String,
    /// Relative to the root of the code, if it lies within.
    pub relative: Option<String>,
    /// `file`, `folder`, `uri`, or `dataset` for one that the command reported.
    pub kind: String,
    /// BLAKE3 of a file's or a URI's bytes; of a folder that of the names and contents; of a dataset whatever its reporter gave.
    pub digest: String,
    /// Bytes; none for a dataset.
    pub size: Option<u64>,
}

/// A machine. What cannot be found out is empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// Operating system and kernel.
    pub system: String,
    /// x86_64, aarch64.
    pub architecture: String,
    /// The name of the processor.
    pub cpu: String,
    /// What it can do.
    pub cpu_flags: Vec<String>,
    /// Cores that the run could use.
    pub cores: usize,
    /// Bytes.
    pub memory: u64,
    /// Graphics processors.
    pub gpus: Vec<Gpu>,
    /// The time zone.
    pub timezone: String,
}

/// A graphics processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// Its name.
    pub name: String,
    /// The version of its driver.
    pub driver: String,
    /// Bytes.
    pub memory: u64,
}

impl Manifest {
    /// Sets the digest of what decides the result: code, command, environment, variables, seed and data. The same key again means
    /// the same run again; machine, time and run id do not count.
    pub fn settle_key(&mut self) {
        let mut key = kernel::digest::Builder::default();
        key.piece(SCHEMA.as_bytes());
        if let Some(code) = &self.code {
            key.piece(b"code").piece(code.tree.as_bytes());
            for submodule in &code.submodules {
                key.piece(submodule.path.as_bytes()).piece(submodule.commit.as_bytes());
            }
        }
        key.piece(b"command").piece(self.command.directory.as_bytes());
        for word in &self.command.argv {
            key.piece(word.as_bytes());
        }
        if let Some(environment) = &self.environment {
            key.piece(b"environment").piece(environment.digest.as_bytes());
        }
        key.piece(b"variables");
        for (name, value) in &self.variables {
            key.piece(name.as_bytes()).piece(value.as_bytes());
        }
        key.piece(b"seed").piece(self.seed.value.as_bytes()).piece(b"data");
        for data in &self.data {
            key.piece(data.name.as_bytes()).piece(data.digest.as_bytes());
        }
        self.key = key.finish();
    }

    /// The document.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads the document; one of another form is an error that says so.
    pub fn from_json(bytes: &[u8]) -> crate::Result<Self> {
        let corrupt = |reason: String| crate::Error::Corrupt { what: "the manifest".to_owned(), reason };
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        if manifest.schema == SCHEMA {
            return Ok(manifest);
        }
        Err(corrupt(format!("it has the form `{}`, and this version reads {SCHEMA}", manifest.schema)))
    }
}
