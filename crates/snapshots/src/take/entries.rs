//! The entries of a folder, one by one: what is read, what is imaged, what is left alone.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustic_core::{LocalSource, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticResult};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};

use super::Image;
use super::folder::Shared;
use super::reader::{Length, Noted};

/// The first bytes of every SQLite database (its file format, "The Database Header").
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What stands beside a database and is part of it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

type Walk = <LocalSource as ReadSource>::Iter;
type Entry = ReadSourceEntry<<LocalSource as ReadSource>::Open>;

/// How an entry's content is come by.
pub(crate) struct Opening(Noted);

impl ReadSourceOpen for Opening {
    type Reader = Noted;

    fn open(self) -> RusticResult<Noted> {
        Ok(self.0)
    }
}

/// The entries.
pub(crate) struct Entries {
    walk: Walk,
    shared: Arc<Shared>,
    began: bool,
    /// Databases met so far, by path and by device and inode.
    databases: HashSet<PathBuf>,
    database_files: HashSet<(u64, u64)>,
}

impl Entries {
    pub(crate) fn new(walk: Walk, shared: Arc<Shared>) -> Self {
        let databases = shared.held.iter().cloned().collect();
        Self { walk, shared, began: false, databases, database_files: HashSet::new() }
    }

    /// What becomes of an entry; none if it is left out.
    fn consider(&mut self, entry: Entry) -> Option<ReadSourceEntry<Opening>> {
        let ReadSourceEntry { path, mut node, .. } = entry;
        if node.is_dir() {
            return Some(ReadSourceEntry { path, node, open: None });
        }
        if !node.is_file() {
            self.shared.notes.handed();
            return Some(ReadSourceEntry { path, node, open: None });
        }
        if self.is_beside_a_database(&path) {
            return None;
        }
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) => {
                self.shared.notes.unread(&path, &error);
                return None;
            }
        };
        let identity = (found.dev(), found.ino());
        if self.shared.held_files.contains(&identity) {
            self.databases.insert(path);
            return None;
        }
        let opened = self.content(&path, identity).map(|content| match content {
            Content::File(file, bytes) => {
                node.meta.size = bytes;
                (Box::new(file) as Box<dyn io::Read + Send>, bytes, Length::AtMost)
            }
            Content::Image(image) => {
                // As of now, whatever the file's own times say: its newest pages may lie in the
                // log beside it, and an unchanged time must not make them look unchanged.
                node.meta.size = image.bytes;
                node.meta.mtime = Some(Timestamp::now());
                node.meta.ctime = Some(Timestamp::now());
                (image.reader, image.bytes, Length::Exact)
            }
        });
        match opened {
            Ok((inner, left, length)) => {
                self.shared.notes.handed();
                let notes = self.shared.notes.clone();
                let open = Opening(Noted { inner, path: path.clone(), left, length, notes });
                Some(ReadSourceEntry { path, node, open: Some(open) })
            }
            Err(error) => {
                self.shared.notes.unread(&path, &error);
                None
            }
        }
    }

    /// Opens a file, or has a database imaged.
    fn content(&mut self, path: &Path, identity: (u64, u64)) -> io::Result<Content> {
        // A second name of a database: opening and closing it while its image is being read
        // would drop the engine's locks.
        if !self.database_files.contains(&identity) {
            let file = self.open_below_root(path)?;
            let mut beginning = [0; SQLITE_MAGIC.len()];
            let is_database = match file.read_exact_at(&mut beginning, 0) {
                Ok(()) => beginning == *SQLITE_MAGIC,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(error),
            };
            if !is_database {
                let bytes = file.metadata()?.len();
                return Ok(Content::File(file, bytes));
            }
        }
        self.databases.insert(path.to_owned());
        self.database_files.insert(identity);
        let Some(images) = &self.shared.images else {
            return Err(io::Error::other("it is a database, and nothing here can image one"));
        };
        let image = images(path).map_err(|error| {
            io::Error::other(format!("it is a database, of which no image could be made: {error}"))
        })?;
        self.shared.notes.database(path);
        Ok(Content::Image(image))
    }

    /// Opens without following a link anywhere on the way, whoever swaps one in meanwhile.
    fn open_below_root(&self, path: &Path) -> io::Result<File> {
        let relative = path.strip_prefix(&self.shared.root).map_err(io::Error::other)?;
        // A pipe that took the file's place must not make us wait.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let root = &self.shared.descriptor;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = match openat2(root, relative, flags, Mode::empty(), resolve) {
            // Kernels before 5.6, as older NAS have them, and seccomp filters that do not know it.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
                openat(root, relative, flags, Mode::empty())
            }
            other => other,
        };
        let file = File::from(opened?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::other("something else took its place while the folder was read"))
        }
    }

    fn is_beside_a_database(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
        BESIDE.iter().any(|end| {
            name.strip_suffix(end)
                .is_some_and(|base| self.databases.contains(&path.with_file_name(base)))
        })
    }

    /// What the walk could not look at.
    fn note(&self, error: &rustic_core::RusticError) {
        let text = crate::repository::said(error);
        if text.contains("NotFound") || text.contains("No such file") {
            // The walk's errors carry the path in their words only.
            self.shared.notes.unread(Path::new(&text), &io::ErrorKind::NotFound.into());
        } else {
            self.shared.notes.trouble(&self.shared.root, text);
        }
    }
}

/// An entry's content.
enum Content {
    File(File, u64),
    Image(Image),
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Opening>>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.began {
            self.began = true;
            let (path, node) = (self.shared.root.clone(), self.shared.top.clone());
            return Some(Ok(ReadSourceEntry { path, node, open: None }));
        }
        loop {
            match self.walk.next()? {
                Ok(entry) => {
                    if let Some(kept) = self.consider(entry) {
                        return Some(Ok(kept));
                    }
                }
                Err(error) => self.note(&error),
            }
        }
    }
}
