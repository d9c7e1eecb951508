//! The folder that images are built from: the same files with the same times, whoever fills it.

use std::fs::{File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::programs;
use crate::external;
use crate::nats;

/// The time of every file in an image, in Unix seconds: the first of 2026. A layer whose content
/// did not change is the same layer then, and needs no new download.
const FILE_TIME_SECONDS: u64 = 1_767_225_600;
/// Folders that services write to; empty, and owned by uid 1000 in the image.
const FOLDERS: [&str; 5] = ["backups", "config", "data", "logs", "run/secrets"];

/// The commit that is built, for labels.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) id: String,
    /// Its time as RFC 3339.
    pub(crate) time: String,
    /// Its time in Unix seconds.
    pub(crate) seconds: String,
}

/// Asks git; a tree that came without its history has no commit to name.
pub(crate) fn commit(workspace: &Path) -> Result<Commit> {
    let mut git = Command::new("git");
    git.current_dir(workspace).args(["log", "-1", "--format=%H %cI %ct"]);
    let ended = external::capture(&mut git)?;
    let mut words = ended.output.split_whitespace();
    let mut word = |otherwise: &str| words.next().unwrap_or(otherwise).to_owned();
    let commit =
        Commit { id: word("unknown"), time: word("1970-01-01T00:00:00Z"), seconds: word("0") };
    ensure!(commit.seconds.bytes().all(|byte| byte.is_ascii_digit()), "read the commit's time");
    Ok(commit)
}

/// Fills `folder` anew.
pub(super) fn fill(workspace: &Path, programs: &[PathBuf], folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).context("empty the build context of an earlier run")?;
    }
    for name in FOLDERS {
        let path = folder.join("folders").join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
    }
    for program in programs {
        place(program, folder, 0o555)?;
    }
    let server = nats::provide_static(programs::is_static)?;
    place(&server, folder, 0o555)?;
    place(&workspace.join("deploy/nats/nats.conf"), folder, 0o444)?;
    settle(folder)?;
    Ok(folder.to_owned())
}

fn place(file: &Path, folder: &Path, mode: u32) -> Result<()> {
    let name = file.file_name().context("name a file")?;
    let there = folder.join(name);
    std::fs::copy(file, &there).with_context(|| format!("copy {}", file.display()))?;
    std::fs::set_permissions(&there, Permissions::from_mode(mode)).context("set its mode")
}

/// Gives everything below the same time and every folder the same mode, deepest first.
fn settle(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).context("look into the build context")? {
            settle(&entry.context("look into the build context")?.path())?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).context("set its mode")?;
    }
    let time = UNIX_EPOCH + Duration::from_secs(FILE_TIME_SECONDS);
    File::open(path)
        .and_then(|file| file.set_times(FileTimes::new().set_modified(time).set_accessed(time)))
        .with_context(|| format!("set the time of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::{FILE_TIME_SECONDS, settle};

    #[test]
    fn files_and_folders_get_the_same_time_and_mode() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("folders/run/secrets");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(place.path().join("folders/file"), "x").unwrap();
        settle(place.path()).unwrap();
        for path in [deep.as_path(), &place.path().join("folders/file"), place.path()] {
            let found = path.metadata().unwrap();
            assert_eq!(u64::try_from(found.mtime()).unwrap(), FILE_TIME_SECONDS);
            assert!(!found.is_dir() || found.mode() & 0o7777 == 0o755);
        }
    }
}
