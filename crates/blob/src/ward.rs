//! Which part of a store a handle reaches: all of it, all but what is kept apart, or only one part.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Blob, Entry, Error, SafePath, parts};

/// The reach of a handle.
#[derive(Clone, Debug, Default)]
pub(crate) enum Ward {
    /// Everything.
    #[default]
    All,
    /// Everything but what is below this directory.
    Without(Arc<str>),
    /// Only what is below this directory, by its full path; and uploads in parts, whose ids nobody guesses.
    Only(Arc<str>),
    /// Only what is below this directory, which the caller takes for the root.
    Root(Arc<str>),
}

impl Ward {
    /// The path in the store.
    pub(crate) fn place<'p>(&self, path: &'p SafePath) -> Result<Cow<'p, SafePath>, Error> {
        match self {
            Self::All => Ok(Cow::Borrowed(path)),
            Self::Without(apart) if is_below(path.as_str(), apart) => Err(Error::Apart(path.to_string())),
            Self::Only(dir) if !is_below(path.as_str(), dir) && !is_below(path.as_str(), parts::ROOT) => {
                Err(Error::Apart(path.to_string()))
            }
            Self::Without(_) | Self::Only(_) => Ok(Cow::Borrowed(path)),
            Self::Root(dir) => Ok(Cow::Owned(SafePath::parse(dir)?.join(path.as_str())?)),
        }
    }

    /// The directory in the store, if nothing below it is out of reach.
    pub(crate) fn place_whole(&self, dir: &SafePath) -> Result<SafePath, Error> {
        match self {
            Self::Without(apart) if is_below(apart, dir.as_str()) => Err(Error::Apart(dir.to_string())),
            _ => Ok(self.place(dir)?.into_owned()),
        }
    }

    /// Leaves what is out of reach out of a listing of a directory.
    pub(crate) fn hide(&self, dir: Option<&SafePath>, found: &mut Vec<Entry>) {
        let Self::Without(apart) = self else { return };
        let full = |name: &str| dir.map_or_else(|| name.to_owned(), |dir| format!("{dir}/{name}"));
        found.retain(|entry| !is_below(&full(&entry.name), apart));
    }

    /// A directory in the store; the root of a handle that reaches only a part is that part.
    pub(crate) fn place_dir(&self, dir: Option<SafePath>) -> Result<Option<SafePath>, Error> {
        match (dir, self) {
            (Some(dir), _) => Ok(Some(self.place(&dir)?.into_owned())),
            (None, Self::Only(inside) | Self::Root(inside)) => Ok(Some(SafePath::parse(inside)?)),
            (None, Self::All | Self::Without(_)) => Ok(None),
        }
    }
}

/// Whether a path is this directory or below it, however it is spelled: names that differ in case alone are one on some file systems.
fn is_below(path: &str, dir: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    [path, &*decoded].into_iter().any(|path| {
        let (head, rest) = (path.get(..dir.len()), path.get(dir.len()..));
        head.is_some_and(|head| head.eq_ignore_ascii_case(dir))
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

impl Blob {
    /// A handle of the same store that reaches everything but what is below a directory.
    #[must_use]
    pub fn without(&self, dir: &SafePath) -> Self {
        self.warded(Ward::Without(dir.as_str().into()))
    }

    /// A handle of the same store that reaches only what is below a directory, by its full path.
    #[must_use]
    pub fn only(&self, dir: &SafePath) -> Self {
        self.warded(Ward::Only(dir.as_str().into()))
    }

    /// A handle of the same store for which a directory is the root.
    pub fn rooted(&self, dir: &SafePath) -> Result<Self, Error> {
        let dir = self.ward.place(dir)?;
        Ok(self.warded(Ward::Root(dir.as_str().into())))
    }

    /// Whether this handle reaches a path.
    pub fn reaches(&self, path: &SafePath) -> bool {
        self.ward.place(path).is_ok()
    }

    fn warded(&self, ward: Ward) -> Self {
        Self { store: self.store.clone(), ward }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handle_reaches_its_part_and_no_other() {
        let path = |text: &str| SafePath::parse(text).unwrap();
        let all = Blob::memory();
        let apart = path("artifacts/workspaces");
        let (here, there) = (all.without(&apart), all.only(&path("artifacts/workspaces/a")));
        for (file, is_here, is_there) in [
            ("artifacts/0/x", true, false),
            ("artifacts/workspaces/a/1/x", false, true),
            ("artifacts/workspaces/ab/1/x", false, false),
            ("artifacts/workspaces/b/1/x", false, false),
            ("artifacts/Workspaces/b/1/x", false, false),
            ("artifacts/work%73paces/b/1/x", false, false),
            ("artifacts/workspacesx/1", true, false),
        ] {
            let file = path(file);
            all.put(&file, "1".into()).await.unwrap();
            for (handle, reaches) in [(&here, is_here), (&there, is_there)] {
                assert_eq!(handle.reaches(&file), reaches, "{file}");
                assert_eq!(handle.get(&file).await.is_ok(), reaches, "{file}");
                assert_eq!(handle.head(&file).await.is_ok(), reaches, "{file}");
                assert_eq!(handle.put(&file, "2".into()).await.is_ok(), reaches, "{file}");
                assert_eq!(handle.delete_all(file.as_str()).await.is_ok(), reaches, "{file}");
            }
        }
        assert!(here.list("artifacts/workspaces").await.is_err());
        all.put(&path("artifacts/0/x"), "1".into()).await.unwrap();
        all.put(&path("artifacts/workspacesx/1"), "1".into()).await.unwrap();
        all.put(&path("artifacts/workspaces/a/1/x"), "1".into()).await.unwrap();
        let names = |found: Vec<Entry>| found.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!(names(here.list("artifacts").await.unwrap()), ["0", "workspacesx"]);
        assert_eq!(names(here.list_all("").await.unwrap()), ["artifacts/0/x", "artifacts/workspacesx/1"]);
        assert!(here.delete_all("artifacts").await.is_err(), "it would take along what is apart");
        assert_eq!(names(there.list("").await.unwrap()), ["1"]);
    }

    #[tokio::test]
    async fn a_root_is_where_its_handle_begins() {
        let path = |text: &str| SafePath::parse(text).unwrap();
        let all = Blob::memory();
        let part = all.rooted(&path("workspaces/a")).unwrap();
        part.put(&path("x/y"), "1".into()).await.unwrap();
        assert_eq!(all.get(&path("workspaces/a/x/y")).await.unwrap(), "1");
        assert_eq!(part.list("").await.unwrap()[0].name, "x");
        assert_eq!(part.list_all("").await.unwrap()[0].name, "x/y");
        assert!(part.head(&path("workspaces/a/x/y")).await.unwrap().is_none());
    }
}
