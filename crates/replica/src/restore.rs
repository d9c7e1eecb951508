//! Brings a database back from a tree: to a new file, in place of one, or into one that lives.
//!
//! Every file of the plan is read to its end and its checksum checked while its pages go straight
//! to where they belong. The result takes its name only when it is whole, durable and checked.

mod check;
mod error;
mod image;
mod online;
mod read;
mod swap;

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FallocateFlags, RenameFlags};

use crate::tree::{Pin, Plan};
pub use check::Check;
pub use error::RestoreError;
use image::Image;
pub use online::online;
pub use swap::{Swapped, swap};

/// Where in the first page SQLite keeps the user version.
const USER_VERSION_AT: u64 = 60;
/// What names of files that are being restored end with.
const UNFINISHED: &str = ".restoring";
/// What may lie beside a database file and would be taken for its own.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How a database is brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many threads read; at least 1.
    pub threads: usize,
    /// How thoroughly the result is checked before it takes its name.
    pub check: Check,
    /// Sets SQLite's user version, for databases whose owners keep something about the file there;
    /// `None` leaves every byte as it was. A restore into a live database keeps the live one's.
    pub user_version: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        Self { threads, check: Check::Quick, user_version: None }
    }
}

/// What a restore is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Files are read and pages written.
    Read,
    /// The pages are made durable.
    Sync,
    /// SQLite checks the file.
    Check,
    /// The pages go into the live database.
    Copy,
}

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How much of it is done: bytes while reading, pages while copying.
    pub done: u64,
    /// How much there is; 0 where nobody knows.
    pub total: u64,
}

/// Is told how far a restore is, and may end it. Called from several threads.
pub type Watch<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The file.
    pub path: PathBuf,
    /// The last transaction in it.
    pub txid: u64,
    /// When that was seen, in milliseconds since 1970.
    pub time_ms: i64,
    /// The database's page size.
    pub page_size: u32,
    /// How many pages it has.
    pub pages: u32,
    /// How many bytes of the tree were read.
    pub bytes_read: u64,
    /// How many rows point to rows that are not there; `None` where that was not looked for. The
    /// database had them before, so that they do not stand in the way.
    pub orphans: Option<u64>,
    /// How long it took.
    pub took: Duration,
}

/// Brings `plan`'s point back as the file `to`, which must not be there.
///
/// # Errors
/// What stands in the way, or is wrong with a file of the plan; nothing is left at `to` then.
pub fn to_file(
    plan: &Plan,
    to: &Path,
    options: &Options,
    watch: Watch<'_>,
) -> Result<Restored, RestoreError> {
    let _pin = Pin::set(plan)?;
    refuse_neighbours(to)?;
    let unfinished = Unfinished(beside(to, UNFINISHED));
    let restored = build(plan, &unfinished.0, options, watch)?;
    place(&unfinished.0, to)?;
    std::mem::forget(unfinished);
    Ok(Restored { path: to.to_owned(), ..restored })
}

/// Writes the database, makes it durable and checks it, under a name that says it is not done.
fn build(
    plan: &Plan,
    path: &Path,
    options: &Options,
    watch: Watch<'_>,
) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    let failed = RestoreError::io("write", path);
    let image = Image::survey(plan)?;
    let file = File::options().write(true).create(true).truncate(true).open(path);
    let file = file.map_err(&failed)?;
    let length = u64::from(image.header.commit) * u64::from(image.header.page_size);
    make_room(&file, length).map_err(&failed)?;
    read::into_file(&image, &file, path, (options.threads.max(1), watch))?;
    if let Some(version) = options.user_version {
        file.write_all_at(&version.to_be_bytes(), USER_VERSION_AT).map_err(&failed)?;
    }
    tell(watch, Stage::Sync)?;
    file.sync_all().map_err(&failed)?;
    drop(file);
    tell(watch, Stage::Check)?;
    let orphans = check::whole(path, options.check)?;
    Ok(Restored {
        path: path.to_owned(),
        txid: plan.txid,
        time_ms: image.header.timestamp_ms,
        page_size: image.header.page_size,
        pages: image.header.commit,
        bytes_read: plan.bytes(),
        orphans,
        took: begun.elapsed(),
    })
}

fn tell(watch: Watch<'_>, stage: Stage) -> Result<(), RestoreError> {
    match watch(Progress { stage, done: 0, total: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(RestoreError::Ended),
    }
}

/// Says at once, and not at the end, that the disk is too full.
fn make_room(file: &File, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(rustix::io::Errno::NOSPC | rustix::io::Errno::FBIG | rustix::io::Errno::DQUOT) => {
            Err(io::ErrorKind::StorageFull.into())
        }
        // Not every file system can set room aside.
        Ok(()) | Err(_) => file.set_len(length),
    }
}

/// A log that lies beside the name would be taken for the new file's own.
fn refuse_neighbours(to: &Path) -> Result<(), RestoreError> {
    let neighbours = BESIDE.iter().map(|ending| beside(to, ending));
    match std::iter::once(to.to_owned()).chain(neighbours).find(|path| path.exists()) {
        Some(path) => Err(RestoreError::Occupied { path }),
        None => Ok(()),
    }
}

/// Gives the file its name unless somebody has it by now.
fn place(from: &Path, to: &Path) -> Result<(), RestoreError> {
    let named = match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can refuse by itself.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !to.exists() => {
            std::fs::rename(from, to)
        }
        named => named.map_err(io::Error::from),
    };
    named.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => RestoreError::Occupied { path: to.to_owned() },
        _ => RestoreError::io("name", to)(error),
    })?;
    sync_folder(to)
}

fn sync_folder(of: &Path) -> Result<(), RestoreError> {
    let folder = folder_of(of);
    let synced = File::open(&folder).and_then(|folder| folder.sync_all());
    synced.map_err(RestoreError::io("make durable", &folder))
}

fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A file that goes away again unless it was finished.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It may not have been made yet; a left-over is overwritten the next time.
        drop(std::fs::remove_file(&self.0));
    }
}
