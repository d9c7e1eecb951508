//! Opens a database for its service: whole, at the right revision, durable, and watched.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection, SqlitePool};

use crate::change::{self, Change};
use crate::guard::{self, Guard, State};
use crate::held::Held;
use crate::life::{self, Life};
use crate::lock::Lock;
use crate::{OpenError, Schema, copies, header, revisions};

pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Health, history of several lanes at once, and the odd look from outside.
const READERS_MAX: u32 = 4;
const ROWS_AHEAD: usize = 512;

/// A database that may be used.
#[derive(Debug)]
pub struct Opened {
    /// The one writing connection.
    pub writer: SqliteConnection,
    /// Reading ones, which refuse to write.
    pub readers: SqlitePool,
    /// Tells when the file is exchanged under us, and how to close it.
    pub guard: Guard,
}

/// Opens the database of `schema` at `path`, made or brought to its newest revision where needed.
///
/// # Errors
/// What stands in the way, with a remedy; no row is changed then.
pub async fn open(path: &Path, schema: &Schema) -> Result<Opened, OpenError> {
    let Held { mut lock, mut writer, notes } = Held::take(path, schema).await?;
    for note in notes {
        tracing::warn!("{note}");
    }
    bring_up(&mut writer, path, schema, &lock).await?;
    copies::prune(path);
    let lives = lives(&mut writer, path, &lock).await?;
    let renews = lock.is_alone();
    let refuse = |error: std::io::Error| OpenError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    lock.share().map_err(refuse)?;
    let kept = header::keep(path).map_err(refuse)?;
    let (place, file) = kept.ok_or_else(|| refuse(std::io::ErrorKind::NotFound.into()))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        // A connection to a file does not go away by itself; asking it costs as much as a query.
        .test_before_acquire(false)
        .connect_with(writing(path).pragma("query_only", "1"))
        .await
        .map_err(|error| OpenError::unusable(path, &error))?;
    let guard = Guard {
        path: path.to_owned(),
        place,
        file,
        renews,
        state: Mutex::new(State { lives, begun: Instant::now() }),
        lock: Mutex::new(Some(lock)),
    };
    Ok(Opened { writer, readers, guard })
}

/// How a service's connections are opened; the file must be there.
pub(crate) fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // What was deleted is overwritten, not only unlinked.
        .pragma("secure_delete", "on")
        // A few hundred rows come over in one go, without waiting for each other to be read.
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

/// Applies what is missing. Beside other processes only what they can go on working with.
async fn bring_up(
    writer: &mut SqliteConnection,
    path: &Path,
    schema: &Schema,
    lock: &Lock,
) -> Result<(), OpenError> {
    let applied = revisions::applied(writer).await;
    let applied = applied.map_err(|error| OpenError::unusable(path, &error))?;
    let comparison = revisions::compare(schema.migrations, &applied)
        .map_err(|mismatch| OpenError::mismatch(path, mismatch))?;
    let current = comparison.current;
    if current > revisions::head(schema.migrations) {
        tracing::info!(
            database.revision = current,
            program.revision = revisions::head(schema.migrations),
            "the database is newer than this program, and works with it"
        );
    }
    let Some(newest) = comparison.pending.last().map(|revision| revision.version) else {
        return Ok(());
    };
    if !lock.is_alone() && !change::additive(&comparison.pending, current) {
        return Err(OpenError::InUse { path: path.to_owned(), service: schema.service });
    }
    let copy = change::make(writer, path, schema, &Change::Upgrade(comparison.pending)).await?;
    if let Some(copy) = copy {
        tracing::info!(
            from = current,
            to = newest,
            copy = %copy.display(),
            "the database was brought to a new revision, and copied before"
        );
    }
    Ok(())
}

/// The lives that the file may be in: a new one where we are alone, else that of the others.
async fn lives(
    writer: &mut SqliteConnection,
    path: &Path,
    lock: &Lock,
) -> Result<Vec<Life>, OpenError> {
    let refuse = |error: std::io::Error| OpenError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    if lock.is_alone() {
        let begun = guard::begin_life(writer, path).await;
        return begun.map_err(|error| OpenError::unusable(path, &error));
    }
    let known = life::known(path).map_err(refuse)?.unwrap_or_default();
    let now = guard::life_on_disk(path).map_err(refuse)?;
    Ok(known.into_iter().chain([now]).collect())
}

/// What SQLite finds wrong with a file; `None` where nothing is.
pub(crate) async fn problem(
    connection: &mut SqliteConnection,
) -> Result<Option<String>, sqlx::Error> {
    // The limit bounds the list: one fault is enough to refuse the file.
    let checked = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut *connection).await;
    let found: String = match checked {
        Ok(found) => found,
        // A file that is damaged enough cannot even be checked.
        Err(error) if error.as_database_error().is_some() => error.to_string(),
        Err(error) => return Err(error),
    };
    if found != "ok" {
        return Ok(Some(found));
    }
    let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(connection).await?.len();
    Ok((orphans > 0).then(|| format!("{orphans} rows point to rows that are not there")))
}
