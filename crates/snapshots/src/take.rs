//! Taking a snapshot, of one stream or of a folder.
//!
//! The engine goes on without a file it could not read and says so only in its log. So the sources
//! here write down everything that went wrong, the snapshot file is held back until the notes have
//! been read, and only then is it written: whole, marked as partial, or not at all.

mod entries;
mod folder;
mod notes;
mod reader;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustic_core::repofile::SnapshotFile;
use rustic_core::{BackupOptions, ParentOptions, ReadSource};
use serde::Serialize;

use crate::error::Error;
use crate::label::{Label, PARTIAL, Snapshot};
use crate::repository::Repository;
use notes::Notes;

pub use folder::Folder;
pub use stream::Stream;

/// A consistent image of a database file.
pub struct Image {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its bytes.
    pub reader: Box<dyn std::io::Read + Send>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Makes a consistent image of the database at a path, through the database engine.
pub type ImageOf = Arc<dyn Fn(&Path) -> std::io::Result<Image> + Send + Sync>;

/// Something that belonged in a snapshot and is not, or not surely, in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// What it is about.
    pub path: PathBuf,
    /// What happened.
    pub what: String,
}

/// A snapshot that was taken, and how that went.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// What the repository now lists.
    pub snapshot: Snapshot,
    /// Bytes written to the repository.
    pub bytes_written: u64,
    /// Files that were gone when their turn came: nothing is wrong with that.
    pub vanished: Vec<PathBuf>,
    /// Files that changed while they were read: what is kept is as long as they were at first.
    pub changed: Vec<PathBuf>,
    /// Databases in the folder, of which images were taken instead of copies.
    pub databases: Vec<PathBuf>,
    /// What could not be read. If there is any, the snapshot is marked as partial.
    pub troubles: Vec<Trouble>,
}

/// How the engine is asked to read a source.
struct Reading {
    /// What stands before every path of the source.
    root: PathBuf,
    /// What stands there in the snapshot.
    shown_as: PathBuf,
    /// Whether unchanged files are taken over from the snapshot before.
    after_the_last: bool,
}

impl Repository {
    /// Reads a source and holds its snapshot file back.
    fn archive<S>(
        &self,
        label: &Label,
        reading: &Reading,
        source: &S,
    ) -> Result<SnapshotFile, Error>
    where
        S: ReadSource + 'static,
        S::Open: Send,
        S::Iter: Send,
    {
        let indexed =
            self.again()?.to_indexed_ids().map_err(|error| self.fail("read the index", error))?;
        let options = BackupOptions::default()
            .as_path(reading.shown_as.clone())
            .no_scan(true)
            .parent_opts(ParentOptions::default().force(!reading.after_the_last));
        let roots = std::slice::from_ref(&reading.root);
        self.watch.hold_snapshots(true);
        let result = indexed.archive(&options, source, label.snapshot_file(), roots);
        self.watch.hold_snapshots(false);
        result.map_err(|error| self.fail("write the snapshot", error))
    }

    /// Writes the snapshot file that was held back, with what is known now.
    fn keep(&self, mut file: SnapshotFile, notes: &Notes) -> Result<Taken, Error> {
        let found = notes.take();
        if !found.troubles.is_empty() {
            file.tags.add(PARTIAL.to_owned());
        }
        let bytes_written = self.watch.take_bytes_written();
        self.inner
            .save_snapshots(vec![file.clone()])
            .map_err(|error| self.fail("write the snapshot file", error))?;
        file.id = self.watch.last_snapshot().unwrap_or_default().into();
        Ok(Taken {
            snapshot: Snapshot::read(&file),
            bytes_written: bytes_written + self.watch.take_bytes_written(),
            vanished: found.vanished,
            changed: found.changed,
            databases: found.databases,
            troubles: found.troubles,
        })
    }
}
