//! The files a release changes: the version where it stands, and the changelog.

use anyhow::{Context, Result, bail};

use super::version::Version;

/// The section of the changelog that waits for a release.
const UNRELEASED: &str = "## Unreleased";

/// The version that the workspace's manifest gives to every crate.
pub(crate) fn version(manifest: &str) -> Result<Version> {
    let (_, value) = line_of_version(manifest).context("find the version in Cargo.toml")?;
    Version::parse(value).with_context(|| format!("read the version in Cargo.toml: `{value}`"))
}

/// The manifest with another version.
pub(crate) fn manifest(manifest: &str, version: Version) -> Result<String> {
    let (at, value) = line_of_version(manifest).context("find the version in Cargo.toml")?;
    let mut text = manifest.to_owned();
    text.replace_range(at..at + value.len(), &version.to_string());
    Ok(text)
}

/// Where the version of `[workspace.package]` stands, and what it is.
fn line_of_version(manifest: &str) -> Option<(usize, &str)> {
    let section = manifest.find("[workspace.package]\n")?;
    let rest = &manifest[section..];
    let end = rest[1..].find("\n[").map_or(rest.len(), |end| end + 1);
    let line = rest[..end].find("\nversion = \"")?;
    let from = section + line + "\nversion = \"".len();
    let length = manifest[from..].find('"')?;
    Some((from, &manifest[from..from + length]))
}

/// The lock file with another version for the crates of the workspace: those that come from nowhere.
pub(crate) fn lock(lock: &str, old: Version, new: Version) -> String {
    let [from, to] = [old, new].map(|version| format!("\nversion = \"{version}\"\n"));
    let packages: Vec<String> = lock
        .split_inclusive("\n\n")
        .map(|package| {
            let ours = package.starts_with("[[package]]") && !package.contains("\nsource = ");
            if ours { package.replacen(&from, &to, 1) } else { package.to_owned() }
        })
        .collect();
    packages.concat()
}

/// A Compose file (or its example of settings) whose images have the new version.
pub(crate) fn compose(text: &str, old: Version, new: Version) -> String {
    text.replace(&format!("KOTONOHA_VERSION:-{old}}}"), &format!("KOTONOHA_VERSION:-{new}}}"))
        .replace(&format!("KOTONOHA_VERSION={old}\n"), &format!("KOTONOHA_VERSION={new}\n"))
}

/// The changelog with the waiting section under the release's own heading.
pub(crate) fn changelog(text: &str, version: Version, date: &str) -> Result<String> {
    let Some((before, rest)) = text.split_once(&format!("{UNRELEASED}\n")) else {
        bail!("find `{UNRELEASED}` in CHANGELOG.md: put it above the last release");
    };
    let end = rest.find("\n## ").map_or(rest.len(), |end| end + 1);
    let (waiting, older) = rest.split_at(end);
    let waiting = waiting.trim();
    if waiting.is_empty() {
        bail!(
            "find something under `{UNRELEASED}` in CHANGELOG.md: write there what changes for the one who runs it"
        );
    }
    let older = if older.is_empty() { String::new() } else { format!("\n{older}") };
    Ok(format!("{before}{UNRELEASED}\n\n## {version} ({date})\n\n{waiting}\n{older}"))
}

#[cfg(test)]
mod tests {
    use super::{changelog, compose, lock, manifest, version};
    use crate::release::version::Version;

    const MANIFEST: &str = "[workspace]\nmembers = []\n\n[workspace.package]\nedition = \"2024\"\nversion = \"0.1.0\"\n\n[workspace.dependencies]\na = { version = \"0.1.0\" }\n";

    fn numbers() -> (Version, Version) {
        (Version::parse("0.1.0").unwrap(), Version::parse("0.2.0").unwrap())
    }

    #[test]
    fn only_the_workspaces_own_version_changes() {
        let (old, new) = numbers();
        assert_eq!(version(MANIFEST).unwrap(), old);
        let text = manifest(MANIFEST, new).unwrap();
        assert_eq!(text, MANIFEST.replacen("0.1.0", "0.2.0", 1));
        assert!(
            version("[workspace.package]\nedition = \"2024\"\n\n[a]\nversion = \"1.0.0\"\n")
                .is_err()
        );
    }

    #[test]
    fn in_the_lock_file_only_our_crates_change() {
        let (old, new) = numbers();
        let ours = "[[package]]\nname = \"bus\"\nversion = \"0.1.0\"\n\n";
        let theirs = "[[package]]\nname = \"x\"\nversion = \"0.1.0\"\nsource = \"registry\"\n\n";
        let changed = lock(&format!("version = 4\n\n{ours}{theirs}"), old, new);
        assert_eq!(changed, format!("version = 4\n\n{}{theirs}", ours.replace("0.1.0", "0.2.0")));
    }

    #[test]
    fn compose_files_name_the_new_images() {
        let (old, new) = numbers();
        let text = "image: a/b:${KOTONOHA_VERSION:-0.1.0}\nother: 0.1.0\n";
        assert_eq!(
            compose(text, old, new),
            "image: a/b:${KOTONOHA_VERSION:-0.2.0}\nother: 0.1.0\n"
        );
    }

    #[test]
    fn what_waited_gets_its_release() {
        let (old, new) = numbers();
        let first =
            changelog("# C\n\n## Unreleased\n\n- one\n  more\n", old, "2026-11-01").unwrap();
        assert_eq!(first, "# C\n\n## Unreleased\n\n## 0.1.0 (2026-11-01)\n\n- one\n  more\n");
        let told = first.replace("## Unreleased\n", "## Unreleased\n\n- two\n");
        let second = changelog(&told, new, "2026-11-22").unwrap();
        assert_eq!(
            second,
            "# C\n\n## Unreleased\n\n## 0.2.0 (2026-11-22)\n\n- two\n\n## 0.1.0 (2026-11-01)\n\n- one\n  more\n"
        );
        assert!(changelog(&second, new, "x").unwrap_err().to_string().contains("write there"));
    }
}
