//! Compose and buildx for a Docker command line that came without them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::docker::Docker;
use crate::external;
use crate::say;
use crate::surroundings;

/// Debian has both as plugins since this release; they need nothing newer than its predecessor.
const SUITE: &str = "trixie";
const PACKAGES: [&str; 2] = ["docker-compose", "docker-buildx"];
/// Where the system's package manager says which mirror it uses.
const SOURCES: [&str; 2] = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The same command line with Compose, fetched into the cache folder where the system has none.
pub(super) fn provide(docker: &Docker) -> Result<Docker> {
    if docker.has_plugin("compose") {
        return Ok(docker.clone());
    }
    let folder = surroundings::cache()?.join("docker");
    let with = docker.clone().with_plugins(&folder);
    if with.has_plugin("compose") {
        return Ok(with);
    }
    if !debian::can_install() {
        bail!("find Docker Compose: install the Compose plugin with this system's packages");
    }
    fetch(&folder)?;
    if !with.has_plugin("compose") {
        bail!("run the Compose plugin that was just fetched");
    }
    Ok(with)
}

/// Downloads the packages with a package manager's state of our own, so that the system's stays
/// as it is, and takes the plugins out of them.
fn fetch(folder: &Path) -> Result<()> {
    say::aside("fetching the Compose plugin from Debian's packages");
    let scratch = folder.join("fetching");
    for part in ["lists/partial", "cache/archives/partial", "unpacked"] {
        std::fs::create_dir_all(scratch.join(part)).context("make a folder for packages")?;
    }
    let list = scratch.join("plugins.sources");
    let text = format!(
        "Types: deb\nURIs: {}\nSuites: {SUITE}\nComponents: main\nSigned-By: {KEYRING}\n",
        mirror()?
    );
    std::fs::write(&list, text).context("write the list of sources")?;
    external::quiet(apt(&scratch, &list).arg("update"))?;
    external::quiet(apt(&scratch, &list).arg("download").args(PACKAGES).current_dir(&scratch))?;
    let plugins = folder.join("cli-plugins");
    std::fs::create_dir_all(&plugins).context("make a folder for plugins")?;
    for package in packages(&scratch)? {
        let unpacked = scratch.join("unpacked");
        external::quiet(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
    }
    for name in PACKAGES {
        let from = scratch.join("unpacked/usr/libexec/docker/cli-plugins").join(name);
        std::fs::copy(&from, plugins.join(name)).context("take a plugin out of its package")?;
    }
    std::fs::remove_dir_all(&scratch).context("remove what was unpacked")
}

fn apt(scratch: &Path, list: &Path) -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("-qq");
    for (option, value) in [
        ("Dir::Etc::SourceParts", "/dev/null".to_owned()),
        ("Dir::Etc::PreferencesParts", "/dev/null".to_owned()),
        ("Dir::Etc::SourceList", list.display().to_string()),
        ("Dir::State::Lists", scratch.join("lists").display().to_string()),
        ("Dir::Cache", scratch.join("cache").display().to_string()),
        ("APT::Sandbox::User", "root".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
    ] {
        apt.arg("-o").arg(format!("{option}={value}"));
    }
    apt
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).context("look at what was downloaded")?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|kind| kind == "deb")).collect())
}

/// The mirror that the system itself uses.
fn mirror() -> Result<String> {
    let found = SOURCES.iter().find_map(|file| mirror_in(&std::fs::read_to_string(file).ok()?));
    found.context("find the mirror that this system's package manager uses")
}

/// The first address of a sources file, in either of its two forms.
fn mirror_in(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let first = words.next()?;
        let address = words.find(|word| word.contains("://"))?;
        let is_main = !address.contains("security");
        (is_main && (first == "URIs:" || first == "deb")).then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn the_mirror_is_read_in_both_forms() {
        let new =
            "Types: deb\n# URIs: http://a/old\nURIs: http://mirror.example/debian\nSuites: x\n";
        assert_eq!(mirror_in(new).as_deref(), Some("http://mirror.example/debian"));
        let old = "# comment\ndeb [arch=amd64] https://mirror.example/debian bookworm main\n";
        assert_eq!(mirror_in(old).as_deref(), Some("https://mirror.example/debian"));
    }

    #[test]
    fn the_mirror_of_security_updates_is_another_one() {
        let text = "deb http://mirror.example/debian-security bookworm-security main\n";
        assert_eq!(mirror_in(text), None);
        assert_eq!(mirror_in(""), None);
    }
}
