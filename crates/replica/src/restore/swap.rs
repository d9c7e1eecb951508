//! Puts a restored database in the place of one whose service is stopped. What was there is moved
//! aside whole and never thrown away.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};

use super::error::RestoreError;
use super::{
    BESIDE, Options, Restored, UNFINISHED, Unfinished, Watch, beside, build, folder_of, sync_folder,
};
use crate::tree::{Pin, Plan};

/// The folder beside the database that its service uses for the same purpose.
const ASIDE: &str = "set-aside";
/// The lock that the owners of our databases hold while they use one.
const OWNER_LOCK: &str = ".lock";
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of a database that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swapped {
    /// What stands there now.
    pub restored: Restored,
    /// What stood there before, with its log where it had one; empty where nothing stood there.
    pub aside: Vec<PathBuf>,
}

/// Brings `plan`'s point back in the place of the database at `path`, which nobody may have open;
/// `stamp` tells what is moved aside from what was before. Begin a new timeline with the same plan
/// afterwards.
///
/// # Errors
/// What stands in the way; what stood at `path` stands there still then.
pub fn swap(
    plan: &Plan,
    path: &Path,
    (stamp, options): (&str, &Options),
    watch: Watch<'_>,
) -> Result<Swapped, RestoreError> {
    let _pin = Pin::set(plan)?;
    let _owner = take_owner_lock(path)?;
    settle(path)?;
    let unfinished = Unfinished(beside(path, UNFINISHED));
    let restored = build(plan, &unfinished.0, options, watch)?;
    adopt(path, &unfinished.0)?;
    let aside = move_aside(path, stamp)?;
    let named = std::fs::rename(&unfinished.0, path);
    named.map_err(RestoreError::io("name", path))?;
    std::mem::forget(unfinished);
    sync_folder(path)?;
    Ok(Swapped { restored: Restored { path: path.to_owned(), ..restored }, aside })
}

/// Holds the lock that keeps the owner from starting in the meantime.
fn take_owner_lock(path: &Path) -> Result<File, RestoreError> {
    let name = beside(path, OWNER_LOCK);
    let failed = RestoreError::io("lock", &name);
    let file = File::options().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(&failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(RestoreError::InUse { path: path.to_owned() }),
        Err(error) => Err(failed(error.into())),
    }
}

/// Makes sure that no connection is open anywhere, and writes the log into the file, so that there
/// is no moment in which a log lies beside a file that it does not belong to.
fn settle(path: &Path) -> Result<(), RestoreError> {
    if !path.exists() {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let settled = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(PATIENCE)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    });
    match settled {
        Ok(true) => Ok(()),
        Ok(false) => Err(RestoreError::InUse { path: path.to_owned() }),
        Err(error) if is_busy(&error) => Err(RestoreError::InUse { path: path.to_owned() }),
        // A damaged file is why people restore: it goes aside with its log as it is.
        Err(error) => {
            tracing::warn!(database = %path.display(), %error, "the old database cannot be read");
            Ok(())
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

/// Gives the new file the owner and the rights of the old one.
fn adopt(old: &Path, new: &Path) -> Result<(), RestoreError> {
    let failed = RestoreError::io("give its owner and rights to", new);
    let (old, is) = match std::fs::metadata(old) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        old => (old.map_err(&failed)?, std::fs::metadata(new).map_err(&failed)?),
    };
    if (old.uid(), old.gid()) != (is.uid(), is.gid()) {
        std::os::unix::fs::chown(new, Some(old.uid()), Some(old.gid())).map_err(&failed)?;
    }
    std::fs::set_permissions(new, old.permissions()).map_err(failed)
}

/// Keeps the old file under another name while it still has its own, then takes its log away.
fn move_aside(path: &Path, stamp: &str) -> Result<Vec<PathBuf>, RestoreError> {
    let folder = folder_of(path).join(ASIDE);
    std::fs::create_dir_all(&folder).map_err(RestoreError::io("make the folder", &folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let free = (1..).map(|number| match number {
        1 => folder.join(format!("{name}_{stamp}")),
        number => folder.join(format!("{name}_{stamp}-{number}")),
    });
    let taken = |to: &PathBuf| BESIDE.iter().chain(&[""]).any(|ending| beside(to, ending).exists());
    let to = free.into_iter().find(|to| !taken(to)).unwrap_or_else(|| folder.join(stamp));
    let mut aside = Vec::new();
    // While the file has its old name too, nothing is lost by stopping here.
    for ending in ["", "-wal", "-journal"] {
        let (from, to) = (beside(path, ending), beside(&to, ending));
        // A log without a byte, as it is left by a checkpoint, says nothing.
        let about = std::fs::metadata(&from);
        if about.is_ok_and(|about| about.len() > 0 || ending.is_empty()) {
            keep(&from, &to)?;
            aside.push(to);
        }
    }
    if let Some(kept) = aside.first() {
        sync_folder(kept)?;
    }
    for ending in BESIDE {
        let gone = beside(path, ending);
        match std::fs::remove_file(&gone) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RestoreError::io("move away", &gone)(error));
            }
            _ => {}
        }
    }
    sync_folder(path)?;
    Ok(aside)
}

/// A second name for a file; a copy where the file system knows no second names.
fn keep(from: &Path, to: &Path) -> Result<(), RestoreError> {
    let failed = RestoreError::io("keep a copy of", from);
    // Nobody has the database open here, so that opening it breaks no lock.
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).map_err(&failed)?;
    }
    let file = File::options().append(true).open(to).map_err(&failed)?;
    // Owners let go of what was set aside long ago, which is now, whenever it was written last.
    file.set_modified(SystemTime::now()).map_err(&failed)?;
    file.sync_all().map_err(failed)
}
