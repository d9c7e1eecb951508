//! What can go wrong with a repository, and what the operator may do about it.

use std::path::PathBuf;

/// Why something with a repository did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A repository is here already.
    #[error("{place} holds a repository already; open it, or name an empty place for a new one")]
    Exists {
        /// Where.
        place: String,
    },
    /// No repository is here.
    #[error(
        "{place} holds no repository; check that the volume is mounted and the path is right, \
         and create one only if there never was one"
    )]
    Missing {
        /// Where.
        place: String,
    },
    /// Parts of a repository are here, without its `config`.
    #[error(
        "{place} holds parts of a repository ({found}) but not its config; bring `config` back \
         from another copy, and make no new repository over it"
    )]
    Remains {
        /// Where.
        place: String,
        /// The folder that is not empty.
        found: String,
    },
    /// The password opens none of the repository's keys.
    #[error(
        "the password does not open the repository at {place}; use the one on the newest recovery \
         sheet (a password that was changed stays out)"
    )]
    WrongPassword {
        /// Where.
        place: String,
    },
    /// A stored file is not what was written.
    #[error(
        "{file} of the repository at {place} is damaged ({what}); bring that file back from \
         another copy of the repository, and check the disk it lies on"
    )]
    Damaged {
        /// Where.
        place: String,
        /// The file, as it is called inside the repository.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is no room for what has to be written.
    #[error("there is no room left at {place}; free some or name another place. Nothing was lost")]
    Full {
        /// Where.
        place: String,
    },
    /// What was to be kept could not be read to its end.
    #[error("{name} could not be read whole ({what}); no snapshot of it was kept")]
    Source {
        /// What was being read.
        name: String,
        /// What happened.
        what: String,
    },
    /// There is no such snapshot.
    #[error("the repository at {place} has no snapshot {id}; `list` shows those it has")]
    NoSuchSnapshot {
        /// Where.
        place: String,
        /// What was asked for.
        id: String,
    },
    /// A restore would have to write over something.
    #[error("{} is not empty; name a folder that is empty or does not exist yet", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A file of this machine could not be read or written.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done, e.g. `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anything else the repository's engine reports.
    #[error("{doing} in the repository at {place}: {what}")]
    Repository {
        /// Where.
        place: String,
        /// What was being done, e.g. `read the index`.
        doing: &'static str,
        /// What it said.
        what: String,
    },
}

impl Error {
    /// An error of the file system while `doing` something to `path`.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull => Self::Full { place: path.display().to_string() },
            _ => Self::File { doing, path, source },
        }
    }
}
