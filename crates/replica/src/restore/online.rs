//! Brings a point back into a database that is in use: all pages in one transaction of its own.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::RestoreError;
use super::{Options, Progress, Restored, Stage, Unfinished, Watch, build, check};
use crate::tree::{Pin, Plan};

/// How long the live database may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long SQLite itself waits for one lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How many pages go over between two looks at the caller's wishes.
const PAGES_AT_ONCE: i32 = 1024;
/// How often the owner may change its mark in the middle.
const ATTEMPTS_MAX: u32 = 5;

/// Brings `plan`'s point back into the live database at `path`, as one transaction: readers see the
/// old content until it is done, writers wait. `scratch` is a name for a file that is made and goes
/// away again, as large as the database.
///
/// The user version stays the live one's: owners keep there which file they have open. A follower
/// ships the transaction like any other, so that the restore can itself be undone.
///
/// # Errors
/// What stands in the way; the live database is unchanged then.
pub fn online(
    plan: &Plan,
    path: &Path,
    (scratch, options): (&Path, &Options),
    watch: Watch<'_>,
) -> Result<Restored, RestoreError> {
    let _pin = Pin::set(plan)?;
    let begun = Instant::now();
    let mut live = open_live(path)?;
    let reader = open_live(path)?;
    for _attempt in 0..ATTEMPTS_MAX {
        let version = user_version(&reader, path)?;
        let unfinished = Unfinished(scratch.to_owned());
        let options = Options { user_version: Some(version), ..options.clone() };
        let restored = build(plan, &unfinished.0, &options, watch)?;
        refuse_other_pages(&reader, path, restored.page_size)?;
        let source = check::open_still(&unfinished.0)?;
        let copying = Copying { path, reader: &reader, version, watch };
        if copying.run(&source, &mut live)? {
            return Ok(Restored { path: path.to_owned(), took: begun.elapsed(), ..restored });
        }
    }
    Err(RestoreError::Busy { path: path.to_owned() })
}

/// A connection that neither checkpoints nor takes the log away when it is closed.
fn open_live(path: &Path) -> Result<Connection, RestoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "synchronous", "full")?;
        Ok(connection)
    };
    open().map_err(RestoreError::sqlite("open", path))
}

fn refuse_other_pages(reader: &Connection, path: &Path, history: u32) -> Result<(), RestoreError> {
    let live = reader.pragma_query_value(None, "page_size", |row| row.get(0));
    let live: u32 = live.map_err(RestoreError::sqlite("read", path))?;
    if live == history {
        return Ok(());
    }
    Err(RestoreError::PageSize { path: path.to_owned(), live, history })
}

fn user_version(reader: &Connection, path: &Path) -> Result<u32, RestoreError> {
    let version = reader.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
    version.map(i32::cast_unsigned).map_err(RestoreError::sqlite("read", path))
}

struct Copying<'a> {
    path: &'a Path,
    /// Sees what is committed, beside the connection that writes.
    reader: &'a Connection,
    /// The mark that the pages carry.
    version: u32,
    watch: Watch<'a>,
}

impl Copying<'_> {
    /// Copies everything; `false` where the owner changed its mark before, and nothing was done.
    fn run(&self, source: &Connection, live: &mut Connection) -> Result<bool, RestoreError> {
        let failed = RestoreError::sqlite("restore into", self.path);
        let backup = Backup::new(source, live).map_err(&failed)?;
        let deadline = Instant::now() + PATIENCE;
        let mut held = false;
        loop {
            // No page, but the writer's lock: from there on nobody else can commit.
            let pages = if held { PAGES_AT_ONCE } else { 0 };
            match backup.step(pages).map_err(&failed)? {
                StepResult::Done => return Ok(true),
                StepResult::More if !held => {
                    held = true;
                    if user_version(self.reader, self.path)? != self.version {
                        return Ok(false);
                    }
                }
                StepResult::More => self.tell(&backup)?,
                _ if Instant::now() > deadline => {
                    return Err(RestoreError::Busy { path: self.path.to_owned() });
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn tell(&self, backup: &Backup<'_, '_>) -> Result<(), RestoreError> {
        let progress = backup.progress();
        let total = u64::try_from(progress.pagecount).unwrap_or_default();
        let left = u64::try_from(progress.remaining).unwrap_or_default();
        let progress = Progress { stage: Stage::Copy, done: total.saturating_sub(left), total };
        match (self.watch)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(RestoreError::Ended),
        }
    }
}
