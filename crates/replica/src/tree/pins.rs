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

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Keeps the files of a plan from being forgotten, until it is dropped.
#[derive(Debug)]
pub struct Pin {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl Drop for Pin {
    fn drop(&mut self) {
        // A left-over is removed by the next who looks.
        drop(std::fs::remove_file(&self.path));
    }
}

impl Pin {
    /// Pins the files of a plan in the tree it was made from.
    ///
    /// # Errors
    /// A file that retention has taken since the plan was made (plan again), or what the disk said.
    pub fn set(plan: &Plan) -> Result<Self, TreeError> {
        let folder = plan.root.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(TreeError::io("make the folder", &folder))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}{ENDING}", std::process::id()));
        let failed = TreeError::io("pin the files of a restore in", &path);
        let line = |entry: &Entry| {
            format!("{} {}\n", entry.level, file_name(entry.min_txid, entry.max_txid))
        };
        let text: String = plan.entries.iter().map(line).collect();
        // Locked before it has its name, so that nobody takes it for a left-over.
        let unnamed = path.with_extension("pin.new");
        let mut file = File::create(&unnamed).map_err(&failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(io::Error::from)
            .map_err(&failed)?;
        file.write_all(text.as_bytes()).map_err(&failed)?;
        std::fs::rename(&unnamed, &path).map_err(&failed)?;
        let pin = Self { path, _file: file };
        for (_, path) in plan.files() {
            std::fs::metadata(&path).map_err(TreeError::io("find", &path))?;
        }
        Ok(pin)
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
