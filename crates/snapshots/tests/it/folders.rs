//! Folders that live while they are read.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use snapshots::{Depth, Error, Image, Kind};

use crate::scene::{Scene, files, folder, noise};

const MAGIC: &[u8] = b"SQLite format 3\0";

/// A folder with a bit of everything.
fn fill(root: &Path) -> Result<()> {
    fs::create_dir_all(root.join("config/deep"))?;
    fs::write(root.join("config/deep/settings.toml"), "language = \"ja\"\n")?;
    fs::write(root.join("config/日本語 \"quoted\".txt"), "言の葉")?;
    fs::write(root.join("large"), noise(7, 3_000_000))?;
    fs::write(root.join("empty"), "")?;
    symlink("/etc/hostname", root.join("link"))?;
    fs::hard_link(root.join("large"), root.join("same"))?;
    fs::set_permissions(root.join("config/deep"), fs::Permissions::from_mode(0o2750))?;
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o4711))?;
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
    for path in ["large", "config/deep"] {
        fs::File::open(root.join(path))?.set_modified(long_ago)?;
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o750))?;
    Ok(())
}

fn looks(path: &Path) -> Result<(u32, i64, i64, u32, u32)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.mode(), found.mtime(), found.mtime_nsec(), found.uid(), found.gid()))
}

#[test]
fn a_folder_comes_back_with_permissions_times_and_links() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    fill(&root)?;
    let taken = scene.repository.take_folder(&folder(&root))?;
    assert!(taken.troubles.is_empty() && taken.vanished.is_empty(), "{taken:?}");

    let to = scene.beside("back");
    let restored = scene.repository.restore(&taken.snapshot.id, &to)?;
    assert!(restored.differences.is_empty(), "{restored:?}");
    assert_eq!(files(&to), files(&root));
    for path in files(&root).iter().map(std::path::PathBuf::as_path).chain(["".as_ref()]) {
        assert_eq!(looks(&root.join(path))?, looks(&to.join(path))?, "{path:?}");
    }
    assert_eq!(looks(&root.join("config/deep"))?, looks(&to.join("config/deep"))?);
    assert_eq!(fs::read_link(to.join("link"))?, Path::new("/etc/hostname"));
    assert!(fs::read(to.join("large"))? == noise(7, 3_000_000));
    assert_eq!(fs::metadata(to.join("large"))?.ino(), fs::metadata(to.join("same"))?.ino());
    assert_eq!(fs::read_to_string(to.join("config/日本語 \"quoted\".txt"))?, "言の葉");
    Ok(())
}

#[test]
fn a_restore_writes_over_nothing() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    fill(&root)?;
    let taken = scene.repository.take_folder(&folder(&root))?;
    let error = scene.repository.restore(&taken.snapshot.id, &root).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
    Ok(())
}

#[test]
fn what_is_excluded_stays_out() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    // Letters that mean something in a glob must mean nothing in the folder's own path.
    let root = scene.beside("no[t]es {a,b}");
    fs::create_dir_all(root.join("cache/deep"))?;
    fs::create_dir_all(root.join("kept/cache"))?;
    for path in ["cache/deep/one", "kept/cache/two", "kept/three.tmp", "four.tmp", "kept/five"] {
        fs::write(root.join(path), path)?;
    }
    let mut folder = folder(&root);
    folder.exclude = vec!["/cache".to_owned(), "*.tmp".to_owned()];
    let taken = scene.repository.take_folder(&folder)?;
    let to = scene.beside("back");
    scene.repository.restore(&taken.snapshot.id, &to)?;
    let kept: Vec<_> = files(&to).iter().map(|path| path.display().to_string()).collect();
    assert_eq!(kept, ["kept/cache/two", "kept/five"]);
    Ok(())
}

#[test]
fn links_are_kept_as_links_and_never_followed() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    let outside = scene.beside("outside");
    fs::create_dir_all(&root)?;
    fs::create_dir_all(&outside)?;
    fs::write(outside.join("secret"), "not for the archive")?;
    symlink(&outside, root.join("folder"))?;
    symlink(outside.join("secret"), root.join("file"))?;
    let taken = scene.repository.take_folder(&folder(&root))?;
    let to = scene.beside("back");
    scene.repository.restore(&taken.snapshot.id, &to)?;
    assert_eq!(fs::read_link(to.join("folder"))?, outside);
    assert_eq!(fs::read_link(to.join("file"))?, outside.join("secret"));
    assert_eq!(taken.snapshot.bytes, Some(0));
    Ok(())
}

#[test]
fn an_unchanged_file_is_not_read_again_and_a_changed_one_is() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    fill(&root)?;
    scene.repository.take_folder(&folder(&root))?;
    fs::write(root.join("config/new"), noise(8, 200_000))?;
    let second = scene.repository.take_folder(&folder(&root))?;
    assert!(second.bytes_written < 300_000, "{} bytes", second.bytes_written);
    let to = scene.beside("back");
    scene.repository.restore(&second.snapshot.id, &to)?;
    assert_eq!(files(&to), files(&root));
    assert!(fs::read(to.join("large"))? == noise(7, 3_000_000));
    Ok(())
}

#[test]
fn a_database_in_a_folder_is_imaged_and_never_copied() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    fs::create_dir_all(&root)?;
    fs::write(root.join("plain"), "text")?;
    fs::write(root.join("app.db"), [MAGIC, b"torn pages"].concat())?;
    fs::hard_link(root.join("app.db"), root.join("second-name.db"))?;
    for beside in ["app.db-wal", "app.db-shm", "app.db-journal"] {
        fs::write(root.join(beside), "part of the database")?;
    }
    fs::write(root.join("just-wal"), "no part of any")?;
    let mut folder = folder(&root);
    folder.images = Some(Arc::new(|path: &Path| {
        let content = [MAGIC, path.file_name().unwrap().as_encoded_bytes()].concat();
        Ok(Image { bytes: content.len() as u64, reader: Box::new(Cursor::new(content)) })
    }));
    let taken = scene.repository.take_folder(&folder)?;
    assert!(taken.troubles.is_empty(), "{taken:?}");
    assert_eq!(taken.databases.len(), 2);
    // Its time and length are unchanged, its pages may not be: it is imaged again.
    let again = scene.repository.take_folder(&folder)?;
    assert_eq!(again.databases.len(), 2);
    let to = scene.beside("back");
    scene.repository.restore(&again.snapshot.id, &to)?;
    let kept: Vec<_> = files(&to).iter().map(|path| path.display().to_string()).collect();
    assert_eq!(kept, ["app.db", "just-wal", "plain", "second-name.db"]);
    assert_eq!(fs::read(to.join("app.db"))?, [MAGIC, b"app.db"].concat());
    assert!(scene.repository.check(Depth::Everything)?.is_whole());
    Ok(())
}

#[test]
fn a_database_that_this_process_holds_is_left_out_by_every_name() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    fs::create_dir_all(&root)?;
    fs::write(root.join("live.db"), MAGIC)?;
    fs::write(root.join("live.db-shm"), "locks")?;
    fs::hard_link(root.join("live.db"), root.join("other-name"))?;
    fs::write(root.join("other-name-wal"), "log")?;
    fs::write(root.join("plain"), "text")?;
    let mut folder = folder(&root);
    folder.held = vec![root.join("live.db")];
    folder.images = Some(Arc::new(|path: &Path| panic!("{} was imaged", path.display())));
    let taken = scene.repository.take_folder(&folder)?;
    assert!(taken.troubles.is_empty(), "{taken:?}");
    let to = scene.beside("back");
    scene.repository.restore(&taken.snapshot.id, &to)?;
    assert_eq!(files(&to), [Path::new("plain")]);
    Ok(())
}

#[test]
fn a_database_that_cannot_be_imaged_makes_the_snapshot_partial() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    fs::create_dir_all(&root)?;
    fs::write(root.join("app.db"), MAGIC)?;
    fs::write(root.join("plain"), "text")?;
    let taken = scene.repository.take_folder(&folder(&root))?;
    assert!(taken.snapshot.partial);
    assert_eq!(taken.troubles[0].path, root.join("app.db"));
    assert!(scene.repository.list()?.snapshots[0].partial, "the repository says so too");

    let mut folder = folder(&root);
    folder.images = Some(Arc::new(|_: &Path| {
        // Says more than it gives.
        Ok(Image { bytes: 4096, reader: Box::new(Cursor::new(MAGIC)) })
    }));
    let taken = scene.repository.take_folder(&folder)?;
    assert!(taken.snapshot.partial && taken.troubles[0].what.contains("before its end"));
    Ok(())
}

#[test]
fn files_that_vanish_shrink_or_grow_meanwhile_are_named_and_no_fault() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let root = scene.beside("notes");
    fs::create_dir_all(&root)?;
    fs::write(root.join("aaa.db"), MAGIC)?;
    for name in ["gone", "growing", "shrinking"] {
        fs::write(root.join(name), noise(9, 100_000))?;
    }
    let mut folder = folder(&root);
    let inside = root.clone();
    // The walk has seen the folder when it asks for the image: now the folder changes.
    folder.images = Some(Arc::new(move |_: &Path| {
        fs::remove_file(inside.join("gone"))?;
        fs::write(inside.join("growing"), noise(9, 150_000))?;
        Ok(Image { bytes: 16, reader: Box::new(Cursor::new(MAGIC)) })
    }));
    let taken = scene.repository.take_folder(&folder)?;
    assert!(!taken.snapshot.partial, "{taken:?}");
    assert_eq!(taken.vanished.len(), 1, "{taken:?}");
    assert!(taken.vanished[0].display().to_string().contains("gone"));
    let to = scene.beside("back");
    scene.repository.restore(&taken.snapshot.id, &to)?;
    assert!(noise(9, 150_000).starts_with(&fs::read(to.join("growing"))?));
    assert!(scene.repository.check(Depth::Everything)?.is_whole());
    Ok(())
}

#[test]
fn a_folder_that_is_not_there_makes_no_empty_snapshot() -> Result<()> {
    let scene = Scene::new(Kind::Files)?;
    let error = scene.repository.take_folder(&folder(&scene.beside("unmounted"))).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert!(scene.repository.list()?.snapshots.is_empty());
    Ok(())
}
