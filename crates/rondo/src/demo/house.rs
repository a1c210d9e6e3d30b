//! The folder of the demo: the server's data folder, and in `demo/` the scripts, the Python environment and the flights.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The scripts as they are in the repository, carried along in the executable.
const FILES: [(&str, &str); 5] = [
    ("pipeline.toml", include_str!("../../../../demo/pipeline.toml")),
    ("prepare.py", include_str!("../../../../demo/prepare.py")),
    ("fetch.py", include_str!("../../../../demo/fetch.py")),
    ("train.py", include_str!("../../../../demo/train.py")),
    ("requirements.txt", include_str!("../../../../demo/requirements.txt")),
];

/// The definition of the pipeline.
pub(super) const PIPELINE: &str = FILES[0].1;
/// What the scripts need.
pub(super) const REQUIREMENTS: &str = FILES[4].1;

/// Where things are.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    data: PathBuf,
}

impl Folder {
    /// Makes the folder and writes the scripts into it.
    pub(super) fn make(data: &Path) -> anyhow::Result<Self> {
        let demo = data.join("demo");
        std::fs::create_dir_all(&demo).with_context(|| format!("{} cannot be created", demo.display()))?;
        let data = data.canonicalize().with_context(|| format!("{} cannot be opened", data.display()))?;
        let folder = Self { data };
        for (name, text) in FILES {
            let path = folder.demo().join(name);
            // A file that is the same stays untouched: what depends on it then has nothing to do.
            if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
                continue;
            }
            std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(folder)
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn demo(&self) -> PathBuf {
        self.data.join("demo")
    }

    pub(super) fn venv(&self) -> PathBuf {
        self.demo().join("venv")
    }

    pub(super) fn replay(&self) -> PathBuf {
        self.demo().join("data/replay.csv")
    }

    pub(super) fn story(&self) -> PathBuf {
        self.demo().join("story.json")
    }

    /// What the server writes to standard error.
    pub(super) fn server_log(&self) -> PathBuf {
        self.demo().join("server.log")
    }

    /// What setting up the Python environment prints.
    pub(super) fn python_log(&self) -> PathBuf {
        self.demo().join("python.log")
    }
}
