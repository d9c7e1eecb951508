//! A database's history on disk: LTX files by level, in the layout that stock litestream restores.
//!
//! `<root>/ltx/<level>/<first>-<last>.ltx`, with the transactions in sixteen hexadecimal digits,
//! and `<root>/manifest.json`. Level 0 holds what was shipped; 1 what a minute shipped; 2
//! differentials, which hold everything since a full; 9 fulls. Each file's time of modification is
//! the time in its header: litestream goes by it, and so do we.

mod catalogue;
mod compact;
mod copy;
mod error;
mod manifest;
mod merging;
mod name;
mod pins;
mod plan;
mod retention;
mod timelines;

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ltx::{Decoder, Encoder};

use crate::disk::Disk;

pub use catalogue::{Catalogue, Entry, Oddity};
pub use compact::{DIFFERENTIAL_EVERY, MINUTE};
pub use copy::{Examination, Fault};
pub use error::TreeError;
pub use ltx::Header;
pub use manifest::{Manifest, Parent};
pub use name::{file_name, parse_file_name};
pub use pins::Pin;
pub use plan::{At, Gap, Plan, PlanError};
pub use retention::{Reason, Rules, Verdict};
pub use timelines::{Judged, Timeline, Timelines};

/// The level of what was shipped as it came.
pub const SHIPPED: u8 = 0;
/// The level of what a minute shipped, merged.
pub const MINUTES: u8 = 1;
/// The level of differentials: everything since a full, merged.
pub const DIFFERENTIALS: u8 = 2;
/// The level of fulls, which hold every page.
pub const FULLS: u8 = 9;

/// What is written into an LTX file of a tree.
pub type Writer<'a> = Encoder<&'a mut crate::disk::Pen>;

/// The history of one database on one timeline.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    manifest: Manifest,
    disk: Disk,
}

impl Tree {
    /// Begins a history in the folder `root`, which may be there but must hold none yet.
    ///
    /// # Errors
    /// A history that is there already, or what the disk said.
    pub fn create(root: &Path, manifest: Manifest, disk: Disk) -> Result<Self, TreeError> {
        if manifest::path_of(root).exists() {
            return Err(TreeError::Occupied { path: root.to_owned() });
        }
        let tree = Self { root: root.to_owned(), manifest, disk };
        for level in [SHIPPED, MINUTES, DIFFERENTIALS, FULLS] {
            tree.make_folder(&tree.level_folder(level))?;
        }
        manifest::write(root, &tree.manifest, &tree.disk)?;
        Ok(tree)
    }

    /// Opens the history in the folder `root`.
    ///
    /// # Errors
    /// No history there, or one of a kind that this release does not know.
    pub fn open(root: &Path, disk: Disk) -> Result<Self, TreeError> {
        let manifest = manifest::read(root)?;
        Ok(Self { root: root.to_owned(), manifest, disk })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the history says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Everything that is there.
    ///
    /// # Errors
    /// What the disk said.
    pub fn list(&self) -> Result<Catalogue, TreeError> {
        Catalogue::read(&self.root)
    }

    /// The last transaction that is there; `None` in an empty tree.
    ///
    /// # Errors
    /// What the disk said.
    pub fn newest_txid(&self) -> Result<Option<u64>, TreeError> {
        Ok(self.list()?.newest().map(|entry| entry.max_txid))
    }

    /// Writes a file: `fill` adds the pages. On return it is durable; before, nobody sees it. A file
    /// of that name that is there already stays as it is.
    ///
    /// # Errors
    /// What `fill` or the disk said, or a file that does not belong here.
    pub fn put<E: From<TreeError>>(
        &self,
        level: u8,
        header: &Header,
        fill: impl FnOnce(&mut Writer<'_>) -> Result<(), E>,
    ) -> Result<Entry, E> {
        let path = self.path_for(level, header)?;
        let time = UNIX_EPOCH + Duration::from_millis(header.timestamp_ms.max(0).cast_unsigned());
        let folder = self.level_folder(level);
        self.make_folder(&folder)?;
        let written = self.disk.replace(&path, Some(time), |pen| {
            write(&path, pen, header, fill).map_err(Failure::Ours)
        });
        match written {
            Ok(bytes) => Ok(Entry {
                level,
                min_txid: header.min_txid,
                max_txid: header.max_txid,
                bytes,
                time_ms: header.timestamp_ms,
            }),
            Err(Failure::Ours(error)) => Err(error),
            Err(Failure::Disk(error)) => Err(TreeError::io("write", &path)(error).into()),
        }
    }

    /// Where a file belongs that says this about itself, and is not there yet.
    fn path_for(&self, level: u8, header: &Header) -> Result<PathBuf, TreeError> {
        let path = self.level_folder(level).join(file_name(header.min_txid, header.max_txid));
        if level > FULLS {
            return Err(TreeError::Level { level });
        }
        if level == FULLS && !header.is_full() {
            return Err(TreeError::NoFull { path });
        }
        if header.page_size != self.manifest.page_size {
            let (tree, file) = (self.manifest.page_size, header.page_size);
            return Err(TreeError::PageSize { path, tree, file });
        }
        if path.exists() {
            return Err(TreeError::Occupied { path });
        }
        Ok(path)
    }

    /// The file of an entry.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        entry.path(&self.root)
    }

    /// Reads the whole file and checks everything in it, also that it is the one its name says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn examine(&self, entry: &Entry) -> Result<Header, TreeError> {
        examine(&entry.path(&self.root), entry)
    }

    fn level_folder(&self, level: u8) -> PathBuf {
        level_folder(&self.root, level)
    }

    fn make_folder(&self, folder: &Path) -> Result<(), TreeError> {
        self.disk.create_folder(folder).map_err(TreeError::io("make the folder", folder))
    }
}

fn write<E: From<TreeError>>(
    path: &Path,
    pen: &mut crate::disk::Pen,
    header: &Header,
    fill: impl FnOnce(&mut Writer<'_>) -> Result<(), E>,
) -> Result<u64, E> {
    let refuse = TreeError::ltx("write", path);
    let mut encoder = Encoder::new(pen, *header).map_err(&refuse)?;
    fill(&mut encoder)?;
    let finished = encoder.finish().map_err(&refuse)?;
    finished.inner.flush().map_err(TreeError::io("write", path))?;
    Ok(finished.bytes)
}

/// Whether the caller or the disk failed while a file was written.
enum Failure<E> {
    Ours(E),
    Disk(std::io::Error),
}

impl<E> From<std::io::Error> for Failure<E> {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

fn level_folder(root: &Path, level: u8) -> PathBuf {
    root.join(name::FOLDER).join(level.to_string())
}

/// Reads a file to its end and checks that it is what its name says.
fn examine(path: &Path, entry: &Entry) -> Result<Header, TreeError> {
    let file = File::open(path).map_err(TreeError::io("open", path))?;
    let refuse = TreeError::ltx("read", path);
    let decoder = Decoder::new(BufReader::with_capacity(READ_BYTES, file)).map_err(&refuse)?;
    let header = *decoder.header();
    check_name(path, entry, &header)?;
    decoder.finish().map_err(&refuse)?;
    Ok(header)
}

/// How much is read at a time where a file is read through.
const READ_BYTES: usize = 128 * 1024;

/// Whether a file's name and its header say the same.
pub(crate) fn check_name(path: &Path, entry: &Entry, header: &Header) -> Result<(), TreeError> {
    if (header.min_txid, header.max_txid) == (entry.min_txid, entry.max_txid) {
        return Ok(());
    }
    let (from, to) = (header.min_txid, header.max_txid);
    Err(TreeError::Misnamed { path: path.to_owned(), from, to })
}

/// Milliseconds since 1970; nothing here is older.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
