//! Images in, images out.

use std::io::{self, Cursor, Read};

use anyhow::Result;
use snapshots::{Class, Depth, Error, Image, Kind, Stream};

use crate::scene::{Scene, at, files, image, noise};

const PAGE: usize = 4096;

#[test]
fn an_image_comes_back_byte_for_byte() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    // Not a multiple of a piece: the last one is short.
    let content = noise(1, 3 * 1024 * 1024 + PAGE);
    let taken = scene.take(image("2026-11-20T02:00:00Z"), &content)?;
    assert!(!taken.snapshot.partial && taken.troubles.is_empty());
    assert_eq!(taken.snapshot.bytes, Some(content.len() as u64));
    assert!(taken.bytes_written >= content.len() as u64, "noise does not compress");

    let mut back = Vec::new();
    let bytes = scene.repository.read(&taken.snapshot.id, "conversation.db", &mut back)?;
    assert_eq!(bytes, content.len() as u64);
    assert!(back == content);
    let file = scene.beside("restored.db");
    scene.repository.restore_file(&taken.snapshot.id, "conversation.db", &file)?;
    assert!(std::fs::read(&file)? == content);
    assert!(scene.repository.check(Depth::Everything)?.is_whole());
    Ok(())
}

#[test]
fn what_is_written_on_a_snapshot_is_listed() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    let later = scene.take(image("2026-11-21T02:00:00.5Z"), b"second")?;
    let earlier = scene.take(image("2026-11-20T02:00:00Z"), b"first")?;
    let listed = scene.repository.list()?;
    assert!(listed.damaged.is_empty());
    assert_eq!(listed.snapshots, [earlier.snapshot, later.snapshot], "oldest first");
    let first = &listed.snapshots[0];
    assert_eq!(first.class, Some(Class::Conversations));
    assert_eq!(first.name, "conversation.db");
    assert_eq!(first.txid, Some(4242));
    assert_eq!(first.time, at("2026-11-20T02:00:00Z"));
    Ok(())
}

#[test]
fn a_few_changed_pages_cost_a_few_pieces() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    let mut content = noise(2, 4 * 1024 * 1024);
    scene.take(image("2026-11-20T02:00:00Z"), &content)?;
    for page in [3, 400, 1000] {
        content[page * PAGE..][..PAGE].copy_from_slice(&noise(page as u64, PAGE));
    }
    let second = scene.take(image("2026-11-21T02:00:00Z"), &content)?;
    let most = 3 * 16 * 1024 + 64 * 1024;
    assert!(second.bytes_written < most, "{} bytes for three pages", second.bytes_written);
    let mut back = Vec::new();
    scene.repository.read(&second.snapshot.id, "conversation.db", &mut back)?;
    assert!(back == content);
    Ok(())
}

/// Fails after so many bytes.
struct Breaking(Cursor<Vec<u8>>);

impl Read for Breaking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the database was replaced")),
            read => Ok(read),
        }
    }
}

#[test]
fn a_stream_that_fails_leaves_no_snapshot() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    let good = scene.take(image("2026-11-20T02:00:00Z"), &noise(3, 100_000))?;
    let reader = Box::new(Breaking(Cursor::new(noise(4, 100_000))));
    let stream =
        Stream { label: image("2026-11-21T02:00:00Z"), image: Image { bytes: 200_000, reader } };
    let error = scene.repository.take_stream(stream).unwrap_err();
    assert!(matches!(&error, Error::Source { .. }), "{error}");
    assert!(error.to_string().contains("the database was replaced"), "{error}");
    assert_eq!(scene.repository.list()?.snapshots, [good.snapshot]);
    assert!(scene.repository.check(Depth::Everything)?.is_whole());
    Ok(())
}

#[test]
fn a_stream_of_another_length_than_it_said_leaves_no_snapshot() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    for (bytes, said) in [(100_000, "ends 28928 bytes before"), (200_000, "longer than it said")] {
        let reader = Box::new(Cursor::new(noise(5, bytes)));
        let stream = Stream {
            label: image("2026-11-21T02:00:00Z"),
            image: Image { bytes: 128_928, reader },
        };
        let error = scene.repository.take_stream(stream).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(scene.repository.list()?.snapshots.is_empty());
    Ok(())
}

#[test]
fn an_empty_image_is_an_image() -> Result<()> {
    let scene = Scene::new(Kind::Images)?;
    let taken = scene.take(image("2026-11-21T02:00:00Z"), b"")?;
    let mut back = Vec::new();
    assert_eq!(scene.repository.read(&taken.snapshot.id, "conversation.db", &mut back)?, 0);
    Ok(())
}

#[test]
fn nobody_else_can_look_into_a_repository() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new(Kind::Images)?;
    scene.take(image("2026-11-21T02:00:00Z"), b"words")?;
    for path in files(&scene.stored()) {
        let path = scene.stored().join(path);
        let folder = path.parent().unwrap();
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o377, 0, "{path:?}");
        assert_eq!(std::fs::metadata(folder)?.permissions().mode() & 0o077, 0, "{folder:?}");
    }
    let scratch: Vec<_> = std::fs::read_dir(scene.stored().join("tmp"))?.collect();
    assert!(scratch.is_empty(), "nothing half written stays");
    Ok(())
}
