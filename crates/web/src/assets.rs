//! The files of the app and their common version.

use std::sync::LazyLock;

/// One embedded file.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

macro_rules! assets {
    ($($path:literal)*) => {
        &[$(Asset { path: $path, content_type: content_type($path), bytes: include_bytes!(concat!("../assets/", $path)) }),*]
    };
}

/// Everything under `assets/` but the page.
pub(crate) static ASSETS: &[Asset] = assets![
    "account.js" "api.js" "app.css" "app.js" "charts.js" "dom.js" "format.js" "icon.svg" "loop.js" "words.js"
    "screens/deployment.js" "screens/deployments.js" "screens/model.js" "screens/models.js" "screens/overview.js"
    "screens/pipelines.js" "screens/run.js" "screens/runs.js" "screens/trail.js"
];

static PAGE: &str = include_str!("../assets/index.html");

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = kernel::digest::Builder::default();
    digest.piece(PAGE.as_bytes());
    for asset in ASSETS {
        digest.piece(asset.path.as_bytes()).piece(asset.bytes);
    }
    digest.finish()[..16].to_owned()
});

/// Changes when any file does.
pub(crate) fn version() -> &'static str {
    &VERSION
}

/// The page, with the addresses of this version.
pub(crate) fn page() -> String {
    PAGE.replace("{{version}}", version())
}

/// A file by its path below `assets/`.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

const fn content_type(path: &str) -> &'static str {
    match path.as_bytes() {
        [.., b'.', b'j', b's'] => "text/javascript; charset=utf-8",
        [.., b'.', b'c', b's', b's'] => "text/css; charset=utf-8",
        [.., b'.', b's', b'v', b'g'] => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Bytes that a first visit may cost.
    const BUDGET: usize = 110_000;

    fn texts() -> impl Iterator<Item = (&'static str, String)> {
        let assets = ASSETS.iter().map(|asset| (asset.path, String::from_utf8(asset.bytes.to_vec()).unwrap()));
        assets.chain([("index.html", PAGE.to_owned())])
    }

    #[test]
    fn every_file_in_the_directory_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let mut files = BTreeSet::new();
        for dir in [root.clone(), root.join("screens")] {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    files.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files.remove("index.html");
        assert_eq!(files, ASSETS.iter().map(|asset| asset.path.to_owned()).collect());
    }

    #[test]
    fn every_import_is_there() {
        for (path, text) in texts().filter(|(path, _)| Path::new(path).extension().is_some_and(|ending| ending == "js"))
        {
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let from = line.rsplit('\'').nth(1).unwrap();
                let target = match from.strip_prefix("../") {
                    Some(above) => above.to_owned(),
                    None => Path::new(path)
                        .parent()
                        .unwrap()
                        .join(from.trim_start_matches("./"))
                        .to_str()
                        .unwrap()
                        .to_owned(),
                };
                assert!(find(&target).is_some(), "{path} imports {from}");
            }
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_or_built_from_text() {
        for (path, text) in texts() {
            for line in text.lines().filter(|line| line.contains("//")) {
                let other = line.contains("https://")
                    || line.contains("http://") && !line.contains("http://www.w3.org/2000/svg");
                assert!(!other, "{path}: {line}");
            }
            for banned in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write", " style=\"", "onclick=\""]
            {
                assert!(!text.contains(banned), "{path} uses {banned}");
            }
        }
    }

    #[test]
    fn a_first_visit_stays_small() {
        let total: usize = texts().map(|(_, text)| text.len()).sum();
        assert!(total < BUDGET, "{total} bytes");
    }
}
