//! The claim on a log file's name, so that two processes never write or rotate the same file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// How many processes of one service may log into one folder, each to its own file.
const PROCESSES_MAX: u32 = 16;

/// A name that is ours for as long as this lives, even if the process is killed.
#[derive(Debug)]
pub(super) struct Claim {
    name: String,
    number: u32,
    path: PathBuf,
    lock: File,
}

impl Claim {
    /// Takes `name`, or `name-2` and so on where others hold it.
    pub(super) fn take(directory: &Path, name: &str) -> io::Result<Self> {
        for number in 1..=PROCESSES_MAX {
            if let Some(claim) = Self::attempt(directory, name, number, true)? {
                return Ok(claim);
            }
        }
        Err(io::Error::other(format!("{PROCESSES_MAX} processes log there already")))
    }

    /// The further names that some process once took and nobody holds now.
    pub(super) fn left_behind(directory: &Path, name: &str) -> Vec<Self> {
        (2..=PROCESSES_MAX)
            .filter_map(|number| Self::attempt(directory, name, number, false).ok().flatten())
            .collect()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the plain name.
    pub(super) fn is_first(&self) -> bool {
        self.number == 1
    }

    /// Whether the lock still stands where others would look for it.
    pub(super) fn is_in_place(&self) -> bool {
        match (self.lock.metadata(), fs::metadata(&self.path)) {
            (Ok(open), Ok(named)) => open.ino() == named.ino() && open.dev() == named.dev(),
            _ => false,
        }
    }

    fn attempt(
        directory: &Path,
        name: &str,
        number: u32,
        create: bool,
    ) -> io::Result<Option<Self>> {
        let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
        let path = directory.join(format!(".{name}.log.lock"));
        let opened = OpenOptions::new().create(create).truncate(false).write(true).open(&path);
        let lock = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !create => return Ok(None),
            outcome => outcome?,
        };
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            // Some network shares know no locks; a log there is better than none.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                Ok(Some(Self { name, number, path, lock }))
            }
            Err(rustix::io::Errno::NOLCK) if create => Ok(Some(Self { name, number, path, lock })),
            Err(error) => Err(error.into()),
        }
    }
}
