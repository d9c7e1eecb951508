//! The lock that tells who uses a database: its service shares it, a migration has it alone.
//!
//! It is a lock on a file of its own, which the system drops with the process that holds it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::time::Instant;

use crate::log::beside;

/// How long a service waits for a migration that is under way.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    alone: bool,
}

impl Lock {
    /// Takes the lock of the database at `path`: alone where nobody else uses it, else beside the
    /// others; `None` where a migration holds it for longer than anyone should wait.
    pub(crate) async fn take(path: &Path) -> io::Result<Option<Self>> {
        let name = beside(path, ".lock");
        let file = File::options().create(true).truncate(false).write(true).open(name)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if attempt(&file, FlockOperation::NonBlockingLockExclusive)? {
                return Ok(Some(Self { file, alone: true }));
            }
            if attempt(&file, FlockOperation::NonBlockingLockShared)? {
                return Ok(Some(Self { file, alone: false }));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether nobody else uses the database.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Lets other processes of the same service in.
    pub(crate) fn share(&mut self) -> io::Result<()> {
        if self.alone {
            flock(&self.file, FlockOperation::LockShared)?;
            self.alone = false;
        }
        Ok(())
    }

    /// Takes it alone where nobody else has it; the lock may be lost otherwise, which is for those
    /// only who are about to leave.
    pub(crate) fn try_alone(&mut self) -> io::Result<bool> {
        self.alone = self.alone || attempt(&self.file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(self.alone)
    }
}

fn attempt(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
