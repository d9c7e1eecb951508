//! Folders as a NAS hands them over: of foreign owners, closed to everybody, or open to all.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{place, unpack};
use crate::containers::book::Book;
use crate::containers::project::{Container, Project};
use crate::docker::Docker;
use crate::images::Built;

/// Who owns the unpacked folders, and with which rights, besides the usual 1026:100 and 755.
const FOREIGN: [(&str, u32, u32, u32); 2] =
    [("root and closed", 0, 0, 0o700), ("1026:100 and open to all", 1026, 100, 0o777)];
/// Everything in a container runs as this user.
const OWN: u32 = 1000;

/// Starts what prepares, the bus and the streams in each of them.
pub(super) fn check(book: &mut Book, docker: &Docker, built: &Built) -> Result<()> {
    for (number, (what, user, group, mode)) in FOREIGN.into_iter().enumerate() {
        book.hold(&format!("folders of {what} work at the first start"), || {
            let folder = unpack(built, &place(&format!("folders{number}"))?)?;
            give(&folder, user, group, mode)?;
            let mut project = Project::inside(docker, &folder);
            project.up(&["gateway"])?;
            expect_own(&folder)?;
            project.down()
        })?;
    }
    Ok(())
}

/// Gives a folder and everything in it to somebody.
pub(super) fn give(path: &Path, user: u32, group: u32, mode: u32) -> Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).context("look into a folder")? {
            give(&entry.context("look into a folder")?.path(), user, group, mode)?;
        }
    }
    // A file is what its folder is, without the right to enter.
    let mode = if path.is_dir() { mode } else { mode & 0o666 };
    std::os::unix::fs::chown(path, Some(user), Some(group))
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .with_context(|| format!("give {} to {user}:{group}", path.display()))
}

/// What services write to is theirs now, and secrets are nobody else's.
fn expect_own(folder: &Path) -> Result<()> {
    for part in ["data/nats", "data/gateway", "data/conversation-worker", "logs"] {
        let path = folder.join(part);
        let found = path.metadata().with_context(|| format!("look at {}", path.display()))?;
        ensure!(found.uid() == OWN, "own {part} as {OWN}: it is {}", found.uid());
    }
    for service in ["gateway", "conversation-worker", "init"] {
        let path = folder.join("data/secrets").join(service).join("nats-password");
        let found = path.metadata().with_context(|| format!("look at {}", path.display()))?;
        let mode = found.mode() & 0o777;
        ensure!(found.uid() == OWN && mode == 0o400, "{}: {mode:o}", path.display());
    }
    for persona in ["ja.md", "en.md"] {
        ensure!(folder.join("config/personas").join(persona).exists(), "find {persona}");
    }
    Ok(())
}

/// The token is in the gateway alone, the model's key in the worker alone, each service sees its
/// own password alone, and nobody sees Docker's socket.
pub(super) fn expect_apart(all: &[Container], folder: &Path) -> Result<()> {
    for it in all {
        let settings = it.facts["Config"]["Env"].to_string();
        for (key, owner) in
            [("DISCORD_TOKEN=", "gateway"), ("MODEL_API_KEY=", "conversation-worker")]
        {
            let has = settings.contains(key);
            ensure!(has == (it.service == owner), "keep {key} to {owner}: {}", it.service);
        }
        let mounts = it.facts["Mounts"].to_string();
        ensure!(!mounts.contains("docker.sock"), "keep Docker's socket from {}", it.service);
        for mount in it.facts["Mounts"].as_array().into_iter().flatten() {
            if mount["Destination"] != "/run/secrets" {
                continue;
            }
            let own = folder.join("data/secrets").join(&it.service);
            let fine = mount["Source"] == own.display().to_string() && mount["RW"] == false;
            ensure!(fine, "show {} its own secrets, read-only: {mount}", it.service);
        }
    }
    Ok(())
}
