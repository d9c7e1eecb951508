//! What can stand in the way of a restore.

use std::io;
use std::path::{Path, PathBuf};

use crate::tree::TreeError;

/// Why a database was not brought back. The text says what failed, where, and what helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The tree does not give it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk said no.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something already.
    #[error("{} is there already and is not overwritten: choose another name, or move it away", .path.display())]
    Occupied {
        /// What is there.
        path: PathBuf,
    },
    /// No file of the plan has a page that the database has.
    #[error("page {page} is in no file of the history in {}", .root.display())]
    MissingPage {
        /// The page's number.
        page: u32,
        /// The tree's root.
        root: PathBuf,
    },
    /// What came out is no whole database.
    #[error("what was restored is damaged ({}): take an earlier point; without a check it can be had all the same", .faults.join("; "))]
    Damaged {
        /// What SQLite says.
        faults: Vec<String>,
    },
    /// Somebody has the database in use.
    #[error("{} is in use: stop its service first, or restore into the running one (online)", .path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The live database has other pages.
    #[error("{} has pages of {live} bytes, its history pages of {history}: stop its service and restore in its place", .path.display())]
    PageSize {
        /// The live database.
        path: PathBuf,
        /// Its page size.
        live: u32,
        /// The history's.
        history: u32,
    },
    /// SQLite said no.
    #[error("cannot {action} {}: {source}", .path.display())]
    Sqlite {
        /// What was being done.
        action: &'static str,
        /// With which database.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The live database was being written all the time.
    #[error("{} was never free for long enough; nothing was changed", .path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// The caller wanted it to end.
    #[error("the restore was ended before it was done; nothing was changed")]
    Ended,
}

impl RestoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    pub(crate) fn sqlite(
        action: &'static str,
        path: &Path,
    ) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Sqlite { action, path: path.clone(), source }
    }
}
