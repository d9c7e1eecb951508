//! Watches that the file under a running service stays the one it opened.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::copies;
use crate::header::{self, Found, Place};
use crate::life::{self, Life};
use crate::lock::Lock;

/// The file was exchanged while the service had it open: nothing may be written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exchanged {
    /// The name now stands for another file.
    #[error("the database file was swapped for another one while the service had it open")]
    Swapped,
    /// Another file's content was copied into it.
    #[error("another file was copied over the database while the service had it open")]
    Overwritten,
    /// It was removed or moved away.
    #[error("the database file was taken away while the service had it open")]
    Gone,
}

impl Exchanged {
    /// What the operator can do now: English, Japanese.
    pub fn remedies(self) -> (&'static str, &'static str) {
        match self {
            Self::Swapped | Self::Overwritten => (
                "restart the service (its container): it then checks the file that is there now \
                 and goes on with it; nothing is written until then",
                "サービス（コンテナ）を再起動してください。今あるファイルを確かめてから続けます。\
                 それまでは何も書き込みません",
            ),
            Self::Gone => (
                "put the file back, or put a backup in its place, and restart the service (its \
                 container); nothing is written until then",
                "ファイルを戻すか、バックアップを置いてから、サービス（コンテナ）を再起動してください。\
                 それまでは何も書き込みません",
            ),
        }
    }
}

/// How long a life lasts at most while something is written: a copy of the bare file that was made
/// in the same life cannot be told from the file itself.
const LIFE_MAX: Duration = Duration::from_mins(10);

/// A database in use: its place, its life, and the lock that says so.
#[derive(Debug)]
pub struct Guard {
    pub(crate) path: PathBuf,
    pub(crate) place: Place,
    pub(crate) file: Arc<File>,
    /// Whether lives begin here, and not in another process that shares the file.
    pub(crate) renews: bool,
    pub(crate) state: Mutex<State>,
    pub(crate) lock: Mutex<Option<Lock>>,
}

/// The life a database is in.
#[derive(Debug)]
pub(crate) struct State {
    /// What the file's header may tell of; the newest last.
    pub(crate) lives: Vec<Life>,
    pub(crate) begun: Instant,
}

impl Guard {
    /// Fails once the file is not the one that was opened. Quick: it reads no more than the header.
    ///
    /// # Errors
    /// How it was exchanged.
    pub fn check(&self) -> Result<(), Exchanged> {
        match std::fs::metadata(&self.path) {
            Ok(file) if Place::from(&file) != self.place => return Err(Exchanged::Swapped),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Exchanged::Gone),
            // Any other trouble of the disk SQLite meets itself, and tells better.
            Ok(_) | Err(_) => {}
        }
        match header::read(&self.file) {
            Ok(Some(header)) if self.is_ours(Life::of(header.user_version)) => Ok(()),
            Ok(_) => Err(Exchanged::Overwritten),
            Err(_disk) => Ok(()),
        }
    }

    fn is_ours(&self, life: Life) -> bool {
        let mut state = self.state();
        if state.lives.contains(&life) {
            return true;
        }
        // Another process of the service may have begun a new one; it writes that down first.
        let known = life::known(&self.path).ok().flatten().unwrap_or_default();
        let ours = known.contains(&life);
        if ours {
            state.lives = known;
        }
        ours
    }

    /// Begins a new life when the one at hand has lasted long enough. Call it before something is
    /// written, outside a transaction.
    ///
    /// # Errors
    /// What SQLite or the disk said; the life at hand goes on then.
    pub async fn renew_if_due(&self, writer: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        if self.renews && self.state().begun.elapsed() > LIFE_MAX {
            self.renew(writer).await?;
        }
        Ok(())
    }

    /// Begins a new life.
    ///
    /// # Errors
    /// As [`renew_if_due`](Self::renew_if_due).
    pub async fn renew(&self, writer: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.state().begun = Instant::now();
        let lives = begin_life(writer, &self.path).await?;
        self.state().lives = lives;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the writing connection; close the reading ones after it, then [`release`](Self::release).
    ///
    /// # Errors
    /// What SQLite said.
    pub async fn close(&self, mut writer: SqliteConnection) -> Result<(), sqlx::Error> {
        if let Err(error) = self.check() {
            tracing::error!(%error, "the database is left as it is, without a checkpoint");
            // The last connection to close would write the log into the new file, or remove a log
            // that came with it. This one stays open until the process is gone.
            std::mem::forget(writer);
            return Ok(());
        }
        let last = match &mut *self.lock.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(lock) => lock.try_alone()?,
            None => false,
        };
        let life = self.state().lives.last().copied();
        if let (true, Some(life)) = (last, life) {
            let mark = format!("PRAGMA user_version = {}", life.closed());
            sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut writer).await?;
        }
        writer.close().await
    }

    /// Removes copies beside the database beyond their number or age.
    pub fn forget_copies(&self) {
        copies::prune(&self.path);
    }

    /// Lets go of the database; a migration may begin.
    pub fn release(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Marks the file as in use by a new life. Gives the lives that its header may tell of from now
/// on, the newest last.
pub(crate) async fn begin_life(
    writer: &mut SqliteConnection,
    path: &Path,
) -> Result<Vec<Life>, sqlx::Error> {
    let before = life_on_disk(path)?;
    let life = Life::begin();
    // The log may still hold the mark of a life that never reached the header: it stays known.
    let known = life::known(path)?.unwrap_or_default();
    let mut lives = match known.iter().position(|known| *known == before) {
        Some(reached) => known[reached..].to_vec(),
        None => vec![before],
    };
    lives.push(life);
    // First beside the file, so that a crash in between leaves nothing that looks foreign.
    life::write(path, &lives)?;
    let mark = format!("PRAGMA user_version = {}; PRAGMA wal_checkpoint(PASSIVE)", life.in_use());
    sqlx::raw_sql(AssertSqlSafe(mark)).execute(writer).await?;
    // Where somebody reads an older state, the mark stays in the log for now.
    if life_on_disk(path)? != life {
        return Ok(lives);
    }
    life::write(path, &[life])?;
    Ok(vec![life])
}

/// The life that the header of the file at `path` tells of.
pub(crate) fn life_on_disk(path: &Path) -> io::Result<Life> {
    Ok(Life::of(match header::find(path)? {
        Found::Database(header) => header.user_version,
        Found::Nothing | Found::Stranger => 0,
    }))
}
