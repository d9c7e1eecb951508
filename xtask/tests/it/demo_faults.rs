//! What the demo says when it cannot be had as asked.

use std::net::TcpListener;

use crate::{run, xtask};

#[test]
fn an_unknown_chore_is_bad_usage() {
    let (code, out, errors) = run(xtask().arg("dance"));
    assert_eq!((code, out.as_str()), (Some(64), ""));
    assert!(errors.contains("dance"), "{errors}");
}

#[test]
fn an_unknown_model_is_bad_usage_and_the_choices_are_named() {
    let (code, _, errors) = run(xtask().args(["demo", "--model", "gpt"]));
    assert_eq!(code, Some(64));
    assert!(errors.contains("`real`") && errors.contains("http://"), "{errors}");
}

#[test]
fn a_taken_port_is_named_before_anything_is_built() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, errors) = run(xtask().args(["demo", "--port", &port]));
    assert_eq!(code, Some(64));
    assert!(errors.contains(&port) && errors.contains("--port"), "{errors}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_a_remedy() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, _, errors) = run(xtask().args(["demo", "--data"]).arg(file.join("below")));
    assert_eq!(code, Some(64));
    assert!(errors.contains("file/below") && errors.contains("--data"), "{errors}");
}

#[test]
fn a_model_server_that_does_not_answer_is_bad_usage() {
    // Free again by the time it is asked: nobody answers there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/v1");
    let (code, _, errors) = run(xtask().args(["demo", "--once", "--model", &url]));
    assert_eq!(code, Some(64), "{errors}");
    assert!(errors.contains(&url) && errors.contains("--model"), "{errors}");
}
