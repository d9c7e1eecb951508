//! The live database: connections of ours that read it and hold its log, and never change a row.
//!
//! Nothing here opens the database or its `-shm` file but SQLite: closing any other descriptor of
//! them would drop the locks that SQLite holds in this process (POSIX).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

/// How long a lock is waited for; the writer has the right of way.
const BUSY: Duration = Duration::from_secs(2);

/// Why the live database cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no file, or an empty one.
    #[error("there is no database at {} yet", .0.display())]
    Missing(PathBuf),
    /// Its changes do not go through a log.
    #[error("{} is not in WAL mode, so there is no log to follow: its service sets that mode when it starts", .0.display())]
    NotWal(PathBuf),
    /// It cannot be locked, as it can only be read.
    #[error("{} can only be read: mount its volume for writing, with the user of its service, as its locks and its log's index are files too", .0.display())]
    ReadOnly(PathBuf),
    /// SQLite said no.
    #[error("cannot {action} {}: {source}", .path.display())]
    Sqlite {
        /// What was being done.
        action: &'static str,
        /// With which database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The disk said no.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SourceError {
    fn sqlite(action: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Sqlite { action, path: path.clone(), source }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// Whether somebody else held a lock for too long, so that it is tried again.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Sqlite { source, .. }
                if matches!(
                    source.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                )
        )
    }
}

/// Which file stands at a path: a name can be given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    device: u64,
    inode: u64,
}

impl From<&std::fs::Metadata> for Place {
    fn from(file: &std::fs::Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

/// What SQLite's index of the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frames {
    /// How many frames of whole transactions the log has.
    pub(crate) log: u32,
    /// How many of them are in the database's own file as well.
    pub(crate) backfilled: u32,
}

/// The live database.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    place: Place,
    page_size: u32,
    /// One of them has a reading transaction open, except in the middle of a seal.
    readers: [Connection; 2],
    holding: usize,
    writer: Connection,
    control: Connection,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        let place = place_of(path)?.ok_or_else(|| SourceError::Missing(path.to_owned()))?;
        let open = || connect(path);
        let control = open()?;
        let asked = SourceError::sqlite("read", path);
        if control.is_readonly("main").map_err(&asked)? {
            return Err(SourceError::ReadOnly(path.to_owned()));
        }
        let mode: String =
            control.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(&asked)?;
        if mode != "wal" {
            return Err(SourceError::NotWal(path.to_owned()));
        }
        let page_size =
            control.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(&asked)?;
        let (readers, writer) = ([open()?, open()?], open()?);
        let path = path.to_owned();
        Ok(Self { path, place, page_size, readers, holding: 0, writer, control })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// Whether the name still stands for the file that was opened.
    pub(crate) fn is_in_place(&self) -> Result<bool, SourceError> {
        Ok(place_of(&self.path)? == Some(self.place))
    }

    /// How far the log has come. Takes no lock.
    pub(crate) fn frames(&self) -> Result<Frames, SourceError> {
        self.checkpoint("noop").map(|(_, frames)| frames)
    }

    /// Copies into the database what no reader holds back; `false` where another process is at it.
    pub(crate) fn backfill(&self) -> Result<(bool, Frames), SourceError> {
        self.checkpoint("passive")
    }

    fn checkpoint(&self, mode: &str) -> Result<(bool, Frames), SourceError> {
        let sql = format!("PRAGMA main.wal_checkpoint({mode})");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let answer = self.control.prepare(&sql).and_then(|mut asked| asked.query_one([], row));
        let (busy, log, backfilled): (i64, i64, i64) =
            answer.map_err(SourceError::sqlite("ask for the log of", &self.path))?;
        let count = |frames: i64| u32::try_from(frames).ok();
        let frames = count(log).zip(count(backfilled));
        let (log, backfilled) = frames.ok_or_else(|| SourceError::NotWal(self.path.clone()))?;
        Ok((busy == 0, Frames { log, backfilled }))
    }

    /// Begins to read, so that the log is not started over; whatever was held before is held too
    /// until [`let_go`](Self::let_go).
    pub(crate) fn hold(&mut self) -> Result<(), SourceError> {
        let next = 1 - self.holding;
        begin(&self.readers[next]).map_err(SourceError::sqlite("begin to read", &self.path))?;
        self.holding = next;
        Ok(())
    }

    /// Ends the reading before the newest.
    pub(crate) fn let_go_older(&self) -> Result<(), SourceError> {
        self.end(1 - self.holding)
    }

    /// Goes back to the reading before the newest, which ends.
    pub(crate) fn hold_older(&mut self) -> Result<(), SourceError> {
        self.end(self.holding)?;
        self.holding = 1 - self.holding;
        Ok(())
    }

    /// Ends every reading: from here on the log may be started over.
    pub(crate) fn let_go(&self) -> Result<(), SourceError> {
        self.end(0)?;
        self.end(1)
    }

    fn end(&self, reader: usize) -> Result<(), SourceError> {
        end(&self.readers[reader]).map_err(SourceError::sqlite("end reading", &self.path))
    }

    /// Keeps every other writer out; `false` where one is at it for too long.
    pub(crate) fn lock(&self) -> Result<bool, SourceError> {
        let begun = self.writer.execute_batch("BEGIN IMMEDIATE");
        match begun.map_err(SourceError::sqlite("hold back the writers of", &self.path)) {
            Ok(()) => Ok(true),
            Err(busy) if busy.is_busy() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets writers in again.
    pub(crate) fn unlock(&self) -> Result<(), SourceError> {
        end(&self.writer).map_err(SourceError::sqlite("let in the writers of", &self.path))
    }

    /// A page as it is while the writers are kept out.
    pub(crate) fn locked_page(&self, pgno: u32) -> Result<Option<Vec<u8>>, SourceError> {
        page(&self.writer, pgno).map_err(SourceError::sqlite("read a page of", &self.path))
    }

    /// A view of the whole database as it is now.
    pub(crate) fn view(&self) -> Result<View, SourceError> {
        let connection = connect(&self.path)?;
        begin(&connection).map_err(SourceError::sqlite("begin to read", &self.path))?;
        let pages = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .map_err(SourceError::sqlite("count the pages of", &self.path))?;
        Ok(View { path: self.path.clone(), connection, page_size: self.page_size, pages })
    }
}

/// A database's pages at one moment, whatever is written meanwhile.
#[derive(Debug)]
pub(crate) struct View {
    path: PathBuf,
    connection: Connection,
    page_size: u32,
    pages: u32,
}

impl View {
    /// Bytes of a page.
    pub(crate) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// How many pages there are.
    pub(crate) fn pages(&self) -> u32 {
        self.pages
    }

    /// Shows every page but the one of SQLite's locks, in ascending order.
    pub(crate) fn each<E: From<SourceError>>(
        &self,
        mut show: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = SourceError::sqlite("read the pages of", &self.path);
        let lock_page = ltx::lock_page(self.page_size);
        let mut asked =
            self.connection.prepare("SELECT pgno, data FROM sqlite_dbpage").map_err(&failed)?;
        let mut rows = asked.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let pgno: u32 = row.get(0).map_err(&failed)?;
            if pgno != lock_page {
                let data = row.get_ref(1).map_err(&failed)?;
                show(pgno, data.as_blob().map_err(|error| failed(error.into()))?)?;
            }
        }
        Ok(())
    }

    /// One page.
    pub(crate) fn page(&self, pgno: u32) -> Result<Option<Vec<u8>>, SourceError> {
        page(&self.connection, pgno).map_err(SourceError::sqlite("read a page of", &self.path))
    }
}

fn page(connection: &Connection, pgno: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut asked = connection.prepare("SELECT data FROM sqlite_dbpage WHERE pgno = ?")?;
    asked.query_row([pgno], |row| row.get(0)).optional()
}

/// A transaction begins with its first read; this one needs no schema.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    let read = connection.pragma_query_value(None, "schema_version", |_| Ok(()));
    if read.is_err() {
        end(connection)?;
    }
    read
}

fn end(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") }
}

/// The last connection that closes would otherwise copy the log into the database and delete it,
/// and with it what was not shipped yet. Nothing of ours may write a page.
fn connect(path: &Path) -> Result<Connection, SourceError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -256")?;
        Ok(connection)
    });
    opened.map_err(SourceError::sqlite("open", path))
}

/// Which file stands at `path`; `None` for no file or an empty one. It is not opened.
fn place_of(path: &Path) -> Result<Option<Place>, SourceError> {
    match std::fs::metadata(path) {
        Ok(file) if file.len() == 0 => Ok(None),
        Ok(file) => Ok(Some(Place::from(&file))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SourceError::io("look at", path)(error)),
    }
}
