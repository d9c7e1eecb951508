//! What a database file says of itself in its first hundred bytes, read without SQLite.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
/// Where the header keeps what (SQLite's file format, 1.3).
const PAGE_SIZE_AT: usize = 16;
const WRITE_VERSION_AT: usize = 18;
pub(crate) const USER_VERSION_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;
/// The write version of a file in WAL mode.
const WAL_VERSION: u8 = 2;

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No file, or an empty one: the database is still to be made.
    Nothing,
    /// A file that SQLite would not open.
    Stranger,
    /// A database.
    Database(Header),
}

/// The fields of a header that we look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) application_id: u32,
    pub(crate) user_version: u32,
    pub(crate) page_bytes: usize,
    /// Whether the file is in WAL mode, as every file is that a service has had in use.
    pub(crate) wal: bool,
}

/// Which file stands at a path: a name can be given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for Place {
    fn from(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

/// Database files opened by this process, outside SQLite. They stay open until the process ends:
/// closing any descriptor of a file drops all POSIX locks that SQLite holds on it in the process.
static KEPT: Mutex<Vec<(Place, Arc<File>)>> = Mutex::new(Vec::new());

/// The file at `path`, opened for reading and kept open; `None` where there is none.
pub(crate) fn keep(path: &Path) -> io::Result<Option<(Place, Arc<File>)>> {
    let place = match std::fs::metadata(path) {
        Ok(file) => Place::from(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((place, file)) = kept.iter().find(|(known, _)| *known == place) {
        return Ok(Some((*place, Arc::clone(file))));
    }
    let file = Arc::new(File::open(path)?);
    let opened = (Place::from(&file.metadata()?), file);
    kept.push((opened.0, Arc::clone(&opened.1)));
    Ok(Some(opened))
}

/// What stands at `path`.
pub(crate) fn find(path: &Path) -> io::Result<Found> {
    match keep(path)? {
        None => Ok(Found::Nothing),
        Some((_, file)) if file.metadata()?.len() == 0 => Ok(Found::Nothing),
        Some((_, file)) => Ok(read(&file)?.map_or(Found::Stranger, Found::Database)),
    }
}

/// The header of an open file; `None` where it is no database.
pub(crate) fn read(file: &File) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
    let size = u16::from_be_bytes([bytes[PAGE_SIZE_AT], bytes[PAGE_SIZE_AT + 1]]);
    bytes.starts_with(MAGIC).then(|| Header {
        application_id: number(bytes, APPLICATION_ID_AT).unwrap_or_default(),
        user_version: number(bytes, USER_VERSION_AT).unwrap_or_default(),
        // 65,536 does not fit and is written as 1.
        page_bytes: if size == 1 { 65_536 } else { usize::from(size) },
        wal: bytes[WRITE_VERSION_AT] == WAL_VERSION,
    })
}

/// The big-endian number at `at`; `None` past the end.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    field.try_into().ok().map(u32::from_be_bytes)
}
