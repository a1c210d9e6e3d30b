//! What only an object store does: parts, pages, links, conditions.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kernel::error::{Classified as _, Kind};
use rondo_blob::{Blob, Claim, Error};
use testkit::{Conditions, S3};

use crate::{names, path, put};

const MIB: usize = 1 << 20;

fn open(server: &S3, prefix: &str) -> Blob {
    Blob::open_with(&server.url(prefix), server.settings()).unwrap()
}

/// The server's files that are no objects: parts of uploads under way.
fn parts(server: &S3) -> BTreeSet<String> {
    let files = std::fs::read_dir(server.directory()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.contains("upload")).collect()
}

/// A piece of an upload that counts how many bytes of it are alive.
struct Counted {
    bytes: Vec<u8>,
    alive: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[tokio::test]
async fn an_upload_of_any_size_takes_the_same_memory() {
    let server = S3::start().await.unwrap();
    let blob = open(&server, "");
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (Arc::clone(&alive), Arc::clone(&most));
    let pieces = stream::iter(0..80).map(move |_| {
        let now = counted.fetch_add(MIB, Ordering::Relaxed) + MIB;
        highest.fetch_max(now, Ordering::Relaxed);
        Ok(Bytes::from_owner(Counted { bytes: vec![3; MIB], alive: Arc::clone(&counted) }))
    });
    assert_eq!(blob.put_stream(&path("big"), pieces, None).await.unwrap(), 80 * MIB as u64);
    assert_eq!(blob.head(&path("big")).await.unwrap().unwrap().size, 80 * MIB as u64);
    let most = most.load(Ordering::Relaxed);
    assert!(most <= 5 * 8 * MIB, "{} MiB of 80 were held at once", most / MIB);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_upload_in_parts_that_fails_or_is_left_takes_its_parts_back() {
    let server = S3::start().await.unwrap();
    let blob = open(&server, "");
    put(&blob, "kept", "old").await;
    let nine = || stream::iter((0..9).map(|_| Ok(Bytes::from(vec![1; MIB]))));

    let broken = nine().chain(stream::iter([Err(io::ErrorKind::ConnectionReset.into())]));
    assert_eq!(blob.put_stream(&path("kept"), broken, None).await.unwrap_err().kind(), Kind::Invalid);
    let limited = blob.put_stream(&path("kept"), nine(), Some(9 * MIB as u64 - 1)).await;
    assert_eq!(limited.unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(parts(&server), BTreeSet::new());
    {
        let target = path("left");
        let mut upload = std::pin::pin!(blob.put_stream(&target, nine().chain(stream::pending()), None));
        while !parts(&server).iter().any(|name| name.contains(".part-")) {
            assert!(futures_util::poll!(upload.as_mut()).is_pending());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(matches!(blob.get(&target).await, Err(Error::NotFound(_))), "it is not seen before it is whole");
    }
    while !parts(&server).is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(blob.get(&path("kept")).await.unwrap(), "old");
    assert_eq!(names(&blob.list_all("").await.unwrap()), ["kept"]);
}

#[tokio::test]
async fn more_files_than_a_page_are_listed_and_deleted_and_the_neighbour_stays() {
    let server = S3::start().await.unwrap();
    let (blob, neighbour) = (open(&server, "mine"), open(&server, "mine2"));
    put(&neighbour, "many/0", "theirs").await;
    let blob = &blob;
    let work = (0..1_050).map(|number| async move { put(blob, &format!("many/{number}"), "x").await });
    stream::iter(work).buffer_unordered(16).collect::<Vec<()>>().await;

    assert_eq!(blob.list("many").await.unwrap().len(), 1_050);
    assert_eq!(blob.list_all("").await.unwrap().len(), 1_050);
    blob.delete_all("many").await.unwrap();
    assert_eq!(blob.list_all("").await.unwrap(), []);
    assert_eq!(names(&neighbour.list_all("").await.unwrap()), ["many/0"]);
}

#[tokio::test]
async fn a_link_leads_past_us_to_the_file_and_to_nothing_else() {
    let server = S3::start().await.unwrap();
    let blob = open(&server, "some/where");
    let name = path("a dir/ü 100%.txt");
    blob.put(&name, Bytes::from("0123456789")).await.unwrap();
    let link = blob.presigned(&name, Duration::from_mins(1)).await.unwrap().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |link: &str| client.get(link).header("range", "bytes=2-4").send().await.unwrap();

    let answer = get(&link).await;
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (206, "234"));
    let unsigned = link.split('?').next().unwrap();
    assert_eq!(get(unsigned).await.status(), 403);
    assert_eq!(get(&link.replace("X-Amz-Expires=60", "X-Amz-Expires=61")).await.status(), 403);

    let directory = tempfile::tempdir().unwrap();
    let local = Blob::open(directory.path().to_str().unwrap()).unwrap();
    assert_eq!(local.presigned(&name, Duration::from_mins(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_store_has_one_owner_and_tells_whether_it_minds_conditions() {
    let minding = S3::start().await.unwrap();
    let careless = S3::with_conditions(Conditions::Ignored).await.unwrap();
    let refusing = S3::with_conditions(Conditions::Refused).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let local = Blob::open(directory.path().to_str().unwrap()).unwrap();
    let claim = |owner: &str, conditional| Claim { owner: owner.to_owned(), conditional };
    let remote = [(open(&minding, "p"), true), (open(&careless, "p"), false), (open(&refusing, "p"), false)];
    for (blob, conditional) in remote.into_iter().chain([(Blob::memory(), true), (local, true)]) {
        assert_eq!(blob.owner().await.unwrap(), None);
        assert_eq!(blob.claim("one").await.unwrap(), claim("one", conditional));
        assert_eq!(blob.claim("one").await.unwrap(), claim("one", conditional), "again");
        assert_eq!(blob.claim("two").await.unwrap(), claim("one", conditional));
        assert_eq!(blob.owner().await.unwrap().as_deref(), Some("one"));
    }
    assert_eq!(open(&minding, "q").claim("two").await.unwrap(), claim("two", true), "another prefix is another store");
}

#[tokio::test]
async fn of_owners_that_come_at_once_one_wins_and_all_know_who() {
    let server = S3::start().await.unwrap();
    let blob = &open(&server, "");
    let claims = (0..8).map(|number| async move { blob.claim(&format!("owner-{number}")).await.unwrap().owner });
    let owners: BTreeSet<String> = futures_util::future::join_all(claims).await.into_iter().collect();
    assert_eq!(owners.len(), 1, "{owners:?}");
}

#[tokio::test]
async fn a_store_is_known_by_its_name_whoever_opens_it() {
    let server = S3::start().await.unwrap();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let local = |directory: &tempfile::TempDir| Blob::open(directory.path().to_str().unwrap()).unwrap();
    let handles = [open(&server, "p"), open(&server, "p"), local(&one), local(&one)];
    let names = handles.iter().zip(["a", "b", "c", "d"]).map(|(blob, name)| blob.identity(name));
    let names = futures_util::future::join_all(names).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert!(names[0] == names[1] && names[2] == names[3] && names[0] != names[2], "{names:?}");
    assert_eq!(local(&one).identity("later").await.unwrap(), names[2]);
    assert_eq!(local(&other).identity("e").await.unwrap(), "e");
    assert_eq!(open(&server, "q").identity("f").await.unwrap(), "f");
}

#[tokio::test]
async fn a_store_that_refuses_us_or_is_away_is_unavailable_and_says_what_to_look_at() {
    let server = S3::start().await.unwrap();
    let wrong = server.settings().into_iter().map(|(name, value)| {
        let value = if name == "AWS_SECRET_ACCESS_KEY" { "wrong".to_owned() } else { value };
        (name, value)
    });
    let mut refused = vec![Blob::open_with(&server.url(""), wrong).unwrap()];
    refused.push(Blob::open_with("s3://no-such-bucket", server.settings()).unwrap());
    let settings = server.settings();
    drop(server);
    refused.push(Blob::open_with("s3://test-bucket", settings).unwrap());
    for blob in refused {
        let error = blob.claim("me").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
        assert!(error.hint().unwrap().contains("AWS_ENDPOINT_URL"), "{error}");
    }
}
