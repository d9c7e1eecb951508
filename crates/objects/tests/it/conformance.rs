//! What every target promises, asked of each kind against a real far side.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use objects::{FaultKind, Target};

use crate::peers;

/// More than one part of an upload to S3, and no multiple of anything.
const LARGE: usize = 19 * 1024 * 1024 + 12_345;

#[tokio::test]
async fn a_folder_keeps_the_promises() {
    let place = tempfile::tempdir().unwrap();
    promises(&peers::folder(place.path())).await;
}

#[tokio::test]
async fn a_bucket_keeps_the_promises() {
    let Some(store) = peers::Moto::start().await else { return };
    promises(&store.target("a/prefix")).await;
}

#[tokio::test]
async fn a_bucket_tells_litestream_the_time_of_a_file() {
    let Some(store) = peers::Moto::start().await else { return };
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.ltx");
    for (length, path) in [(10, "small.ltx"), (LARGE, "large.ltx")] {
        std::fs::write(&file, noise(length)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_120);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        store.target("").put_file(path, &file).await.unwrap();
        let told = store.header(path, "x-amz-meta-litestream-timestamp").await;
        assert_eq!(told.as_deref(), Some("2023-11-14T22:13:20.12Z"), "{path}");
    }
}

#[tokio::test]
async fn a_webdav_server_keeps_the_promises() {
    let Some(server) = peers::WebDav::start().await else { return };
    promises(&server.target()).await;
    assert_eq!(files(&server.root()), 0, "something was left behind");
}

#[tokio::test]
async fn an_ssh_server_keeps_the_promises() {
    let Some(server) = peers::Ssh::start().await else { return };
    promises(&server.target()).await;
    assert_eq!(files(&server.root()), 0, "something was left behind");
}

#[tokio::test]
async fn a_remote_of_rclone_keeps_the_promises() {
    let Some(remote) = peers::Remote::new() else { return };
    promises(&remote.target()).await;
    assert_eq!(files(&remote.root()), 0, "something was left behind");
}

/// The whole of it, in one go: a far side takes long to start.
async fn promises(target: &Target) {
    nothing_is_there_at_first(target).await;
    an_object_comes_back_as_it_went(target).await;
    a_range_is_cut_to_the_object(target).await;
    a_listing_is_whole_and_sorted(target).await;
    an_object_is_replaced(target).await;
    a_large_file_goes_and_comes_back(target).await;
    what_is_removed_is_gone(target).await;
}

async fn nothing_is_there_at_first(target: &Target) {
    assert_eq!(target.list("").await.unwrap(), []);
    assert_eq!(target.list("no/such/folder/").await.unwrap(), []);
    let fault = target.get("no/such.ltx").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotFound, "{fault}");
    let fault = target.stat("no/such.ltx").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotFound, "{fault}");
    target.delete("no/such.ltx").await.unwrap();
}

async fn an_object_comes_back_as_it_went(target: &Target) {
    for (path, body) in [
        ("ltx/0/0000000000000001-0000000000000001.ltx", &b"hello"[..]),
        ("ltx/9/0000000000000001-0000000000000009.ltx", &[0, 255, 10, 13, 0][..]),
        ("empty", b""),
        ("a name/with spaces & 日本語+%.bin", b"odd"),
    ] {
        target.put(path, Bytes::copy_from_slice(body)).await.unwrap();
        assert_eq!(target.get(path).await.unwrap(), body, "{path}");
        let about = target.stat(path).await.unwrap();
        assert_eq!((about.path.as_str(), about.size), (path, body.len() as u64));
    }
}

async fn a_range_is_cut_to_the_object(target: &Target) {
    target.put("digits", Bytes::from_static(b"0123456789")).await.unwrap();
    assert_eq!(target.get_range("digits", 2..5).await.unwrap(), "234");
    assert_eq!(target.get_range("digits", 7..1000).await.unwrap(), "789");
    assert_eq!(target.get_range("digits", 0..10).await.unwrap(), "0123456789");
    assert_eq!(target.get_range("digits", 10..20).await.unwrap(), "");
    target.delete("digits").await.unwrap();
}

async fn a_listing_is_whole_and_sorted(target: &Target) {
    let paths = |objects: Vec<objects::Object>| -> Vec<(String, u64)> {
        objects.into_iter().map(|object| (object.path, object.size)).collect()
    };
    let all = paths(target.list("").await.unwrap());
    let expected = [
        ("a name/with spaces & 日本語+%.bin", 3),
        ("empty", 0),
        ("ltx/0/0000000000000001-0000000000000001.ltx", 5),
        ("ltx/9/0000000000000001-0000000000000009.ltx", 5),
    ];
    assert_eq!(all, expected.map(|(path, size)| (path.to_owned(), size)));
    let below = paths(target.list("ltx/0/").await.unwrap());
    assert_eq!(below, [("ltx/0/0000000000000001-0000000000000001.ltx".to_owned(), 5)]);
}

async fn an_object_is_replaced(target: &Target) {
    target.put("manifest.json", Bytes::from_static(b"first")).await.unwrap();
    target.put("manifest.json", Bytes::from_static(b"second, longer")).await.unwrap();
    assert_eq!(target.get("manifest.json").await.unwrap(), "second, longer");
    target.put("manifest.json", Bytes::from_static(b"3")).await.unwrap();
    assert_eq!(target.get("manifest.json").await.unwrap(), "3");
}

async fn a_large_file_goes_and_comes_back(target: &Target) {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    let body = noise(LARGE);
    std::fs::write(&from, &body).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    std::fs::File::options().write(true).open(&from).unwrap().set_modified(time).unwrap();
    target.put_file("large/full.ltx", &from).await.unwrap();
    assert_eq!(target.get_file("large/full.ltx", &to).await.unwrap(), LARGE as u64);
    assert!(std::fs::read(&to).unwrap() == body, "it came back changed");
    assert_eq!(names(place.path()), ["from", "to"]);
}

async fn what_is_removed_is_gone(target: &Target) {
    for object in target.list("").await.unwrap() {
        target.delete(&object.path).await.unwrap();
        target.delete(&object.path).await.unwrap();
    }
    assert_eq!(target.list("").await.unwrap(), []);
}

/// Bytes that do not compress, the same every time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// How many files a tree holds, whatever they are called.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
