//! A log file that is rotated by size and keeps a set number of its predecessors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::check::folder::diagnose;
use crate::settings::Faults;

/// How many processes of one service may log into one folder, each to its own file.
const PROCESSES_MAX: u32 = 16;

/// Writes whole lines to `<service>.log`; at the size limit that becomes `<service>.log.1`, what was
/// `.1` becomes `.2`, and so on to the count. A further process of the same service in the same
/// folder writes to `<service>-2.log`.
#[derive(Debug)]
pub struct SizeRotatingWriter {
    path: PathBuf,
    bytes_max: u64,
    count: u32,
    file: Option<File>,
    bytes: u64,
    /// Held for the life of the writer; the lock says whose file this is.
    _lock: File,
}

impl SizeRotatingWriter {
    /// Opens the log file of `service` in `directory`, which is created if need be.
    ///
    /// # Errors
    /// When the folder or the file cannot be written; the fault says what to do.
    pub fn open(
        directory: &Path,
        service: &str,
        bytes_max: u64,
        count: u32,
    ) -> Result<Self, Faults> {
        Self::claim(directory, service, bytes_max, count).map_err(|error| {
            let (problem, remedy) = diagnose(directory, &error);
            Faults::one("LOG_DIR", problem, remedy)
        })
    }

    fn claim(directory: &Path, service: &str, bytes_max: u64, count: u32) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        for number in 1..=PROCESSES_MAX {
            let name = if number == 1 { service.to_owned() } else { format!("{service}-{number}") };
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(directory.join(format!(".{name}.log.lock")))?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => continue,
                Err(error) => return Err(error.into()),
            }
            let path = directory.join(format!("{name}.log"));
            let mut writer = Self { path, bytes_max, count, file: None, bytes: 0, _lock: lock };
            writer.reopen()?;
            return Ok(writer);
        }
        Err(io::Error::other(format!("{PROCESSES_MAX} processes log there already")))
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.count).rev() {
            rename_if_there(&self.rotated(number), &self.rotated(number + 1))?;
        }
        rename_if_there(&self.path, &self.rotated(1))?;
        self.file = None;
        self.reopen()
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Whether the path still leads to the open file; a person or logrotate may have moved it.
    fn is_in_place(&self) -> bool {
        let Some(file) = &self.file else { return false };
        match (file.metadata(), fs::metadata(&self.path)) {
            (Ok(open), Ok(named)) => open.ino() == named.ino() && open.dev() == named.dev(),
            _ => false,
        }
    }
}

impl Write for SizeRotatingWriter {
    /// Writes one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.file.is_none() {
            self.reopen()?;
        }
        if self.bytes > 0 && self.bytes + length > self.bytes_max {
            // A failed rotation must not cost lines: the old file goes on growing meanwhile.
            let rotated = self.rotate();
            if self.file.is_none() {
                rotated?;
            }
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotConnected.into()) };
        if let Err(error) = file.write_all(line) {
            // Part of the line may stand there; cut it off so that the next one begins on its own.
            if file.set_len(self.bytes).is_err() {
                self.file = None;
            }
            return Err(error);
        }
        self.bytes += length;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.is_in_place() {
            self.file = None;
        }
        Ok(())
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
