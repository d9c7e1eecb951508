//! Packing a log file into gzip, so that at any moment either the plain or the packed one is whole.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::remove_if_there;

/// Where the packed form of `plain` will stand.
pub(super) fn packed(plain: &Path) -> PathBuf {
    with_suffix(plain, ".gz")
}

/// Where it grows until it is whole.
pub(super) fn unfinished(plain: &Path) -> PathBuf {
    with_suffix(plain, ".gz.tmp")
}

/// Packs `plain` and removes it. What fails leaves the plain file and nothing else.
pub(super) fn pack(plain: &Path) -> io::Result<PathBuf> {
    let (target, growing) = (packed(plain), unfinished(plain));
    let outcome = write(plain, &growing).and_then(|()| fs::rename(&growing, &target));
    if let Err(error) = outcome {
        remove_if_there(&growing)?;
        return Err(error);
    }
    fs::remove_file(plain)?;
    Ok(target)
}

fn write(plain: &Path, growing: &Path) -> io::Result<()> {
    let mut from = File::open(plain)?;
    let written = from.metadata()?.modified()?;
    let mut encoder = GzEncoder::new(File::create(growing)?, Compression::default());
    io::copy(&mut from, &mut encoder)?;
    let file = encoder.finish()?;
    // Its age is the age of its last line, not of its packing.
    file.set_modified(written)?;
    file.sync_all()
}

/// How many bytes a packed file unpacks to, as its last four bytes say (RFC 1952, 2.3.1).
pub(super) fn unpacked_bytes(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-4))?;
    let mut size = [0; 4];
    file.read_exact(&mut size)?;
    Ok(u64::from(u32::from_le_bytes(size)))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
