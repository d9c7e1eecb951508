//! The log file beside a live database, read without SQLite: opening this one drops no lock.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ltx::wal::{Chain, Delta, HEADER_BYTES};

use crate::source::Place;

const BUFFER_BYTES: usize = 256 * 1024;

/// An open log.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    place: Place,
    file: File,
}

impl Log {
    /// Where SQLite keeps the log of the database at `database`.
    pub(crate) fn path_of(database: &Path) -> PathBuf {
        let mut name = database.file_name().unwrap_or_default().to_owned();
        name.push("-wal");
        database.with_file_name(name)
    }

    /// The log of the database at `database`; `None` where there is none.
    pub(crate) fn open(database: &Path) -> io::Result<Option<Self>> {
        let path = Self::path_of(database);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let place = Place::from(&file.metadata()?);
        Ok(Some(Self { path, place, file }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the name still stands for this file.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(file) => Ok(Place::from(&file) == self.place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The place before the first frame; `None` while there is no whole header.
    pub(crate) fn begin(&self) -> io::Result<Option<Chain>> {
        let mut header = [0; HEADER_BYTES];
        match self.file.read_exact_at(&mut header, 0) {
            Ok(()) => Ok(Chain::begin(&header).ok()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whole transactions from `from` on, as far as `frames_max`.
    pub(crate) fn delta(&self, from: Chain, frames_max: u32) -> io::Result<Option<Delta>> {
        let at = At { file: &self.file, offset: from.offset() };
        Delta::read(BufReader::with_capacity(BUFFER_BYTES, at), from, frames_max)
    }

    /// Fills `page` from `at`.
    pub(crate) fn page(&self, at: u64, page: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(page, at)
    }
}

struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
