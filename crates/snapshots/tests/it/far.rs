//! The same repositories on a far side.

use std::fs;

use anyhow::Result;
use jiff::{SignedDuration, tz::TimeZone};
use objects::{Location, Settings, Target};
use snapshots::{Depth, Error, Kind, Place, Repository, Rules};
use tokio::runtime::Runtime;

use crate::scene::{Scene, at, files, image, noise, password};

/// A far side that is a folder, and what drives it.
struct Far {
    runtime: Runtime,
    root: tempfile::TempDir,
}

impl Far {
    fn new() -> Result<Self> {
        Ok(Self { runtime: Runtime::new()?, root: tempfile::tempdir()? })
    }

    fn place(&self) -> Result<Place> {
        let location = Location::Folder(self.root.path().to_owned());
        Ok(Place::Far {
            target: Target::open(&Settings::new("usb", location))?,
            folder: "house/images".to_owned(),
            runtime: self.runtime.handle().clone(),
        })
    }
}

#[test]
fn a_repository_elsewhere_keeps_checks_forgets_and_gives_back() -> Result<()> {
    let far = Far::new()?;
    let place = far.place()?;
    let repository = Repository::create(&place, Kind::Images, &password())?;
    let scene = Scene { folder: tempfile::tempdir()?, repository };
    // More than two windows of the reader.
    let mut content = noise(1, 9_000_000);
    scene.take(image("2026-11-19T02:00:00Z"), &content)?;
    content[5_000_000..5_004_096].copy_from_slice(&noise(2, 4096));
    let second = scene.take(image("2026-11-20T02:00:00Z"), &content)?;

    let repository = Repository::open(&place, &password())?;
    assert!(repository.check(Depth::Everything)?.is_whole());
    let to = scene.beside("restored.db");
    repository.restore_file(&second.snapshot.id, "conversation.db", &to)?;
    assert!(fs::read(&to)? == content);

    let rules = |_| Rules { daily: 1, weekly: 0, monthly: 0, yearly: 0, days_max: None };
    repository.forget(rules, at("2026-11-20T12:00:00Z"), &TimeZone::UTC, false)?;
    repository.prune(SignedDuration::ZERO, false)?;
    repository.prune(SignedDuration::ZERO, false)?;
    assert!(repository.check(Depth::Everything)?.is_whole());
    assert_eq!(repository.list()?.snapshots, [second.snapshot]);
    let error = Repository::open(&place, &"another".into()).unwrap_err();
    assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
    Ok(())
}

#[test]
fn a_flipped_bit_elsewhere_is_found_and_the_file_is_named() -> Result<()> {
    let far = Far::new()?;
    let repository = Repository::create(&far.place()?, Kind::Images, &password())?;
    let scene = Scene { folder: tempfile::tempdir()?, repository };
    scene.take(image("2026-11-19T02:00:00Z"), &noise(1, 300_000))?;
    let stored = far.root.path().join("house/images");
    for file in files(&stored).iter().filter(|file| file.starts_with("data")) {
        let path = stored.join(file);
        let mut content = fs::read(&path)?;
        content[100] ^= 1;
        fs::write(&path, content)?;
        let found = scene.repository.check(Depth::Everything)?;
        let name = file.display().to_string();
        assert!(found.faults.iter().any(|fault| fault.file == name), "{found:?}");
    }
    Ok(())
}
