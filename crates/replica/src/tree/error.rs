//! What can be wrong with a tree or stand in the way of using it.

use std::io;
use std::path::{Path, PathBuf};

use super::PlanError;

/// Why something could not be done with a tree. The text says what failed, where, and what helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
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
    /// A file is damaged, or cannot be written as it should be.
    #[error("cannot {action} {}: {source}", .path.display())]
    Ltx {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What is wrong.
        source: ltx::Error,
    },
    /// A file holds other transactions than its name says.
    #[error("{} holds the transactions {from} to {to}, which is not what its name says: it was renamed or exchanged", .path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The first transaction in it.
        from: u64,
        /// The last.
        to: u64,
    },
    /// A file's date is not the time that stands in it.
    #[error("{} has lost its date, by which a point in time is found: it was copied without dates; `check` can set them again", .path.display())]
    Undated {
        /// The file.
        path: PathBuf,
    },
    /// There is something already.
    #[error("{} is there already and is not overwritten", .path.display())]
    Occupied {
        /// What is there.
        path: PathBuf,
    },
    /// What should be a full does not begin with the first transaction.
    #[error("{} is to be a full and does not begin with transaction 1", .path.display())]
    NoFull {
        /// The file.
        path: PathBuf,
    },
    /// There is no such level.
    #[error("there is no level {level}: levels go from 0 to 9")]
    Level {
        /// The level.
        level: u8,
    },
    /// The database has another page size than its history.
    #[error("{} would have pages of {file} bytes in a history of {tree}: begin a new timeline", .path.display())]
    PageSize {
        /// The file.
        path: PathBuf,
        /// The history's page size.
        tree: u32,
        /// The file's.
        file: u32,
    },
    /// The manifest is missing, damaged, or of a kind that this release does not know.
    #[error("{} {reason}", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The wished point cannot be reached.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl TreeError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    pub(crate) fn ltx(action: &'static str, path: &Path) -> impl Fn(ltx::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Ltx { action, path: path.clone(), source }
    }
}
