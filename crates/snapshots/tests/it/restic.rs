//! Stock restic reads what we write, and we read what it writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use jiff::{SignedDuration, tz::TimeZone};
use snapshots::{Depth, Kind, Place, Repository, Rules};

use crate::scene::{PASSWORD, Scene, at, files, folder, image, noise, password};

/// Stock restic, if this machine has it.
#[expect(clippy::disallowed_methods, reason = "where this machine keeps restic is no setting")]
#[expect(clippy::print_stdout, reason = "the test runner counts what is skipped")]
fn restic() -> Option<PathBuf> {
    let named = std::env::var_os("KOTONOHA_RESTIC").map(PathBuf::from);
    let found = named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("restic")).find(|file| file.is_file())
    });
    if found.is_none() {
        println!("skipped: no restic");
    }
    found
}

fn run(program: &Path, repository: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .env("RESTIC_REPOSITORY", repository)
        .env("RESTIC_PASSWORD", PASSWORD)
        .env("RESTIC_CACHE_DIR", repository.with_extension("cache"))
        .output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "restic {arguments:?}: {said}");
    Ok(said)
}

#[test]
fn stock_restic_checks_and_restores_our_images_also_after_our_prune() -> Result<()> {
    let Some(restic) = restic() else { return Ok(()) };
    let scene = Scene::new(Kind::Images)?;
    let mut content = noise(1, 2_000_000);
    for day in 10..=20_u8 {
        content[usize::from(day) * 50_000] = day;
        content.extend_from_slice(&noise(day.into(), 4096));
        scene.take(image(&format!("2026-11-{day}T02:00:00Z")), &content)?;
    }
    let said = run(&restic, &scene.stored(), &["check", "--read-data"])?;
    assert!(said.contains("no errors were found"), "{said}");

    let rules = |_| Rules { daily: 2, weekly: 0, monthly: 0, yearly: 0, days_max: None };
    let now = at("2026-11-20T12:00:00Z");
    scene.repository.forget(rules, now, &TimeZone::UTC, false)?;
    scene.repository.prune(SignedDuration::ZERO, false)?;
    scene.repository.prune(SignedDuration::ZERO, false)?;
    let said = run(&restic, &scene.stored(), &["check", "--read-data"])?;
    assert!(said.contains("no errors were found"), "{said}");
    let to = scene.beside("by-restic");
    run(&restic, &scene.stored(), &["restore", "latest", "--target", to.to_str().unwrap()])?;
    assert!(fs::read(to.join("conversation.db"))? == content);
    let listed = run(&restic, &scene.stored(), &["snapshots", "--json"])?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    let tags = listed[1]["tags"].to_string();
    for tag in ["class:conversations", "name:conversation.db", "txid:0000000000001092"] {
        assert!(tags.contains(tag), "{tags}");
    }
    Ok(())
}

#[test]
fn stock_restic_restores_our_folders() -> Result<()> {
    let Some(restic) = restic() else { return Ok(()) };
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    fs::create_dir_all(root.join("deep/日本語"))?;
    fs::write(root.join("deep/日本語/\"quoted\" 言の葉.txt"), "words")?;
    fs::write(root.join("large"), noise(3, 5_000_000))?;
    std::os::unix::fs::symlink("large", root.join("link"))?;
    scene.repository.take_folder(&folder(&root))?;
    let said = run(&restic, &scene.stored(), &["check", "--read-data"])?;
    assert!(said.contains("no errors were found"), "{said}");
    let to = scene.beside("by-restic");
    run(&restic, &scene.stored(), &["restore", "latest", "--target", to.to_str().unwrap()])?;
    assert_eq!(files(&to.join("notes")), files(&root));
    assert!(fs::read(to.join("notes/large"))? == noise(3, 5_000_000));
    assert_eq!(fs::read_link(to.join("notes/link"))?, Path::new("large"));
    Ok(())
}

#[test]
fn stock_restic_opens_after_a_change_of_password() -> Result<()> {
    let Some(restic) = restic() else { return Ok(()) };
    let scene = Scene::new(Kind::Images)?;
    scene.take(image("2026-11-20T02:00:00Z"), b"words")?;
    scene.repository.rotate(&scene.place(), &"another".into())?;
    run(&restic, &scene.stored(), &["snapshots"]).unwrap_err();
    let other = Repository::open(&scene.place(), &"another".into())?;
    other.rotate(&scene.place(), &password())?;
    run(&restic, &scene.stored(), &["snapshots"])?;
    Ok(())
}

#[test]
fn what_stock_restic_wrote_is_listed_checked_restored_and_never_forgotten() -> Result<()> {
    let Some(restic) = restic() else { return Ok(()) };
    let beside = tempfile::tempdir()?;
    let root = beside.path().join("source");
    fs::create_dir_all(root.join("deep"))?;
    fs::write(root.join("deep/large"), noise(4, 4_000_000))?;
    fs::write(root.join("small"), "words")?;
    let stored = beside.path().join("repository");
    run(&restic, &stored, &["init"])?;
    for _ in 0..2 {
        run(&restic, &stored, &["backup", root.to_str().unwrap()])?;
    }
    let repository = Repository::open(&Place::Folder(stored), &password())?;
    let listed = repository.list()?.snapshots;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].class, None);
    assert!(repository.check(Depth::Everything)?.is_whole());
    let to = beside.path().join("back");
    repository.restore(&listed[0].id, &to)?;
    // restic keeps whole paths.
    let below = to.join(root.strip_prefix("/")?);
    assert_eq!(files(&below), files(&root));
    assert!(fs::read(below.join("deep/large"))? == noise(4, 4_000_000));
    let none = |_| Rules { daily: 0, weekly: 0, monthly: 0, yearly: 0, days_max: Some(0) };
    repository.forget(none, at("2040-01-01T00:00:00Z"), &TimeZone::UTC, false)?;
    assert_eq!(repository.list()?.snapshots.len(), 2, "not ours to forget");
    Ok(())
}
