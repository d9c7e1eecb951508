//! What a source writes down about its own reading.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Trouble;

/// What was written down.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) vanished: Vec<PathBuf>,
    pub(crate) changed: Vec<PathBuf>,
    pub(crate) databases: Vec<PathBuf>,
    pub(crate) troubles: Vec<Trouble>,
    /// Entries handed to the engine that are no folders.
    pub(crate) handed: u64,
    /// Of these, how many it cannot have kept, because opening or reading them failed.
    pub(crate) failed: u64,
}

/// Written from the engine's threads, read when it has come back.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Found>);

impl Notes {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Found {
        std::mem::take(&mut *self.found())
    }

    pub(crate) fn handed(&self) {
        self.found().handed += 1;
    }

    /// An entry that the engine was handed and has dropped.
    pub(crate) fn dropped(&self, path: &Path, error: &std::io::Error) {
        self.found().failed += 1;
        self.unread(path, error);
    }

    /// An entry that the engine was never handed.
    pub(crate) fn unread(&self, path: &Path, error: &std::io::Error) {
        if error.kind() == std::io::ErrorKind::NotFound {
            self.found().vanished.push(path.to_owned());
        } else {
            self.trouble(path, error.to_string());
        }
    }

    pub(crate) fn changed(&self, path: &Path) {
        self.found().changed.push(path.to_owned());
    }

    pub(crate) fn database(&self, path: &Path) {
        self.found().databases.push(path.to_owned());
    }

    pub(crate) fn trouble(&self, path: &Path, what: String) {
        self.found().troubles.push(Trouble { path: path.to_owned(), what });
    }

    /// What keeps a stream from being whole, if anything does.
    pub(crate) fn first_trouble(&self) -> Option<String> {
        let found = self.found();
        let gone = found.vanished.first().map(|_| "it is gone".to_owned());
        found.troubles.first().map(|trouble| trouble.what.clone()).or(gone)
    }

    /// Compares how many entries were handed over with how many the snapshot has.
    pub(crate) fn count(&self, root: &Path, kept: u64) {
        let missing = {
            let found = self.found();
            (found.handed - found.failed).saturating_sub(kept)
        };
        if missing > 0 {
            self.trouble(root, format!("{missing} entries did not reach the snapshot"));
        }
    }
}
