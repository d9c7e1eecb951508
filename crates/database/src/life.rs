//! A life is the time from one start of a database's service to the next, and has a number.
//!
//! The number of the life in which a file was last written stands in the file's own header (as
//! SQLite's user version), and in a small file beside it. A file that was copied back, or swapped,
//! carries the number of another life, and so does what its log holds of the first page.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::log::beside;

/// What the file beside the database says to whoever opens it.
const NOTE: &str = "# Which database stands beside this file. The service writes it; leave it where it is, and do\n\
                    # not take it along into backups.\n";
/// SQLite's user version is signed, and its lowest bit tells of use: the rest is the number.
const NUMBERS: std::ops::Range<u32> = 1..1 << 30;

/// The number of a life; 0 for a file that no service of ours has had in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life(u32);

impl Life {
    /// The number of a new one.
    pub(crate) fn begin() -> Self {
        Self(rand::random_range(NUMBERS))
    }

    /// The life that a user version tells of.
    pub(crate) fn of(user_version: u32) -> Self {
        Self(user_version >> 1)
    }

    /// The user version of a file in use.
    pub(crate) fn in_use(self) -> u32 {
        self.0 << 1 | 1
    }

    /// The user version of a file that was closed, or copied whole.
    pub(crate) fn closed(self) -> u32 {
        self.0 << 1
    }

    /// Whether the file was in use when it was last written.
    pub(crate) fn was_in_use(user_version: u32) -> bool {
        user_version & 1 == 1
    }
}

/// The file beside the database at `path`.
pub(crate) fn path_of(path: &Path) -> PathBuf {
    beside(path, ".identity")
}

/// The lives in which the database at `path` may have been written last, oldest first: one, or
/// several where the mark of a new one has not reached the header yet. `None` where no service of ours has had it in use yet.
pub(crate) fn known(path: &Path) -> io::Result<Option<Vec<Life>>> {
    let text = match std::fs::read_to_string(path_of(path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let numbers = text.lines().filter_map(|line| line.trim().parse().ok());
    Ok(Some(numbers.map(Life).collect()))
}

/// Writes down the lives; on return that is on disk.
pub(crate) fn write(path: &Path, lives: &[Life]) -> io::Result<()> {
    let target = path_of(path);
    let temporary = beside(&target, ".tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(NOTE.as_bytes())?;
    for Life(number) in lives {
        writeln!(file, "{number}")?;
    }
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, &target)?;
    sync_folder(&target)
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder in which `path` stands.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
