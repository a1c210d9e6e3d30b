//! A real repository is captured, and comes back in another place: code, data, and what is missing by its name.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::Command;

use rondo_record::Error;
use rondo_record::capture::{Captured, Request, UNTRACKED_LIMIT, capture};
use rondo_record::manifest::Manifest;
use rondo_record::restore;

fn git(dir: &Path, words: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"];
    let done = Command::new("git").arg("-C").arg(dir).args(identity).args(words).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A repository with one commit.
fn repository(dir: &Path) {
    fs::create_dir_all(dir.join("src")).unwrap();
    git(dir, &["init", "--quiet", "--initial-branch=main"]);
    fs::write(dir.join("src/a.py"), "one\n").unwrap();
    fs::write(dir.join("gone.py"), "x\n").unwrap();
    fs::write(dir.join(".gitignore"), "*.log\n").unwrap();
    git(dir, &["add", "."]);
    git(dir, &["commit", "--quiet", "--message", "first"]);
}

fn look(dir: &Path, change: impl FnOnce(&mut Request)) -> Captured {
    let mut request = Request {
        argv: vec!["sh".to_owned(), "-c".to_owned(), "true".to_owned()],
        directory: dir.canonicalize().unwrap(),
        untracked_limit: UNTRACKED_LIMIT,
        ..Request::default()
    };
    change(&mut request);
    capture(&request).unwrap()
}

fn come_back(captured: &Captured, near: &Path, into: &Path) -> Result<(), Error> {
    let patch = Some(captured.patch.as_slice()).filter(|patch| !patch.is_empty());
    restore::code(captured.manifest.code.as_ref().unwrap(), patch, near, into)?;
    restore::data(&captured.manifest.data, into)
}

fn reason(result: Result<(), Error>) -> String {
    match result {
        Err(Error::Missing(what)) => what,
        other => panic!("{other:?} is not a thing that is missing"),
    }
}

#[test]
fn changes_and_new_files_come_back_and_the_repository_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("code");
    repository(&dir);
    fs::write(dir.join("src/a.py"), "two\n").unwrap();
    fs::remove_file(dir.join("gone.py")).unwrap();
    fs::write(dir.join("new file.bin"), [0, 255, 10, 13]).unwrap();
    fs::write(dir.join("trace.log"), "ignored").unwrap();
    std::os::unix::fs::symlink("src/a.py", dir.join("link")).unwrap();
    git(&dir, &["add", "new file.bin"]);
    let before = (git(&dir, &["status", "--porcelain"]), git(&dir, &["count-objects"]));
    let captured = look(&dir.join("src"), |_| {});
    assert_eq!((git(&dir, &["status", "--porcelain"]), git(&dir, &["count-objects"])), before);
    let code = captured.manifest.code.as_ref().unwrap();
    assert!(code.dirty && code.branch.as_deref() == Some("main") && captured.manifest.gaps.is_empty());
    assert_eq!(
        (code.untracked.as_slice(), captured.manifest.command.directory.as_str()),
        (&["link".to_owned()][..], "src")
    );
    let into = place.path().join("again");
    come_back(&captured, place.path(), &into).unwrap();
    assert_eq!(fs::read(into.join("new file.bin")).unwrap(), [0, 255, 10, 13]);
    assert_eq!(fs::read_to_string(into.join("link")).unwrap(), "two\n");
    assert!(!into.join("gone.py").exists() && !into.join("trace.log").exists());
}

#[test]
fn what_cannot_be_gone_back_to_is_a_gap() {
    let place = tempfile::tempdir().unwrap();
    let gap = |captured: Captured| captured.manifest.gaps.first().cloned().unwrap();
    assert!(gap(look(place.path(), |_| {})).contains("no Git repository"));
    let dir = place.path().join("code");
    fs::create_dir(&dir).unwrap();
    git(&dir, &["init", "--quiet"]);
    assert!(gap(look(&dir, |_| {})).contains("no commit yet"));
    repository(&dir);
    fs::write(dir.join("small"), "1").unwrap();
    fs::write(dir.join("large"), "12345").unwrap();
    let captured = look(&dir, |request| request.untracked_limit = 5);
    assert!(captured.patch.is_empty() && gap(captured).contains("`large`"));
    // Declared data is not code, and needs no room in the patch.
    let captured = look(&dir, |request| {
        request.untracked_limit = 5;
        request.data = vec!["large".to_owned()];
    });
    assert_eq!((captured.manifest.gaps.len(), captured.manifest.data[0].relative.as_deref()), (0, Some("large")));
    let inner = dir.join("inner");
    fs::create_dir(&inner).unwrap();
    repository(&inner);
    assert!(gap(look(&dir, |_| {})).contains("`inner/`"));
}

#[test]
fn data_comes_back_by_its_digest() {
    let place = tempfile::tempdir().unwrap();
    let (dir, outside) = (place.path().join("code"), place.path().join("outside.csv"));
    repository(&dir);
    fs::create_dir_all(dir.join("data.log/part")).unwrap();
    fs::write(dir.join("data.log/part/1"), "rows").unwrap();
    fs::write(&outside, "more").unwrap();
    let declared = ["data.log", "src/a.py", "../outside.csv"].map(str::to_owned).to_vec();
    let captured = look(&dir, |request| request.data = declared);
    let into = place.path().join("again");
    come_back(&captured, place.path(), &into).unwrap();
    assert_eq!(fs::read_to_string(into.join("data.log/part/1")).unwrap(), "rows");
    let again = |name: &str| reason(come_back(&captured, place.path(), &place.path().join(name)));
    fs::write(&outside, "less").unwrap();
    assert!(again("a").contains("`../outside.csv`"));
    fs::remove_dir_all(dir.join("data.log")).unwrap();
    assert!(again("b").contains("`data.log`"), "the first that is missing is named");
}

#[test]
fn a_lost_commit_is_named_and_a_remote_may_have_it() {
    let place = tempfile::tempdir().unwrap();
    let (dir, remote) = (place.path().join("code"), place.path().join("remote"));
    repository(&dir);
    git(place.path(), &["clone", "--quiet", "--bare", "code", "remote"]);
    let lonely = look(&dir, |_| {});
    git(&dir, &["remote", "add", "origin", &format!("file://{}", remote.display())]);
    let known = look(&dir, |_| {});
    fs::remove_dir_all(&dir).unwrap();
    let commit = known.manifest.code.as_ref().unwrap().commit.clone();
    let lost = reason(come_back(&lonely, place.path(), &place.path().join("a")));
    assert!(lost.contains(&commit[..12]) && lost.contains("no remote"), "{lost}");
    come_back(&known, place.path(), &place.path().join("b")).unwrap();
    fs::remove_dir_all(&remote).unwrap();
    assert!(reason(come_back(&known, place.path(), &place.path().join("c"))).contains(&commit[..12]));
}

#[test]
fn a_patch_must_be_the_one_that_was_recorded() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("code");
    repository(&dir);
    fs::write(dir.join("src/a.py"), "two\n").unwrap();
    let mut captured = look(&dir, |_| {});
    captured.patch.push(b'\n');
    assert!(reason(come_back(&captured, place.path(), &place.path().join("a"))).contains("not the one"));
    captured.patch.clear();
    assert!(reason(come_back(&captured, place.path(), &place.path().join("b"))).contains("is gone"));
}

#[test]
fn submodules_come_back() {
    let place = tempfile::tempdir().unwrap();
    let (dir, library) = (place.path().join("code"), place.path().join("library"));
    repository(&library);
    repository(&dir);
    git(&dir, &["submodule", "--quiet", "add", &format!("file://{}", library.display()), "lib"]);
    git(&dir, &["commit", "--quiet", "--message", "second"]);
    let captured = look(&dir, |_| {});
    let code = captured.manifest.code.as_ref().unwrap();
    assert_eq!((code.submodules.len(), code.submodules[0].path.as_str(), code.dirty), (1, "lib", false));
    let into = place.path().join("again");
    come_back(&captured, place.path(), &into).unwrap();
    assert_eq!(fs::read_to_string(into.join("lib/src/a.py")).unwrap(), "one\n");
    fs::write(dir.join("lib/src/a.py"), "changed").unwrap();
    assert!(look(&dir, |_| {}).manifest.gaps[0].contains("`lib`"));
}

#[test]
fn the_key_is_that_of_what_decides_the_result() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("code");
    repository(&dir);
    let key = |change: &dyn Fn(&mut Request)| look(&dir, change).manifest.key;
    let first = key(&|_| {});
    assert_eq!(first, key(&|_| {}));
    let variable = |name: &'static str| {
        move |request: &mut Request| {
            request.variables.insert(name.to_owned(), "1".to_owned());
        }
    };
    assert_ne!(first, key(&variable("OMP_NUM_THREADS")));
    assert_eq!(first, key(&variable("HOME")));
    assert_ne!(first, key(&|request| request.argv.push("x".to_owned())));
    assert_ne!(first, key(&|request| request.data = vec!["src".to_owned()]));
    fs::write(dir.join("src/a.py"), "two\n").unwrap();
    assert_ne!(first, key(&|_| {}));
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    let place = tempfile::tempdir().unwrap();
    repository(place.path());
    let manifest = look(place.path(), |_| {}).manifest;
    assert_eq!(Manifest::from_json(&manifest.to_json()).unwrap(), manifest);
    let other = String::from_utf8(manifest.to_json()).unwrap().replace("rondo.manifest/1", "rondo.manifest/2");
    assert!(Manifest::from_json(other.as_bytes()).unwrap_err().to_string().contains("rondo.manifest/2"));
}
