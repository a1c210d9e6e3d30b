//! Uploads in parts, in each kind of store.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use kernel::clock::Clock;
use kernel::error::{Classified as _, Kind};
use rondo_blob::{Blob, Error, MAX_PARTS, PartUpload};

use crate::{Kept, names, on_disk, path, put, stores};

const MIB: usize = 1 << 20;
const HOUR: Duration = Duration::from_hours(1);

/// Sends a part the way that the store wants it, and returns its etag.
async fn send(blob: &Blob, upload: &PartUpload, number: u32, bytes: Vec<u8>) -> String {
    let now_us = Clock::system().now_us();
    let Some(link) = blob.link_part(upload, number, HOUR, now_us).await.unwrap() else {
        let pieces: Vec<_> = bytes.chunks(MIB).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        return blob.put_part(upload, number, stream::iter(pieces)).await.unwrap();
    };
    let answer = reqwest::Client::new().put(link).body(bytes).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    let line: Vec<u8> = (0..251).map(|index| (index * 31 + seed) as u8).collect();
    let mut bytes = line.repeat(length / line.len() + 1);
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn parts_in_any_order_become_one_file() {
    for (_kept, blob) in stores().await {
        let file = path("a/big ü.bin");
        put(&blob, "a/big ü.bin", "what was there before").await;
        let upload = blob.start_parts(&file, 3, 7).await.unwrap();
        let contents = [pattern(1, 5 * MIB), pattern(2, 5 * MIB), pattern(3, 1_000)];
        let mut etags = Vec::new();
        for number in [3, 1, 2] {
            etags.push((number, send(&blob, &upload, number, contents[number as usize - 1].clone()).await));
        }
        assert_eq!(blob.get(&file).await.unwrap(), "what was there before", "until the last word");
        etags.sort();
        let again = blob.parts(&upload.id).await.unwrap();
        assert_eq!((again.parts, again.started_us, again.path().unwrap()), (3, 7, file.clone()));
        blob.finish_parts(&again, &etags).await.unwrap();
        assert_eq!(blob.get(&file).await.unwrap(), contents.concat());
        assert!(matches!(blob.parts(&upload.id).await, Err(Error::NotFound(_))));
        assert_eq!(names(&blob.list("").await.unwrap()), ["a/"]);
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    for (kept, blob) in stores().await {
        let upload = blob.start_parts(&path("f"), 2, 0).await.unwrap();
        send(&blob, &upload, 1, pattern(1, 10)).await;
        assert_eq!(blob.all_parts().await.unwrap().0.len(), 1);
        blob.abort_parts(&upload).await.unwrap();
        assert_eq!(blob.list("").await.unwrap(), []);
        // The S3 server of the tests denies that there was one, where S3 does not find it.
        if !matches!(kept, Kept::Server(_)) {
            blob.abort_parts(&upload).await.unwrap();
        }
        assert!(blob.all_parts().await.unwrap().0.is_empty());
    }
}

#[tokio::test]
async fn an_upload_outlives_the_process() {
    let (dir, blob) = on_disk();
    let upload = blob.start_parts(&path("f"), 2, 0).await.unwrap();
    let first = send(&blob, &upload, 1, pattern(1, 100)).await;
    drop(blob);
    let blob = Blob::open(dir.path().to_str().unwrap()).unwrap();
    let upload = blob.parts(&upload.id).await.unwrap();
    let second = send(&blob, &upload, 2, pattern(2, 50)).await;
    blob.finish_parts(&upload, &[(1, first), (2, second)]).await.unwrap();
    assert_eq!(blob.get(&path("f")).await.unwrap(), [pattern(1, 100), pattern(2, 50)].concat());
}

#[tokio::test]
async fn what_was_not_sent_is_not_put_together() {
    for (kept, blob) in stores().await {
        let upload = blob.start_parts(&path("f"), 3, 0).await.unwrap();
        let first = send(&blob, &upload, 1, pattern(1, 5 * MIB)).await;
        let second = send(&blob, &upload, 2, pattern(2, 10)).await;
        let mut wrong = vec![
            vec![],
            vec![(2, second.clone())],
            vec![(1, first.clone()), (1, first.clone())],
            vec![(1, first.clone()), (2, second.clone()), (3, second.clone()), (4, second.clone())],
        ];
        // The S3 server of the tests looks at no etags, and takes a missing part for a failure of its own.
        if !matches!(kept, Kept::Server(_)) {
            wrong.push(vec![(1, second.clone()), (2, second.clone())]);
            wrong.push(vec![(1, first.clone()), (2, String::new())]);
            wrong.push(vec![(1, first.clone()), (2, second.clone()), (3, second.clone())]);
        }
        for parts in wrong {
            let error = blob.finish_parts(&upload, &parts).await.unwrap_err();
            assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("parts")), "{parts:?}: {error}");
            assert_eq!(blob.head(&path("f")).await.unwrap(), None);
        }
        blob.finish_parts(&upload, &[(1, first), (2, second)]).await.unwrap();
        assert_eq!(blob.head(&path("f")).await.unwrap().unwrap().size, 5 * MIB as u64 + 10);
    }
}

#[tokio::test]
async fn a_part_that_is_sent_again_counts_as_it_came_last() {
    let (_dir, blob) = on_disk();
    let upload = blob.start_parts(&path("f"), 1, 0).await.unwrap();
    let first = send(&blob, &upload, 1, pattern(1, 10)).await;
    let second = send(&blob, &upload, 1, pattern(2, 10)).await;
    assert_eq!(blob.finish_parts(&upload, &[(1, first)]).await.unwrap_err().kind(), Kind::Invalid);
    blob.finish_parts(&upload, &[(1, second)]).await.unwrap();
    assert_eq!(blob.get(&path("f")).await.unwrap(), pattern(2, 10));
}

#[tokio::test]
async fn numbers_and_ids_are_checked() {
    let (_dir, blob) = on_disk();
    for parts in [0, MAX_PARTS + 1] {
        assert_eq!(blob.start_parts(&path("f"), parts, 0).await.unwrap_err().kind(), Kind::Invalid);
    }
    let upload = blob.start_parts(&path("f"), 2, 0).await.unwrap();
    for number in [0, 3] {
        let error = blob.put_part(&upload, number, stream::empty()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
    }
    for id in ["", "..", "../f", "abc", "a/b", "%2e%2e"] {
        assert_eq!(blob.parts(id).await.unwrap_err().kind(), Kind::NotFound, "{id}");
    }
}

#[tokio::test]
async fn a_seal_is_good_for_one_part_of_one_upload_until_its_time() {
    let (_dir, blob) = on_disk();
    let upload = blob.start_parts(&path("f"), 2, 0).await.unwrap();
    let other = blob.start_parts(&path("f"), 2, 0).await.unwrap();
    let seal = upload.seal(1, 100);
    assert!(upload.is_sealed(1, 100, &seal));
    assert!(blob.parts(&upload.id).await.unwrap().is_sealed(1, 100, &seal), "after a restart too");
    assert!(!upload.is_sealed(2, 100, &seal) && !upload.is_sealed(1, 101, &seal) && !other.is_sealed(1, 100, &seal));
    assert!(!upload.is_sealed(1, 100, "") && !upload.is_sealed(1, 100, "x") && !upload.is_sealed(1, 100, &seal[2..]));
}
