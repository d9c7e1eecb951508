//! The SSH server's own ways to go wrong: its key, ours, and a connection that ends.

use bytes::Bytes;
use objects::{FaultKind, Target};

use crate::peers;

#[tokio::test]
async fn a_pinned_host_key_is_the_only_one_taken() {
    let Some(server) = peers::Ssh::start().await else { return };
    let right = format!("?host_key={}", server.fingerprint());
    let target = Target::open(&server.settings(&right, "me")).unwrap();
    target.put("a", Bytes::from_static(b"x")).await.unwrap();
    let wrong = "?host_key=SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let target = Target::open(&server.settings(wrong, "me")).unwrap();
    let fault = target.put("a", Bytes::from_static(b"y")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
    assert!(fault.detail.contains("somebody may stand in between"), "{fault}");
    assert_eq!(std::fs::read(server.root().join("a")).unwrap(), b"x");
}

#[tokio::test]
async fn a_host_key_is_kept_at_the_first_meeting_and_another_one_refused() {
    let Some(mut server) = peers::Ssh::start().await else { return };
    server.target().put("a", Bytes::from_static(b"x")).await.unwrap();
    server.make_key("host");
    server.restart().await;
    let fault = server.target().put("a", Bytes::from_static(b"y")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
    assert!(fault.detail.contains("host-key-127.0.0.1-"), "it names the file: {fault}");
    assert_eq!(std::fs::read(server.root().join("a")).unwrap(), b"x");
}

#[tokio::test]
async fn a_key_that_is_not_let_in_is_refused() {
    let Some(server) = peers::Ssh::start().await else { return };
    server.make_key("stranger");
    let target = Target::open(&server.settings("", "stranger")).unwrap();
    let fault = target.list("").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
}

#[tokio::test]
async fn a_server_that_comes_back_is_connected_to_again() {
    let Some(mut server) = peers::Ssh::start().await else { return };
    let target = server.target();
    target.put("a", Bytes::from_static(b"x")).await.unwrap();
    server.restart().await;
    target.put("b", Bytes::from_static(b"y")).await.unwrap();
    server.stop();
    // The session of before goes on without its listener until somebody ends it.
    let paths: Vec<_> = target.list("").await.into_iter().flatten().map(|one| one.path).collect();
    assert!(paths.is_empty() || paths == ["a", "b"], "{paths:?}");
    server.restart().await;
    assert_eq!(target.get("b").await.unwrap(), "y");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_the_operators_to_make() {
    let Some(server) = peers::Ssh::start().await else { return };
    std::fs::remove_dir(server.root()).unwrap();
    let fault = server.target().put("a/b", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unfit, "{fault}");
    let fault = server.target().list("").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unfit, "{fault}");
    assert!(!server.root().exists());
}
