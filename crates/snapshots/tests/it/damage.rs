//! One flipped bit, one lost byte: found and named, and nothing is forgotten beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::{SignedDuration, tz::TimeZone};
use snapshots::{Depth, Error, Kind, Repository, Rules};

use crate::scene::{Scene, at, files, image, noise, password};

/// A repository with two snapshots, and its files.
fn scene() -> Result<(Scene, Vec<PathBuf>)> {
    let scene = Scene::new(Kind::Images)?;
    scene.take(image("2026-11-20T02:00:00Z"), &noise(1, 300_000))?;
    scene.take(image("2026-11-21T02:00:00Z"), &noise(2, 300_000))?;
    let files = files(&scene.stored());
    Ok((scene, files))
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) -> Result<Vec<u8>> {
    let before = fs::read(path)?;
    let mut after = before.clone();
    how(&mut after);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    fs::write(path, after)?;
    Ok(before)
}

#[test]
fn one_flipped_bit_in_any_stored_file_is_found_and_the_file_is_named() -> Result<()> {
    let (scene, files) = scene()?;
    let kinds: std::collections::BTreeSet<_> =
        files.iter().filter_map(|file| file.components().next()).collect();
    assert_eq!(kinds.len(), 5, "config, data, index, keys, snapshots: {files:?}");
    for file in &files {
        let path = scene.stored().join(file);
        let length = usize::try_from(fs::metadata(&path)?.len())?;
        for place in [0, length / 2, length - 1] {
            let before = change(&path, |content| content[place] ^= 1)?;
            let name = file.display().to_string();
            match Repository::open(&scene.place(), &password()) {
                Ok(repository) => {
                    let found = repository.check(Depth::Everything)?;
                    assert!(
                        found.faults.iter().any(|fault| fault.file == name),
                        "byte {place} of {name}: {found:?}"
                    );
                }
                Err(Error::Damaged { file, .. }) => assert_eq!(file, name),
                Err(other) => panic!("byte {place} of {name}: {other}"),
            }
            fs::write(&path, before)?;
        }
    }
    let repository = Repository::open(&scene.place(), &password())?;
    assert!(repository.check(Depth::Everything)?.is_whole(), "all bits are back");
    Ok(())
}

#[test]
fn a_file_that_was_cut_short_or_is_gone_is_found() -> Result<()> {
    let (scene, files) = scene()?;
    for file in
        files.iter().filter(|file| !file.starts_with("keys") && *file != Path::new("config"))
    {
        let path = scene.stored().join(file);
        let before = change(&path, |content| content.truncate(content.len() / 2))?;
        let depths = [Depth::Structure, Depth::Everything];
        for depth in depths {
            let found = scene.repository.check(depth)?;
            assert!(!found.is_whole(), "{file:?} at {depth:?}");
        }
        fs::remove_file(&path)?;
        // A snapshot that is gone is not missed by anything in the repository itself.
        if !file.starts_with("snapshots") {
            assert!(!scene.repository.check(Depth::Structure)?.is_whole(), "{file:?} gone");
        }
        fs::write(&path, before)?;
    }
    assert!(scene.repository.check(Depth::Everything)?.is_whole());
    Ok(())
}

#[test]
fn one_damaged_snapshot_hides_no_other_and_stops_all_forgetting() -> Result<()> {
    let (scene, files) = scene()?;
    let damaged = files.iter().find(|file| file.starts_with("snapshots")).unwrap();
    change(&scene.stored().join(damaged), |content| content[40] ^= 4)?;
    let listing = scene.repository.list()?;
    assert_eq!(listing.snapshots.len(), 1);
    assert_eq!(listing.damaged[0].file, damaged.display().to_string());

    let now = at("2030-01-01T00:00:00Z");
    let error = scene.repository.forget(Rules::of, now, &TimeZone::UTC, false).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let error = scene.repository.prune(SignedDuration::ZERO, false).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_eq!(crate::scene::files(&scene.stored()), files, "nothing went");
    Ok(())
}

#[test]
fn a_damaged_index_stops_pruning() -> Result<()> {
    let (scene, files) = scene()?;
    let index = files.iter().find(|file| file.starts_with("index")).unwrap();
    change(&scene.stored().join(index), |content| content[10] ^= 1)?;
    let error = scene.repository.prune(SignedDuration::ZERO, false).unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { file, .. } if *file == index.display().to_string()),
        "{error}"
    );
    assert_eq!(crate::scene::files(&scene.stored()), files, "nothing went");
    Ok(())
}

#[test]
fn a_damaged_piece_is_never_restored_as_if_it_were_good() -> Result<()> {
    let (scene, files) = scene()?;
    let packs: Vec<_> = files.iter().filter(|file| file.starts_with("data")).collect();
    let largest = packs
        .iter()
        .max_by_key(|file| fs::metadata(scene.stored().join(file)).unwrap().len())
        .unwrap();
    change(&scene.stored().join(largest), |content| content[5000] ^= 1)?;
    let snapshots = scene.repository.list()?.snapshots;
    let mut failed = 0;
    for snapshot in snapshots {
        let to = scene.beside(&snapshot.id);
        let result = scene.repository.restore_file(&snapshot.id, "conversation.db", &to);
        if result.is_err() {
            failed += 1;
            assert!(!to.exists(), "a half file has no name");
        }
    }
    assert_eq!(failed, 1, "the other snapshot does not use that pack");
    Ok(())
}

#[test]
fn a_damaged_key_beside_a_good_one_locks_nobody_out() -> Result<()> {
    let (scene, _) = scene()?;
    let keys = scene.stored().join("keys");
    let good = fs::read_dir(&keys)?.next().unwrap()?.path();
    // Sorts before any other, and asks for more memory than there is.
    let odd = String::from_utf8(fs::read(&good)?)?.replace("\"N\":32768", "\"N\":2147483648");
    fs::write(keys.join("0".repeat(64)), odd)?;
    let repository = Repository::open(&scene.place(), &password())?;
    let found = repository.check(Depth::Structure)?;
    assert_eq!(found.faults[0].file, format!("keys/{}", "0".repeat(64)));
    Ok(())
}
