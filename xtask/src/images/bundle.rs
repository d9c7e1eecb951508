//! `kotonoha-nas.zip`: one Compose file, one `.env` and the folders, for a NAS without a terminal.

mod zip;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::compose_file::ComposeFile;
use zip::Zip;

/// The archive's name.
const NAME: &str = "kotonoha-nas.zip";
/// The folder that unpacking makes.
const FOLDER: &str = "kotonoha";
/// What people may write to, besides `.env`.
const FOLDERS: [&str; 4] = ["config", "data", "logs", "backups"];
/// The profile that the archive holds.
const PROFILE: &str = "home";

/// How the one Compose file begins.
const BEGINNING: &str = "\
# ことのは / Kotonoha. One file for Container Manager, QNAP or TrueNAS, made from compose.yaml and compose.nas.yaml.
# 書きかえるのは、となりの .env だけで足ります。 Settings stand in .env beside this file; nothing here has to be changed.
";

/// Writes the archive below `folder`, from the files in the workspace.
pub(super) fn write(workspace: &Path, folder: &Path) -> Result<PathBuf> {
    let mut zip = Zip::default();
    zip.folder(&format!("{FOLDER}/"));
    for name in FOLDERS {
        zip.folder(&format!("{FOLDER}/{name}/"));
    }
    zip.file(&format!("{FOLDER}/compose.yaml"), flat_compose_file(workspace)?.as_bytes())?;
    zip.file(&format!("{FOLDER}/.env"), read(workspace, "deploy/nas/env")?.as_bytes())?;
    let path = folder.join(NAME);
    std::fs::write(&path, zip.finish()?).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// `compose.yaml` and `compose.nas.yaml` in one, with the services of `home` alone.
pub(crate) fn flat_compose_file(workspace: &Path) -> Result<String> {
    let mut file = ComposeFile::parse(&read(workspace, "compose.yaml")?);
    file.overlay(&ComposeFile::parse(&read(workspace, "compose.nas.yaml")?));
    file.keep_profile(PROFILE);
    Ok(file.text(BEGINNING))
}

fn read(workspace: &Path, name: &str) -> Result<String> {
    let path = workspace.join(name);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::flat_compose_file;
    use crate::images::ComposeFile;

    fn flat() -> (String, ComposeFile) {
        let text = flat_compose_file(&crate::surroundings::workspace().unwrap()).unwrap();
        let file = ComposeFile::parse(&text);
        (text, file)
    }

    #[test]
    fn the_flat_file_holds_home_alone_and_needs_no_profile() {
        let (text, file) = flat();
        let names: Vec<&str> =
            file.entries("services").iter().filter_map(|node| node.key()).collect();
        let all = ["prepare", "nats", "init", "gateway", "conversation-worker", "backup-agent"];
        assert_eq!(names, all);
        assert!(!text.contains("profiles:") && !text.contains("demo"), "{text}");
        let networks: Vec<&str> =
            file.entries("networks").iter().filter_map(|node| node.key()).collect();
        assert_eq!(networks, ["bus", "outside"]);
    }

    #[test]
    fn the_flat_file_carries_what_the_nas_file_says() {
        let (_, file) = flat();
        let mut services = file.entries("services").iter();
        let gateway = services.find(|node| node.key() == Some("gateway")).unwrap();
        assert_eq!(gateway.child("cpu_shares").unwrap().value(), "256");
        assert!(gateway.child("healthcheck").unwrap().value().contains("interval: 15s"));
        let zone = gateway.child("environment").unwrap().child("LOG_TIME_ZONE").unwrap();
        assert!(zone.value().contains("local"));
        assert!(gateway.child("environment").unwrap().child("DISCORD_TOKEN").is_some());
    }
}
