//! What a server has not acknowledged yet, one folder for each run.
//!
//! A folder holds `about.json` (what the run is), lanes (`*.jsonl`, append-only, one writer each), for each lane how far the
//! server has it (`*.sent`), and the contents of artifacts (`files/`). An entry is on its way to the server as soon as its line
//! has ended: a killed process loses nothing, and half a line at the end was never acknowledged and is cut off. Sending is done
//! at least once; everything that is sent has the same effect twice as once. The Python package writes lanes of the same form.

mod lane;

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use lane::{Reader, Writer};

use crate::{Error, Result};

/// The form of the folder.
pub const SCHEMA: &str = "rondo.spool/1";

/// What a run is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// [`SCHEMA`].
    pub schema: String,
    /// The id of the run.
    pub run_id: String,
    /// The address of the server.
    pub server: String,
    /// The workspace, if it is not that of whoever asks.
    pub workspace: Option<String>,
    /// The name of the experiment.
    pub experiment: String,
    /// The name of the run; the server gives one if it is empty.
    pub name: String,
    /// Who started it.
    pub user: String,
    /// Milliseconds since the epoch.
    pub start_ms: i64,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The working folder, absolute.
    pub directory: String,
    /// Paths and URIs of data, as they were declared.
    pub data: Vec<String>,
    /// What `RONDO_SEED` is.
    pub seed: String,
    /// The number of the attempt that was started last.
    pub attempt: u32,
    /// Whether the run is known to exist on the server, and where its artifacts go.
    pub target: Option<Target>,
    /// Whether its last attempt has ended, and everything about it is in the lanes.
    pub ended: bool,
}

/// Where the run is on the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The id of its experiment.
    pub experiment_id: String,
    /// Where its artifacts go.
    pub artifact_uri: String,
}

/// One line of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// A call of the protocol, by its path below the prefix; the id of the run is added when it is sent.
    Post {
        /// E.g. `/runs/log-batch`.
        post: String,
        /// Its body.
        body: Value,
    },
    /// An artifact.
    Put {
        /// Its path below the run's artifacts.
        put: String,
        /// The file with its content: in `files/` and gone once sent, or beside the lanes and kept.
        file: String,
    },
}

/// The folder of one run, held by this process.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    _lock: File,
}

/// Where spools are: `RONDO_SPOOL`, else below [`cache`].
pub fn root() -> PathBuf {
    variable("RONDO_SPOOL").unwrap_or_else(|| cache().join("spool"))
}

/// What may be kept between runs: `RONDO_CACHE`, else `rondo` in the user's cache folder. Absolute.
pub fn cache() -> PathBuf {
    let user = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let folder = variable("RONDO_CACHE").or_else(|| Some(user()?.join("rondo"))).unwrap_or_else(|| ".rondo".into());
    std::path::absolute(&folder).unwrap_or(folder)
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The runs that have a folder, in the order of their ids.
pub fn runs(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut runs: Vec<String> = entries
        .filter(|entry| entry.path().join("about.json").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    runs.sort();
    runs
}

impl Spool {
    /// Makes the folder of a run, or takes up the one that is there.
    pub fn create(root: &Path, about: &About) -> Result<Self> {
        let dir = root.join(&about.run_id);
        fs::create_dir_all(dir.join("files")).map_err(Error::file("make", &dir))?;
        let spool = Self::hold(dir, &about.run_id)?;
        spool.set_about(about)?;
        Ok(spool)
    }

    /// Takes up the folder of a run; none if there is none.
    pub fn open(root: &Path, run_id: &str) -> Result<Option<(Self, About)>> {
        let dir = root.join(run_id);
        if !dir.join("about.json").exists() {
            return Ok(None);
        }
        let spool = Self::hold(dir, run_id)?;
        // Whoever held it may have finished with it in between.
        if !spool.dir.join("about.json").exists() {
            return Ok(None);
        }
        let about = spool.about()?;
        Ok(Some((spool, about)))
    }

    fn hold(dir: PathBuf, run_id: &str) -> Result<Self> {
        let path = dir.join("lock");
        let lock = File::options().create(true).append(true).open(&path).map_err(Error::file("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { run_id: run_id.to_owned() }),
            Err(TryLockError::Error(error)) => Err(Error::file("lock", &path)(error)),
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the run is.
    pub fn about(&self) -> Result<About> {
        let path = self.dir.join("about.json");
        let text = fs::read(&path).map_err(Error::file("read", &path))?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::Corrupt { what: path.display().to_string(), reason: error.to_string() })
    }

    /// Replaces what the run is, in one step.
    pub fn set_about(&self, about: &About) -> Result<()> {
        let about = About { schema: SCHEMA.to_owned(), ..about.clone() };
        let (path, new) = (self.dir.join("about.json"), self.dir.join("about.json.new"));
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec_pretty(&about)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(Error::file("write", &path))
    }

    /// The lanes that exist, by name: artifacts first and the end of the run last.
    pub fn lanes(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let name = |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(".jsonl")?.to_owned());
        let mut lanes: Vec<String> = entries.filter_map(name).filter(|name| name != REFUSED).collect();
        lanes.sort_by_key(|name| (name != FILES, name == OWN, name.clone()));
        lanes
    }

    /// A place for the content of an artifact, in the folder.
    pub fn file(&self) -> (String, PathBuf) {
        let name = format!("files/{}", kernel::id::random_hex());
        let path = self.dir.join(&name);
        (name, path)
    }

    /// Notes what the server will not take, with its reason.
    pub fn refuse(&self, entry: &Entry, reason: &str) -> Result<()> {
        let line = serde_json::json!({ "entry": entry, "reason": reason });
        Writer::open(&self.dir, REFUSED)?.append_line(&line.to_string()).map(drop)
    }

    /// How many entries the server would not take.
    pub fn refused(&self) -> usize {
        fs::read_to_string(self.dir.join(format!("{REFUSED}.jsonl"))).map_or(0, |text| text.lines().count())
    }

    /// Removes the folder; for a run whose every entry is sent. What was refused stays beside it.
    pub fn remove(&self) -> Result<()> {
        if self.refused() > 0 {
            let kept = self.dir.with_extension("refused.jsonl");
            fs::rename(self.dir.join(format!("{REFUSED}.jsonl")), &kept).map_err(Error::file("write", &kept))?;
        }
        // First the file by which others know it.
        let about = self.dir.join("about.json");
        fs::remove_file(&about).map_err(Error::file("remove", &about))?;
        fs::remove_dir_all(&self.dir).map_err(Error::file("remove", &self.dir))
    }
}

/// The lane of artifacts.
pub const FILES: &str = "files";
/// The lane of whoever runs the command.
pub const OWN: &str = "run";
/// Not a lane: what the server would not take.
const REFUSED: &str = "refused";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_a_run() {
        let root = tempfile::tempdir().unwrap();
        let about = About { run_id: "r1".to_owned(), ..About::default() };
        let spool = Spool::create(root.path(), &about).unwrap();
        assert!(matches!(Spool::open(root.path(), "r1"), Err(Error::Busy { .. })));
        assert_eq!(runs(root.path()), ["r1"]);
        drop(spool);
        let (spool, about) = Spool::open(root.path(), "r1").unwrap().unwrap();
        assert_eq!(about.schema, SCHEMA);
        for lane in ["run", "relay", "files", "python-7"] {
            Writer::open(spool.dir(), lane).unwrap();
        }
        assert_eq!(spool.lanes(), ["files", "python-7", "relay", "run"]);
        spool.remove().unwrap();
        assert!(runs(root.path()).is_empty() && Spool::open(root.path(), "r1").unwrap().is_none());
    }

    #[test]
    fn an_entry_is_known_by_its_fields() {
        let check = |text: &str| {
            let entry: Entry = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&entry).unwrap(), text);
        };
        check(r#"{"post":"/runs/set-tag","body":{"key":"a","value":"b"}}"#);
        check(r#"{"put":"model/MLmodel","file":"files/1"}"#);
    }
}
