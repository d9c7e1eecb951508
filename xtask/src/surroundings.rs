//! What the machine tells a chore: environment, workspace root, cache folder, system, language.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Reads one environment variable; an empty one counts as not set.
#[expect(clippy::disallowed_methods, reason = "the one door of the chores to the environment")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn workspace() -> Result<PathBuf> {
    let package = variable("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = package.parent().context("find the workspace above xtask's own folder")?;
    Ok(root.to_path_buf())
}

/// The folder for what is fetched once and kept: `$XDG_CACHE_HOME/kotonoha`, else `~/.cache/kotonoha`.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("find a cache folder: set HOME or XDG_CACHE_HOME")?;
    let folder = base.join("kotonoha");
    std::fs::create_dir_all(&folder).with_context(|| {
        format!("create {}: set XDG_CACHE_HOME to a folder you may write to", folder.display())
    })?;
    Ok(folder)
}

/// The first executable of that name on `PATH`.
pub(crate) fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Whether this user may run the file.
pub(crate) fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Whether this process may change the system itself.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the person's language is Japanese, by the usual order of locale variables.
pub(crate) fn speaks_japanese() -> bool {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| variable(name))
        .is_some_and(|value| value.to_string_lossy().starts_with("ja"))
}

/// The families of Linux (and others) that install software in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Debian itself; its `chromium` is a real package.
    Debian,
    /// Ubuntu and other children of Debian.
    DebianLike,
    /// Fedora, RHEL and relatives.
    Fedora,
    /// Arch and relatives.
    Arch,
    /// Alpine.
    Alpine,
    /// Apple's.
    MacOs,
    /// Anything else.
    Other,
}

/// Which system this is, from `/etc/os-release`.
pub(crate) fn system() -> System {
    if cfg!(target_os = "macos") {
        return System::MacOs;
    }
    // A system without the file is an unknown one, which is an answer and not a fault.
    std::fs::read_to_string("/etc/os-release").map_or(System::Other, |text| name_system(&text))
}

fn name_system(os_release: &str) -> System {
    let field = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    let id = field("ID");
    let family = format!("{id} {}", field("ID_LIKE"));
    let has = |name: &str| family.split_whitespace().any(|word| word == name);
    match () {
        () if id == "debian" => System::Debian,
        () if has("debian") || has("ubuntu") => System::DebianLike,
        () if has("fedora") || has("rhel") => System::Fedora,
        () if has("arch") => System::Arch,
        () if has("alpine") => System::Alpine,
        () => System::Other,
    }
}

/// A port that nobody uses now, for programs that cannot choose one by themselves and say which.
pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

#[cfg(test)]
mod tests {
    use super::{System, name_system};

    #[test]
    fn a_system_is_named_by_its_release_file() {
        assert_eq!(name_system("NAME=\"Debian\"\nID=debian\n"), System::Debian);
        assert_eq!(name_system("ID=ubuntu\nID_LIKE=debian\n"), System::DebianLike);
        assert_eq!(name_system("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), System::Fedora);
        assert_eq!(name_system("ID=manjaro\nID_LIKE=arch\n"), System::Arch);
        assert_eq!(name_system("ID=plan9\n"), System::Other);
    }
}
