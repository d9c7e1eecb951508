//! A snapshot of a folder that others may be writing to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{
    Excludes, LocalSource, LocalSourceFilterOptions, LocalSourceSaveOptions, ReadSource,
    RusticResult,
};
use rustix::fs::{Mode, OFlags, open};

use super::entries::{Entries, Opening};
use super::notes::Notes;
use super::{ImageOf, Reading, Taken};
use crate::error::Error;
use crate::label::Label;
use crate::repository::Repository;

/// A folder and how to read it.
pub struct Folder {
    /// What to write on its snapshot; its name is the folder's name in the snapshot.
    pub label: Label,
    /// The folder.
    pub root: PathBuf,
    /// Globs of what is left out: without a slash in any folder (`*.tmp`), with one from the
    /// root (`cache/**`).
    pub exclude: Vec<String>,
    /// Databases (and their `-wal`, `-shm`, `-journal`) that this very process has open. They are
    /// left out and *never opened*: closing any descriptor of such a file would drop the locks
    /// that the database engine holds on it.
    pub held: Vec<PathBuf>,
    /// How to image a database that is found. Without it, one that is found is trouble: a copy of
    /// a file that lives may be no database.
    pub images: Option<ImageOf>,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder")
            .field("label", &self.label)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

struct Source {
    walk: LocalSource,
    shared: Arc<Shared>,
}

/// What every entry needs to know of the whole.
pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    /// The root, open: entries are opened below it and nowhere else.
    pub(crate) descriptor: rustix::fd::OwnedFd,
    pub(crate) images: Option<ImageOf>,
    pub(crate) held: Vec<PathBuf>,
    /// Device and inode of each held file, whatever other names it has.
    pub(crate) held_files: Vec<(u64, u64)>,
    pub(crate) top: Node,
    pub(crate) notes: Arc<Notes>,
}

impl ReadSource for Source {
    type Open = Opening;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        Entries::new(self.walk.entries(), self.shared.clone())
    }
}

impl Repository {
    /// Takes a snapshot of a folder: permissions, owners and times kept, links kept as links,
    /// nothing outside of it read.
    ///
    /// Files that vanish meanwhile are named and no fault. What cannot be read is named, and the
    /// snapshot of the rest is marked as partial.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] or [`Error::File`] if the folder itself cannot be read, in which case no
    /// snapshot is kept.
    pub fn take_folder(&self, folder: &Folder) -> Result<Taken, Error> {
        let _turn = self.turn();
        self.watch.take_bytes_written();
        let root = fs::canonicalize(&folder.root).map_err(Error::file("find", &folder.root))?;
        let notes = Arc::<Notes>::default();
        let source = Source {
            walk: walk(&root, &folder.exclude)?,
            shared: Arc::new(shared(folder, &root, &notes)?),
        };
        let reading = Reading {
            root: root.clone(),
            shown_as: PathBuf::from("/").join(&folder.label.name),
            after_the_last: true,
        };
        let file = self.archive(&folder.label, &reading, &source)?;
        let kept = file.summary.as_ref().map_or(0, |summary| summary.total_files_processed);
        notes.count(&root, kept);
        self.keep(file, &notes)
    }
}

fn shared(folder: &Folder, root: &Path, notes: &Arc<Notes>) -> Result<Shared, Error> {
    let found = fs::metadata(root).map_err(Error::file("look at", root))?;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let descriptor = open(root, flags, Mode::empty())
        .map_err(std::io::Error::from)
        .map_err(Error::file("open", root))?;
    // Readable at all? An unreadable root would otherwise look like an empty folder.
    fs::read_dir(root).map_err(Error::file("list", root))?;
    // Stating is harmless; it is opening and closing that drops locks.
    let held_files = folder.held.iter().filter_map(|path| identity(path)).collect();
    let held = folder
        .held
        .iter()
        .map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
        .collect();
    Ok(Shared {
        root: root.to_owned(),
        descriptor,
        images: folder.images.clone(),
        held,
        held_files,
        top: top_node(&folder.label, &found),
        notes: notes.clone(),
    })
}

/// Device and inode of a path.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// The folder itself, which the engine's walk leaves out.
fn top_node(label: &Label, found: &fs::Metadata) -> Node {
    let time = |time: std::io::Result<std::time::SystemTime>| {
        time.ok().and_then(|time| jiff::Timestamp::try_from(time).ok())
    };
    let meta = Metadata {
        mode: Some(restic_folder_mode(found.mode())),
        mtime: time(found.modified()),
        atime: time(found.modified()),
        uid: Some(found.uid()),
        gid: Some(found.gid()),
        inode: found.ino(),
        ..Metadata::default()
    };
    Node::new_node(label.name.as_ref(), NodeType::Dir, meta)
}

/// A folder's mode as restic stores it, which is how Go numbers the bits (`io/fs.FileMode`).
fn restic_folder_mode(mode: u32) -> u32 {
    const DIR: u32 = 1 << 31;
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let bits = special.iter().filter(|(unix, _)| mode & unix != 0).map(|(_, go)| go);
    bits.fold(DIR | (mode & 0o777), |all, bit| all | bit)
}

fn walk(root: &Path, exclude: &[String]) -> Result<LocalSource, Error> {
    let globs: Vec<String> = exclude.iter().map(|glob| exclusion(root, glob)).collect();
    LocalSource::new(
        LocalSourceSaveOptions::default(),
        &Excludes::default().globs(globs),
        &LocalSourceFilterOptions::default(),
        &[root],
    )
    .map_err(|error| Error::Source {
        name: root.display().to_string(),
        what: format!("its exclusions cannot be read: {}", crate::repository::said(&error)),
    })
}

/// The engine matches whole paths; a glob with a slash inside is meant from the root.
fn exclusion(root: &Path, glob: &str) -> String {
    let trimmed = glob.trim_start_matches('/');
    if trimmed.trim_end_matches('/').contains('/') || glob.starts_with('/') {
        let mut escaped = String::new();
        for letter in root.display().to_string().chars() {
            if "\\*?[]{}!#".contains(letter) {
                escaped.push('\\');
            }
            escaped.push(letter);
        }
        format!("!{escaped}/{trimmed}")
    } else {
        format!("!{trimmed}")
    }
}
