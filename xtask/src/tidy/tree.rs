//! The files of the project as git sees them, and the rules for files as such.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Finding;
use crate::external;

/// Larger files belong somewhere else than into a git history.
const LARGEST_BYTES: u64 = 1024 * 1024;
/// Files every checkout must have.
const WANTED: [&str; 2] = [".env.example", "Cargo.lock"];

/// One file: its path from the root with `/`, and its text unless it is not text.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) text: Option<String>,
}

/// Every file that is tracked or about to be.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Lists the files with git, which knows what is ignored.
    pub(crate) fn read(workspace: &Path) -> Result<Self> {
        let mut list = Command::new("git");
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = external::quiet(list.current_dir(workspace)).context("list the files")?;
        let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut files = Vec::new();
        for path in paths {
            let place = workspace.join(path);
            // Listed but deleted in the working tree, or a link to nowhere.
            let Ok(bytes) = std::fs::read(&place) else { continue };
            let size_bytes = bytes.len() as u64;
            files.push(File {
                path: path.to_owned(),
                size_bytes,
                text: String::from_utf8(bytes).ok(),
            });
        }
        Ok(Self { files })
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).and_then(|file| file.text.as_deref())
    }

    /// Whether a file or a folder of that path is there.
    pub(crate) fn has(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.files.iter().any(|file| file.path == path || file.path.starts_with(&below))
    }

    /// Path and text of every text file with that ending.
    pub(crate) fn with_ending<'a>(
        &'a self,
        ending: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |file| file.path.ends_with(ending))
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            size_bytes: text.len() as u64,
            text: Some((*text).to_owned()),
        };
        Self { files: files.iter().map(file).collect() }
    }
}

/// Files that must be there, and files that are too large to keep.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let missing = WANTED
        .iter()
        .filter(|path| tree.text(path).is_none())
        .map(|path| Finding::of_file(path, "is missing"));
    let large = tree.files.iter().filter(|file| file.size_bytes > LARGEST_BYTES).map(|file| {
        Finding::of_file(
            &file.path,
            format!("is {} KiB; 1,024 is the limit", file.size_bytes / 1024),
        )
    });
    missing.chain(large).collect()
}

#[cfg(test)]
mod tests {
    use super::{File, LARGEST_BYTES, Tree, check};

    #[test]
    fn missing_and_large_files_are_found() {
        let mut tree = Tree::of(&[("Cargo.lock", "")]);
        tree.files.push(File {
            path: "film.bin".to_owned(),
            size_bytes: LARGEST_BYTES + 1,
            text: None,
        });
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [".env.example: is missing", "film.bin: is 1024 KiB; 1,024 is the limit"]
        );
    }

    #[test]
    fn a_folder_counts_as_there_when_a_file_is_below_it() {
        let tree = Tree::of(&[("docs/a.md", "")]);
        assert!(tree.has("docs") && tree.has("docs/a.md") && !tree.has("doc"));
    }
}
