//! A lease: one agent at a time follows a database into a history.
//!
//! It is a lock on a file in the history's folder, which the system drops with the process that
//! holds it; the file says who that is. Two containers on one machine see each other's locks.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};

/// The name of the file in the history's folder.
pub const LEASE_FILE: &str = "agent.lock";
/// What is read of it at most.
const SAID_BYTES_MAX: u64 = 1024;

/// Why the lease was not given.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else has it.
    #[error("another agent writes to {} ({holder}); two at once would damage the history: stop one of them", .folder.display())]
    Held {
        /// The history's folder.
        folder: PathBuf,
        /// What the other says about itself.
        holder: String,
    },
    /// The disk said no.
    #[error("cannot take the lease {}: {source}", .path.display())]
    Io {
        /// The file of the lease.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A lease that is held until it is dropped.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
}

impl Lease {
    /// Takes the lease on the history in `folder`, which is made where it is missing. `holder` says
    /// who asks, such as a host's name, to whoever comes second.
    ///
    /// # Errors
    /// Who has it, or what the disk said.
    pub fn take(folder: &Path, holder: &str) -> Result<Self, LeaseError> {
        let path = folder.join(LEASE_FILE);
        let failed = |source: io::Error| LeaseError::Io { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let opened =
            File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut said = String::new();
                // Whatever can be read helps; the lock is what counts.
                drop((&mut file).take(SAID_BYTES_MAX).read_to_string(&mut said));
                let holder = said.trim().to_owned();
                return Err(LeaseError::Held { folder: folder.to_owned(), holder });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let mut lease = Self { file, path };
        lease.say(holder).map_err(|source| LeaseError::Io { path: lease.path.clone(), source })?;
        Ok(lease)
    }

    fn say(&mut self, holder: &str) -> io::Result<()> {
        let line =
            format!("{holder}, process {}, since {:.0}\n", std::process::id(), Timestamp::now());
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is_and_gets_it_after_the_first_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join("conversation");
        let first = Lease::take(&history, "agent on nas-1").unwrap();
        let refused = Lease::take(&history, "agent on nas-2").unwrap_err();
        assert!(matches!(refused, LeaseError::Held { .. }));
        let said = refused.to_string();
        assert!(said.contains("agent on nas-1, process ") && said.contains("stop one"), "{said}");
        drop(first);
        Lease::take(&history, "agent on nas-2").unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let said = Lease::take(&file.join("deep"), "agent").unwrap_err().to_string();
        assert!(said.contains("file/deep/agent.lock"), "{said}");
    }
}
