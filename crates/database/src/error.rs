//! What can stand in the way of using a database file, in words for the operator.

use std::path::{Path, PathBuf};

/// A database that cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder does not take files.
    #[error("{} cannot hold the database: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is something else.
    #[error("{} is not a database of this service", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The tables are those of another release.
    #[error("{} was written by a newer release: {reason}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What the migrations said.
        reason: String,
    },
    /// Anything else, a full disk among it.
    #[error("{} cannot be opened: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

impl OpenError {
    /// What SQLite refused to do with `path`.
    pub fn unusable(path: &Path, error: &sqlx::Error) -> Self {
        Self::Unusable { path: path.to_owned(), reason: error.to_string() }
    }

    /// What the operator can do now.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Folder { .. } => {
                "create the folder and let this user write into it, or set DATABASE_PATH to a \
                 file in another one"
            }
            Self::NotOurs { .. } => "set DATABASE_PATH to a file of its own; this one is untouched",
            Self::Newer { .. } => {
                "start the release that wrote it (or a newer one), or restore an older backup; \
                 this one is untouched"
            }
            Self::Unusable { .. } => {
                "check free space and permissions of DATABASE_PATH and that no other program \
                 holds it; restore a backup if the file is damaged"
            }
        }
    }
}
