//! Everything a release changes in the tree, held in memory until somebody wants it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::commits::Commit;
use super::notes::{self, Remarks};
use super::texts;
use super::version::Version;
use crate::external;

const KNOWN_ISSUES: &str = "docs/releases/known-issues.md";
const UPGRADE: &str = "docs/releases/upgrade.md";
const EXAMPLE: &str = ".env.example";
/// Files that name the version of the images.
const WITH_IMAGES: [&str; 3] = ["compose.yaml", "deploy/nas/env", EXAMPLE];

/// The notes, and each file that changes with its new text.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) notes: String,
    files: Vec<(String, String)>,
}

/// Where the notes of a version are kept.
pub(crate) fn notes_path(version: Version) -> String {
    format!("docs/releases/v{version}.md")
}

impl Changes {
    /// Works out every change from what stands in the tree.
    pub(crate) fn plan(
        root: &Path,
        tag: Option<&str>,
        version: Version,
        commits: &[Commit],
    ) -> Result<Self> {
        let manifest = read(root, "Cargo.toml")?.context("read Cargo.toml: it is not there")?;
        let old = texts::version(&manifest)?;
        let upgrade = read(root, UPGRADE)?.unwrap_or_default();
        let mut upgrade_steps = notes::items(&upgrade);
        upgrade_steps.extend(own_steps(root, tag)?);
        let remarks = Remarks {
            known_issues: notes::items(&read(root, KNOWN_ISSUES)?.unwrap_or_default()),
            upgrade_steps,
        };
        let notes = notes::write(version, commits, &remarks);
        let changelog =
            read(root, "CHANGELOG.md")?.context("read CHANGELOG.md: it is not there")?;
        let mut files = vec![
            ("Cargo.toml".to_owned(), texts::manifest(&manifest, version)?),
            ("CHANGELOG.md".to_owned(), texts::changelog(&changelog, version, &today()?)?),
            (notes_path(version), notes.clone()),
            (UPGRADE.to_owned(), without_items(&upgrade)),
        ];
        if let Some(lock) = read(root, "Cargo.lock")? {
            files.push(("Cargo.lock".to_owned(), texts::lock(&lock, old, version)));
        }
        for path in WITH_IMAGES {
            if let Some(text) = read(root, path)? {
                files.push((path.to_owned(), texts::compose(&text, old, version)));
            }
        }
        let mut changed = Vec::new();
        for (path, text) in files {
            if read(root, &path)?.unwrap_or_default() != text {
                changed.push((path, text));
            }
        }
        Ok(Self { notes, files: changed })
    }

    /// Writes every file and gives their paths.
    pub(crate) fn write(&self, root: &Path) -> Result<Vec<&str>> {
        for (path, text) in &self.files {
            put(&root.join(path), text)?;
        }
        Ok(self.files.iter().map(|(path, _)| path.as_str()).collect())
    }

    /// The changes as a diff, made by git from copies beside the build's own files.
    pub(crate) fn difference(&self, root: &Path) -> Result<String> {
        let folder = root.join("target").join("release-preview");
        let clear = || match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        clear().context("remove an earlier look")?;
        std::fs::create_dir_all(folder.join("a")).context("make room for a look")?;
        for (path, text) in &self.files {
            if let Some(now) = read(root, path)? {
                put(&folder.join("a").join(path), &now)?;
            }
            put(&folder.join("b").join(path), text)?;
        }
        let mut compare = Command::new("git");
        compare.args(["diff", "--no-index", "--no-prefix", "--no-color", "a", "b"]);
        let ended = external::capture(compare.current_dir(&folder))?;
        clear().context("remove what the look needed")?;
        // 1 means that there are differences, which is what was asked.
        ensure!(
            ended.status.code() == Some(1),
            "compare the files: {}",
            external::tail(&ended.errors)
        );
        Ok(ended.output)
    }
}

/// Steps that the tree itself tells: new migrations, and settings without a default.
fn own_steps(root: &Path, tag: Option<&str>) -> Result<Vec<String>> {
    let Some(tag) = tag else { return Ok(Vec::new()) };
    let mut steps = Vec::new();
    let mut list = Command::new("git");
    list.args(["diff", "--name-only", "--diff-filter=A", tag, "--", "migrations"]);
    let added = external::quiet(list.current_dir(root)).context("look for new migrations")?;
    let added: Vec<&str> = added
        .lines()
        .filter_map(|path| path.strip_prefix("migrations/")?.strip_suffix(".up.sql"))
        .collect();
    if !added.is_empty() {
        steps.push(format!(
            "はじめに `backups` と `data` フォルダーを写しておいてください。データベースは、最初の起動のときに自動で新しい形になります（{}）",
            added.join("、")
        ));
    }
    let mut show = Command::new("git");
    show.args(["show", &format!("{tag}:{EXAMPLE}")]);
    // A release before the document had none of its settings.
    let before = external::quiet(show.current_dir(root)).unwrap_or_default();
    let now = read(root, EXAMPLE)?.unwrap_or_default();
    let before: BTreeSet<&str> = required(&before).collect();
    steps.extend(
        required(&now)
            .filter(|key| !before.contains(key))
            .map(|key| format!("`.env` に `{key}` を書き加えてください")),
    );
    Ok(steps)
}

/// Settings that stand in the example without a default.
pub(crate) fn required(example: &str) -> impl Iterator<Item = &str> {
    example.lines().filter_map(|line| line.strip_suffix('=')).filter(|key| !key.starts_with('#'))
}

/// The document up to its first item.
fn without_items(document: &str) -> String {
    let head: Vec<&str> =
        document.split_inclusive('\n').take_while(|line| notes::items(line).is_empty()).collect();
    format!("{}\n", head.concat().trim_end())
}

fn today() -> Result<String> {
    let told = external::quiet(Command::new("date").arg("+%Y-%m-%d").env("TZ", "Asia/Tokyo"))?;
    Ok(told.trim().to_owned())
}

/// A file's text; `None` when it is not there.
fn read(root: &Path, path: &str) -> Result<Option<String>> {
    match std::fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {path}")),
    }
}

fn put(place: &Path, text: &str) -> Result<()> {
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    std::fs::write(place, text).with_context(|| format!("write {}", place.display()))
}
