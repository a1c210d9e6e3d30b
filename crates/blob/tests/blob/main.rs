//! One behaviour of files, in a directory, in memory and on an S3 server.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kernel::error::{Classified as _, Kind};
use rondo_blob::{Blob, Entry, Error, SafePath};
use tempfile::TempDir;
use testkit::S3;

mod parts;
mod s3;

fn path(text: &str) -> SafePath {
    SafePath::parse(text).unwrap()
}

fn on_disk() -> (TempDir, Blob) {
    let dir = TempDir::new().unwrap();
    let blob = Blob::open(dir.path().to_str().unwrap()).unwrap();
    (dir, blob)
}

/// What must live as long as a store.
enum Kept {
    Dir(TempDir),
    Server(#[expect(dead_code, reason = "stops when dropped")] S3),
    Nothing,
}

/// Each kind of store.
async fn stores() -> Vec<(Kept, Blob)> {
    let (dir, local) = on_disk();
    let server = S3::start().await.unwrap();
    let remote = Blob::open_with(&server.url("a/prefix"), server.settings()).unwrap();
    vec![(Kept::Dir(dir), local), (Kept::Nothing, Blob::memory()), (Kept::Server(server), remote)]
}

async fn put(blob: &Blob, name: &str, text: &str) {
    blob.put(&path(name), Bytes::copy_from_slice(text.as_bytes())).await.unwrap();
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| if entry.is_dir { format!("{}/", entry.name) } else { entry.name.clone() }).collect()
}

/// Every path below a directory, as the operating system sees it.
fn seen(dir: &TempDir) -> BTreeSet<String> {
    fn walk(at: &std::path::Path, root: &std::path::Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap().path();
            found.insert(entry.strip_prefix(root).unwrap().display().to_string());
            if entry.is_dir() {
                walk(&entry, root, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(dir.path(), dir.path(), &mut found);
    found
}

#[tokio::test]
async fn what_is_put_is_got_and_listed() {
    for (_kept, blob) in stores().await {
        put(&blob, "artifacts/0/run/model/MLmodel", "flavor").await;
        put(&blob, "artifacts/0/run/model/data/model.pkl", "12345678").await;
        put(&blob, "artifacts/0/run/a?b c%;ü.txt", "").await;
        put(&blob, "artifacts/0/run/a?b c%;ü.txt", "second").await;

        assert_eq!(blob.get(&path("artifacts/0/run/model/MLmodel")).await.unwrap(), "flavor");
        assert_eq!(blob.get(&path("artifacts/0/run/a?b c%;ü.txt")).await.unwrap(), "second");
        assert_eq!(blob.head(&path("artifacts/0/run/model/data/model.pkl")).await.unwrap().unwrap().size, 8);
        assert_eq!(blob.head(&path("artifacts/0/run/model")).await.unwrap(), None, "a directory is not a file");
        assert_eq!(blob.head(&path("artifacts/0/run/model/MLmodel/x")).await.unwrap(), None);

        assert_eq!(names(&blob.list("").await.unwrap()), ["artifacts/"]);
        assert_eq!(names(&blob.list("artifacts/0/run").await.unwrap()), ["a?b c%;ü.txt", "model/"]);
        assert_eq!(names(&blob.list("artifacts/0/run/").await.unwrap()), ["a?b c%;ü.txt", "model/"]);
        assert_eq!(blob.list("nowhere").await.unwrap(), []);
        let all = blob.list_all("artifacts/0/run/model").await.unwrap();
        assert_eq!(names(&all), ["MLmodel", "data/model.pkl"]);
        assert_eq!(all[1].size, 8);
        assert_eq!(blob.list_all("").await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_deletion_takes_emptied_directories_along_and_is_idempotent() {
    for (dir, blob) in stores().await {
        put(&blob, "a/b/c/one", "1").await;
        put(&blob, "a/b/two", "2").await;
        put(&blob, "ab/three", "3").await;
        blob.delete(&path("a/b/c/one")).await.unwrap();
        blob.delete(&path("a/b/c/one")).await.unwrap();
        assert_eq!(names(&blob.list("a/b").await.unwrap()), ["two"]);
        blob.delete_all("a").await.unwrap();
        blob.delete_all("a").await.unwrap();
        assert_eq!(names(&blob.list("").await.unwrap()), ["ab/"]);
        assert!(blob.delete_all("").await.is_err(), "the root stays");
        if let Kept::Dir(dir) = dir {
            assert_eq!(Vec::from_iter(seen(&dir)), [".incoming", "ab", "ab/three"]);
        }
    }
}

#[tokio::test]
async fn ranges_are_cut_at_the_end_and_refused_behind_it() {
    for (_kept, blob) in stores().await {
        put(&blob, "f", "0123456789").await;
        put(&blob, "empty", "").await;
        let read = async |range| {
            let (meta, stream) = blob.get_stream(&path("f"), Some(range)).await.unwrap();
            assert_eq!(meta.size, 10);
            stream.map(|chunk| chunk.unwrap()).collect::<Vec<Bytes>>().await.concat()
        };
        assert_eq!(read(0..1).await, b"0");
        assert_eq!(read(3..7).await, b"3456");
        assert_eq!(read(8..100).await, b"89");
        for range in [10..11, 5..5] {
            let refused = blob.get_stream(&path("f"), Some(range)).await.err().unwrap();
            assert!(matches!(refused, Error::Range { size: 10, .. }), "{refused}");
        }
        assert!(blob.get(&path("empty")).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_large_file_goes_through_in_chunks() {
    let chunk = Bytes::from(vec![7_u8; 300_000]);
    for (_kept, blob) in stores().await {
        let upload = stream::iter((0..40).map(|_| Ok(chunk.clone())));
        assert_eq!(blob.put_stream(&path("big"), upload, None).await.unwrap(), 12_000_000);
        let (_, mut stream) = blob.get_stream(&path("big"), Some(1..11_999_999)).await.unwrap();
        let mut total = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.unwrap();
            assert!(chunk.iter().all(|byte| *byte == 7));
            total += chunk.len();
        }
        assert_eq!(total, 11_999_998);
    }
}

#[tokio::test]
async fn an_upload_that_fails_or_is_too_large_leaves_nothing() {
    for (dir, blob) in stores().await {
        put(&blob, "x/kept", "old").await;
        let broken = || stream::iter([Ok(Bytes::from("half")), Err(io::ErrorKind::ConnectionReset.into())]);
        for name in ["x/kept", "x/new", "y/new"] {
            let error = blob.put_stream(&path(name), broken(), None).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{error}");
            let long = stream::iter([Ok(Bytes::from("123")), Ok(Bytes::from("45"))]);
            let error = blob.put_stream(&path(name), long, Some(4)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::TooLarge, "{error}");
        }
        assert_eq!(blob.get(&path("x/kept")).await.unwrap(), "old");
        assert_eq!(names(&blob.list_all("").await.unwrap()), ["x/kept"]);
        if let Kept::Dir(dir) = dir {
            assert_eq!(Vec::from_iter(seen(&dir)), [".incoming", "x", "x/kept"]);
        }
    }
}

#[tokio::test]
async fn an_upload_is_invisible_until_it_is_complete_and_gone_when_its_caller_leaves() {
    let (dir, blob) = on_disk();
    let first = stream::iter([Ok(Bytes::from(vec![1; 200_000]))]);
    let stuck = first.chain(stream::pending());
    {
        let target = path("x/f");
        let mut upload = std::pin::pin!(blob.put_stream(&target, stuck, None));
        while !seen(&dir).iter().any(|name| name.starts_with(".incoming/")) {
            assert!(futures_util::poll!(upload.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        assert_eq!(blob.list_all("").await.unwrap(), []);
        assert!(matches!(blob.get(&target).await, Err(Error::NotFound(_))));
    }
    while seen(&dir).len() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Vec::from_iter(seen(&dir)), [".incoming"]);
}

#[tokio::test]
async fn what_one_process_writes_another_that_opens_the_directory_leaves_alone() {
    let (dir, blob) = on_disk();
    let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
    let first = stream::iter([Ok(Bytes::from(vec![1; 200_000]))]);
    let rest = stream::once(async move {
        waits.await.unwrap();
        Ok(Bytes::from(vec![2; 10]))
    });
    let target = path("x/f");
    let mut upload = std::pin::pin!(blob.put_stream(&target, first.chain(rest), None));
    while !seen(&dir).iter().any(|name| name.starts_with(".incoming/")) {
        assert!(futures_util::poll!(upload.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    let other = Blob::open(&format!("file://{}", dir.path().display())).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(upload.await.unwrap(), 200_010);
    assert_eq!(other.get(&target).await.unwrap().len(), 200_010);
}

#[tokio::test]
async fn what_a_crash_left_behind_is_thrown_away() {
    let (dir, blob) = on_disk();
    put(&blob, "f", "1").await;
    fs::write(dir.path().join(".incoming/half"), "half").unwrap();
    let again = Blob::open(&format!("file://{}", dir.path().display())).unwrap();
    assert_eq!(Vec::from_iter(seen(&dir)), [".incoming", "f"]);
    assert_eq!(again.get(&path("f")).await.unwrap(), "1");
}

#[tokio::test]
async fn no_link_leads_out_of_the_directory() {
    let (dir, blob) = on_disk();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    put(&blob, "in/file", "inside").await;
    symlink(outside.path(), dir.path().join("in/dir")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("in/leak")).unwrap();
    symlink(outside.path().join("nothing"), dir.path().join("in/dangling")).unwrap();
    symlink("file", dir.path().join("in/alias")).unwrap();
    symlink("..", dir.path().join("in/up")).unwrap();

    for name in ["in/dir/secret", "in/leak"] {
        assert!(matches!(blob.get(&path(name)).await, Err(Error::Outside(_))), "{name}");
        assert!(matches!(blob.head(&path(name)).await, Err(Error::Outside(_))), "{name}");
    }
    assert!(blob.list("in/dir").await.is_err());
    assert!(blob.delete(&path("in/dir/secret")).await.is_err());
    assert!(blob.delete_all("in/dir").await.is_err());
    for name in ["in/dir/new", "in/dir/sub/new"] {
        let error = blob.put(&path(name), Bytes::from("x")).await.unwrap_err();
        assert!(matches!(error, Error::Outside(_)), "{error}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");

    assert_eq!(names(&blob.list("in").await.unwrap()), ["alias", "file"]);
    assert_eq!(names(&blob.list_all("").await.unwrap()), ["in/alias", "in/file"], "links are not descended");
    assert_eq!(blob.get(&path("in/alias")).await.unwrap(), "inside");
    // Writing through a link that points at a file replaces the link, not its target.
    blob.put(&path("in/leak"), Bytes::from("mine")).await.unwrap();
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(blob.get(&path("in/leak")).await.unwrap(), "mine");
}

#[tokio::test]
async fn a_file_and_a_directory_do_not_replace_each_other() {
    let (_dir, blob) = on_disk();
    put(&blob, "a/b", "1").await;
    for name in ["a", "a/b/c", "a/b/c/d"] {
        let error = blob.put(&path(name), Bytes::from("x")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{name}: {error}");
    }
    assert!(blob.delete(&path("a")).await.is_err(), "a directory is not deleted as a file");
    assert_eq!(blob.get(&path("a/b")).await.unwrap(), "1");
}

#[tokio::test]
async fn writers_of_one_file_and_deletions_around_them_never_mix() {
    let (dir, blob) = on_disk();
    // As another process would.
    let other = Blob::open(&format!("file://{}", dir.path().display())).unwrap();
    let work = (0..200).map(|index: usize| {
        let blob = if index.is_multiple_of(3) { other.clone() } else { blob.clone() };
        async move {
            let target = path("d/e/f");
            if index % 4 == 3 {
                blob.delete(&target).await.unwrap();
            } else {
                let chunk = Bytes::from(vec![u8::try_from(index).unwrap(); 1_000]);
                blob.put_stream(&target, stream::iter((0..5).map(|_| Ok(chunk.clone()))), None).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(work).await;
    put(&blob, "d/e/f", "last").await;
    assert_eq!(blob.get(&path("d/e/f")).await.unwrap(), "last");
}

#[test]
fn what_is_no_store_is_named() {
    let check = |url: &str, expect: &str| {
        let error = Blob::open_with(url, []).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (expect, Kind::Invalid));
        assert!(error.hint().unwrap().contains("s3://BUCKET/PREFIX"));
    };
    check("gs://bucket/x", "no store for the scheme \"gs://\" is built in");
    check("s3://", "\"s3://\" does not name an object store: \"\" is not the name of a bucket");
    check(
        "s3://Bu cket/x",
        "\"s3://Bu cket/x\" does not name an object store: \"Bu cket\" is not the name of a bucket",
    );
}
