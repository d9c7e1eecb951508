//! Where a nats-server is looked for, in which order, and what is said of each place.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{run, xtask};

/// A program that says it is that version, in a folder of its own.
fn server(folder: &Path, version: &str) -> PathBuf {
    std::fs::create_dir_all(folder).expect("create a folder");
    let path = folder.join("nats-server");
    std::fs::write(&path, format!("#!/bin/sh\necho 'nats-server: v{version}'\n"))
        .expect("write a program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
        .expect("make it executable");
    path
}

#[test]
fn the_named_server_comes_before_the_one_on_path() {
    let place = tempfile::tempdir().unwrap();
    let named = server(&place.path().join("named"), "2.12.0");
    server(&place.path().join("path"), "2.12.0");
    let (code, out, _) = run(xtask()
        .arg("nats-server")
        .env("KOTONOHA_NATS_SERVER", &named)
        .env("PATH", place.path().join("path")));
    assert_eq!((code, out.trim()), (Some(0), named.to_str().unwrap()));
}

#[test]
fn an_old_server_is_passed_over_with_its_version_for_the_one_in_the_cache() {
    let place = tempfile::tempdir().unwrap();
    let old = server(&place.path().join("path"), "2.10.27");
    let kept = server(&place.path().join("cache/kotonoha/nats-server-2.15.1"), "2.15.1");
    let (code, out, errors) = run(xtask()
        .arg("nats-server")
        .env("PATH", place.path().join("path"))
        .env("XDG_CACHE_HOME", place.path().join("cache")));
    assert_eq!((code, out.trim()), (Some(0), kept.to_str().unwrap()));
    assert!(errors.contains("2.10.27") && errors.contains(old.to_str().unwrap()), "{errors}");
}

#[test]
fn when_no_source_serves_each_is_named_and_a_way_on_is_given() {
    let place = tempfile::tempdir().unwrap();
    let (code, out, errors) = run(xtask()
        .arg("nats-server")
        .env("KOTONOHA_NATS_SERVER", place.path().join("nothing"))
        .env("PATH", place.path().join("empty"))
        .env("XDG_CACHE_HOME", place.path().join("cache")));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for source in ["KOTONOHA_NATS_SERVER: ", "PATH: ", "the cache folder: ", "the Python wheel: "] {
        assert!(errors.contains(source), "{source} is missing in:\n{errors}");
    }
    assert!(errors.contains("To go on"), "{errors}");
}
