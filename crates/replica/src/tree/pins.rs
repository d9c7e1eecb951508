//! Pins: what restores under way need, written down so that retention in another process sees it.
//!
//! A pin is a small file that is locked as long as its restore lives; the system drops the lock
//! with the process, so that a pin nobody holds is a left-over.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::catalogue::Entry;
use super::error::TreeError;
use super::plan::Plan;
use super::{Tree, file_name, parse_file_name};

const FOLDER: &str = "pins";
const ENDING: &str = ".pin";
const ATTEMPTS_MAX: u32 = 100;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Keeps the files of a plan from being forgotten, until it is dropped.
#[derive(Debug)]
pub struct Pin {
    /// Where nothing can be written nothing is pinned: nobody can forget anything there either.
    set: Option<Set>,
}

#[derive(Debug)]
struct Set {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl Drop for Set {
    fn drop(&mut self) {
        // A left-over is removed by the next who looks; the folder stays where others use it.
        drop(std::fs::remove_file(&self.path));
        drop(self.path.parent().map(std::fs::remove_dir));
    }
}

impl Pin {
    /// Pins the files of a plan in the tree it was made from.
    ///
    /// # Errors
    /// A file that retention has taken since the plan was made (plan again), or what the disk said.
    pub fn set(plan: &Plan) -> Result<Self, TreeError> {
        let line = |entry: &Entry| {
            format!("{} {}\n", entry.level, file_name(entry.min_txid, entry.max_txid))
        };
        let text: String = plan.entries.iter().map(line).collect();
        let folder = plan.root.join(FOLDER);
        let set = match write(&folder, &text) {
            Ok(set) => Some(set),
            Err(error) if is_read_only(&error) => None,
            Err(error) => {
                return Err(TreeError::io("pin the files of a restore in", &folder)(error));
            }
        };
        let pin = Self { set };
        for (_, path) in plan.files() {
            std::fs::metadata(&path).map_err(TreeError::io("find", &path))?;
        }
        Ok(pin)
    }

    /// Whether retention is kept away; it cannot be where nothing can be written.
    pub fn is_set(&self) -> bool {
        self.set.is_some()
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

fn write(folder: &Path, text: &str) -> io::Result<Set> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{}-{number}{ENDING}", std::process::id()));
    // Locked before it has its name, so that nobody takes it for a left-over.
    let unnamed = path.with_extension("pin.new");
    let mut file = create(folder, &unnamed)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&unnamed, &path)?;
    Ok(Set { path, _file: file })
}

/// The last pin to go takes the folder with it, perhaps right after it was made here.
fn create(folder: &Path, unnamed: &Path) -> io::Result<File> {
    let mut attempts = 0..ATTEMPTS_MAX;
    loop {
        std::fs::create_dir_all(folder)?;
        match File::create(unnamed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts.next().is_some() => {}
            file => return file,
        }
    }
}

impl Tree {
    /// What restores under way need.
    pub(crate) fn pinned(&self) -> Result<HashSet<Entry>, TreeError> {
        let folder = self.root().join(FOLDER);
        let unreadable = TreeError::io("list", &folder);
        let found = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
            found => found.map_err(&unreadable)?,
        };
        let mut pinned = HashSet::new();
        for item in found {
            let path = item.map_err(&unreadable)?.path();
            if path
                .extension()
                .is_some_and(|ending| ENDING.ends_with(ending.to_str().unwrap_or("?")))
            {
                pinned.extend(held(&path).map_err(TreeError::io("read", &path))?);
            }
        }
        Ok(pinned)
    }
}

/// The entries of a pin that is held; those of a left-over are none, and it goes.
fn held(path: &Path) -> io::Result<Vec<Entry>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Ok(()) => {
            std::fs::remove_file(path)?;
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    }
    let text = std::fs::read_to_string(path)?;
    let parse = |line: &str| {
        let (level, name) = line.split_once(' ')?;
        let (min_txid, max_txid) = parse_file_name(name)?;
        Some(Entry { level: level.parse().ok()?, min_txid, max_txid, time_ms: 0, bytes: 0 })
    };
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "it is no pin");
    text.lines().map(|line| parse(line).ok_or_else(broken)).collect()
}
