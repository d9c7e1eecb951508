//! Keys: the right one, the wrong one, another one, none.

use std::fs;

use anyhow::Result;
use snapshots::{Error, Kind, Place, Repository};

use crate::scene::{Scene, image, password};

#[test]
fn a_wrong_password_is_called_wrong() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    let error = Repository::open(&scene.place(), &"another".into()).unwrap_err();
    assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
    Ok(())
}

#[test]
fn a_changed_password_opens_and_the_earlier_one_no_longer_does() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    scene.take(image("2026-11-20T02:00:00Z"), b"words")?;
    scene.repository.rotate(&scene.place(), &"a new one".into())?;
    let error = Repository::open(&scene.place(), &password()).unwrap_err();
    assert!(matches!(error, Error::WrongPassword { .. }), "{error}");
    let opened = Repository::open(&scene.place(), &"a new one".into())?;
    assert_eq!(opened.list()?.snapshots.len(), 1);
    // The repository that was open goes on: the master key is the same.
    scene.take(image("2026-11-21T02:00:00Z"), b"more words")?;
    assert_eq!(opened.list()?.snapshots.len(), 2);
    Ok(())
}

#[test]
fn a_lost_key_file_is_no_wrong_password_without_a_word() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    for key in fs::read_dir(scene.stored().join("keys"))? {
        fs::remove_file(key?.path())?;
    }
    let error = Repository::open(&scene.place(), &password()).unwrap_err();
    assert!(matches!(&error, Error::Damaged { file, .. } if file == "keys"), "{error}");
    Ok(())
}

#[test]
fn nothing_is_opened_or_made_over_where_it_should_not() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    let empty = Place::Folder(scene.beside("elsewhere"));
    let error = Repository::open(&empty, &password()).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    let error = Repository::create(&scene.place(), Kind::Files, &password()).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");

    scene.take(image("2026-11-20T02:00:00Z"), b"words")?;
    fs::remove_file(scene.stored().join("config"))?;
    let error = Repository::open(&scene.place(), &password()).unwrap_err();
    assert!(matches!(error, Error::Remains { .. }), "{error}");
    let error = Repository::create(&scene.place(), Kind::Images, &password()).unwrap_err();
    assert!(matches!(error, Error::Remains { .. }), "{error}");
    Ok(())
}

#[test]
fn a_creation_that_was_interrupted_is_done_again() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    // Killed between the key and the config.
    fs::remove_file(scene.stored().join("config"))?;
    Repository::create(&scene.place(), Kind::Images, &password())?;
    let opened = Repository::open(&scene.place(), &password())?;
    assert!(opened.list()?.snapshots.is_empty());
    Ok(())
}
