//! No room: said so, and what was there stays.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use snapshots::{Depth, Error, Kind, Place, Repository};

use crate::scene::{Scene, image, noise, password};

/// A file system of a few MiB, unmounted when it goes.
struct SmallDisk<'a>(&'a Path);

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0).status());
    }
}

#[test]
fn a_full_disk_is_called_full_and_loses_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
        .arg(folder.path())
        .output();
    if !mount.is_ok_and(|done| done.status.success()) {
        println!("skipped: no right to mount a small disk");
        return Ok(());
    }
    let _disk = SmallDisk(folder.path());
    let place = Place::Folder(folder.path().join("repository"));
    let repository = Repository::create(&place, Kind::Images, &password())?;
    let scene = Scene { folder: tempfile::tempdir()?, repository };
    let good = scene.take(image("2026-11-20T02:00:00Z"), &noise(1, 1_000_000))?;

    let error = scene.take(image("2026-11-21T02:00:00Z"), &noise(2, 20_000_000)).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    let repository = Repository::open(&place, &password())?;
    assert_eq!(repository.list()?.snapshots, std::slice::from_ref(&good.snapshot));
    assert!(repository.check(Depth::Everything)?.is_whole());
    let mut back = Vec::new();
    repository.read(&good.snapshot.id, "conversation.db", &mut back)?;
    assert!(back == noise(1, 1_000_000));

    // A restore onto a full disk says so too, and leaves no half file under the real name.
    fs::write(folder.path().join("filler"), vec![0; 8 << 20]).unwrap_err();
    let to = folder.path().join("restored.db");
    let error = repository.restore_file(&good.snapshot.id, "conversation.db", &to).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(!to.exists());
    Ok(())
}
