//! Far sides that are not there, refuse, or say one thing and do another.

use std::time::Duration;

use bytes::Bytes;
use objects::{FaultKind, Location, Patience, Settings, Target};
use tokio::net::TcpListener;

use crate::peers;

fn http(address: &str) -> Settings {
    let location: Location = format!("webdav+http://{address}/backup").parse().unwrap();
    Settings::new("far", location)
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_the_operators_to_mend() {
    let Some(store) = peers::Moto::start().await else { return };
    let fault = store.target_of("no-such-bucket", "").list("").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unfit, "{fault}");
}

#[tokio::test]
async fn wrong_credentials_are_refused_credentials() {
    let Some(server) = peers::WebDav::start().await else { return };
    let target = server.target_with("somebody", "wrong");
    for fault in [
        target.list("").await.unwrap_err(),
        target.put("a", Bytes::from_static(b"x")).await.unwrap_err(),
        target.get("a").await.unwrap_err(),
    ] {
        assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
        assert!(fault.to_string().contains("check the account"), "{fault}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let target = Target::open(&http(&address)).unwrap();
    let fault = target.put("a", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    let fault = target.list("").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
}

#[tokio::test]
async fn a_far_side_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = http(&listener.local_addr().unwrap().to_string());
    settings.patience =
        Patience { stall: Duration::from_millis(200), listing: Duration::from_millis(400) };
    let target = Target::open(&settings).unwrap();
    let fault = target.get("a").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    let fault = target.list("").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
    let body = Bytes::from(vec![0; 64 * 1024 * 1024]);
    let fault = target.put("a", body).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_this_sides_fault() {
    let place = tempfile::tempdir().unwrap();
    let target = peers::folder(place.path());
    let fault = target.put_file("a", &place.path().join("nothing")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Local, "{fault}");
}

#[tokio::test]
async fn an_rclone_that_is_not_there_or_knows_no_such_remote_is_named() {
    let place = tempfile::tempdir().unwrap();
    let mut settings = Settings::new("cloud", "rclone:far:x".parse().unwrap());
    settings.rclone.program = place.path().join("rclone");
    let fault = Target::open(&settings).unwrap().list("").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unfit, "{fault}");
    assert!(fault.detail.contains("use the image that holds rclone"), "{fault}");
    let Some(remote) = peers::Remote::new() else { return };
    let fault = remote.target_at("rclone:nowhere:x").list("").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unfit, "{fault}");
}
