//! What a service needs of its surroundings, looked at before it starts.
//!
//! The rules are plain functions on values ([`filesystem::judge`], [`clock::judge`],
//! [`engine::judge`]); only the doors beside them look at the machine. A service names its needs
//! while it reads its settings ([`Reader::needs_folder`](crate::Reader::needs_folder),
//! [`Reader::needs_database`](crate::Reader::needs_database)), so that everything wrong with
//! settings and surroundings is told at once.

pub mod clock;
pub mod engine;
pub mod filesystem;
pub mod folder;
mod mounts;

use std::path::PathBuf;

use crate::settings::Fault;
use crate::words::Words;

/// What the surroundings must offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A folder this process can write into.
    Folder {
        /// The setting that names it.
        key: String,
        /// The folder.
        path: PathBuf,
    },
    /// A database file on a file system that SQLite can trust, in a folder that can be written.
    Database {
        /// The setting that names it.
        key: String,
        /// The file.
        path: PathBuf,
    },
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The service cannot do its work like this.
    Fault(Fault),
    /// It can, though not as it should.
    Warning(Fault),
}

/// How well a part of the surroundings serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Fit,
    /// It serves, but the person should know something.
    Doubtful {
        /// What is not as it should be.
        problem: Words,
        /// What to do about it.
        remedy: Words,
    },
    /// It does not serve.
    Unfit {
        /// What is wrong.
        problem: Words,
        /// What to do about it.
        remedy: Words,
    },
}

impl Verdict {
    /// The finding about the setting or part called `key`, if there is anything to say.
    pub fn about(self, key: &str) -> Option<Finding> {
        let key = key.to_owned();
        match self {
            Self::Fit => None,
            Self::Doubtful { problem, remedy } => {
                Some(Finding::Warning(Fault { key, problem, remedy }))
            }
            Self::Unfit { problem, remedy } => Some(Finding::Fault(Fault { key, problem, remedy })),
        }
    }
}

impl Need {
    /// Looks whether the need is met; everything found is given at once.
    pub fn look(&self) -> Vec<Finding> {
        match self {
            Self::Folder { key, path } => folder::look(key, path).into_iter().collect(),
            Self::Database { key, path } => {
                let place = match path.parent() {
                    Some(parent) if !parent.as_os_str().is_empty() => parent,
                    _ => std::path::Path::new("."),
                };
                let writable = folder::look(key, place);
                let kind = filesystem::look(key, place, crate::settings::is_contained());
                writable.into_iter().chain(kind).collect()
            }
        }
    }
}
