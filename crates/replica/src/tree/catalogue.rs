//! What is in a tree: its files by level, and what lies between them and is none of them.

use std::io;
use std::path::{Path, PathBuf};

use super::error::TreeError;
use super::name::{FOLDER, file_name, parse_file_name};
use super::{FULLS, level_folder, millis};
use crate::disk::TEMPORARY;

/// A file of a tree, as far as its name and its date tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// Its level, 0 to 9.
    pub level: u8,
    /// The first transaction in it.
    pub min_txid: u64,
    /// The last.
    pub max_txid: u64,
    /// When the last was seen, in milliseconds since 1970.
    pub time_ms: i64,
    /// The file's length.
    pub bytes: u64,
}

impl Entry {
    /// Whether it holds every page.
    pub fn is_full(&self) -> bool {
        self.level == FULLS
    }

    /// Whether everything in `other` is in it too.
    pub fn covers(&self, other: &Self) -> bool {
        self.min_txid <= other.min_txid && self.max_txid >= other.max_txid
    }

    /// Its file, below a tree's root.
    pub fn path(&self, root: &Path) -> PathBuf {
        level_folder(root, self.level).join(file_name(self.min_txid, self.max_txid))
    }
}

/// Something in a tree's folders that is no file of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was being written by us when something went wrong, so that it can go.
    pub half_written: bool,
}

/// Everything that is in a tree at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    root: PathBuf,
    /// By level, then by transactions.
    entries: Vec<Entry>,
    oddities: Vec<Oddity>,
}

impl Catalogue {
    /// A catalogue of these entries below `root`, wherever they come from.
    pub fn new(root: &Path, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.sort_unstable_by_key(|entry| (entry.level, entry.min_txid, entry.max_txid));
        Self { root: root.to_owned(), entries, oddities: Vec::new() }
    }

    /// Looks through the folders below `root`; also those of a tree that stock litestream wrote.
    pub(crate) fn read(root: &Path) -> Result<Self, TreeError> {
        let mut entries = Vec::new();
        let mut oddities = Vec::new();
        for level in 0..=FULLS {
            let folder = level_folder(root, level);
            let unreadable = TreeError::io("list", &folder);
            let found = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found.map_err(&unreadable)?,
            };
            for item in found {
                let item = item.map_err(&unreadable)?;
                match look(&item, level) {
                    Ok(Found::Entry(entry)) => entries.push(entry),
                    Ok(Found::Oddity(oddity)) => oddities.push(oddity),
                    // Gone since the folder was read: merged and forgotten.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(TreeError::io("look at", &item.path())(error)),
                }
            }
        }
        oddities.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { oddities, ..Self::new(root, entries) })
    }

    /// What is in a tree that somebody else wrote, such as stock litestream, which has no manifest.
    ///
    /// # Errors
    /// No tree there, or what the disk said.
    pub fn of_foreign(root: &Path) -> Result<Self, TreeError> {
        let folder = root.join(FOLDER);
        std::fs::metadata(&folder).map_err(TreeError::io("look for a tree's files in", &folder))?;
        Self::read(root)
    }

    /// The folder that the entries are below.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files, by level and then by transactions.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What else lies in the folders.
    pub fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }

    /// The files of one level, oldest first.
    pub fn of_level(&self, level: u8) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.level == level)
    }

    /// The fulls, oldest first.
    pub fn fulls(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.of_level(FULLS)
    }

    /// The file with the last transaction; of several the one of the highest level.
    pub fn newest(&self) -> Option<&Entry> {
        self.entries.iter().max_by_key(|entry| (entry.max_txid, entry.level))
    }

    /// The same without this entry, to plan around a file that is damaged.
    #[must_use]
    pub fn without(mut self, entry: &Entry) -> Self {
        self.entries.retain(|other| {
            (other.level, other.min_txid, other.max_txid)
                != (entry.level, entry.min_txid, entry.max_txid)
        });
        self
    }

    /// How many bytes all files have.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }
}

enum Found {
    Entry(Entry),
    Oddity(Oddity),
}

fn look(item: &std::fs::DirEntry, level: u8) -> io::Result<Found> {
    let about = item.metadata()?;
    let name = item.file_name();
    let name = name.to_string_lossy();
    let parsed = parse_file_name(&name).filter(|_| about.is_file());
    let Some((min_txid, max_txid)) = parsed else {
        let half_written = about.is_file() && name.ends_with(TEMPORARY);
        return Ok(Found::Oddity(Oddity { path: item.path(), half_written }));
    };
    let time_ms = millis(about.modified()?);
    Ok(Found::Entry(Entry { level, min_txid, max_txid, time_ms, bytes: about.len() }))
}
