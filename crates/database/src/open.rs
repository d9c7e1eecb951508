//! Opens the file: refuses what is not ours, brings the tables to this release, sets durability.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool};

use crate::{OpenError, Schema};

/// Where the header keeps the mark of the owner (SQLite's file format, 1.3).
const APPLICATION_ID_OFFSET: usize = 68;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
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
}

/// Opens the database of `schema` at `path`, made or brought to its newest revision where needed.
///
/// # Errors
/// What stands in the way, with a remedy; the file is then as it was.
pub async fn open(path: &Path, schema: &Schema) -> Result<Opened, OpenError> {
    prepare_folder(path)?;
    refuse_foreign_header(path, schema)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // What was deleted is overwritten, not only unlinked.
        .pragma("secure_delete", "on")
        // A few hundred rows come over in one go, without waiting for each other to be read.
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging();
    refuse_foreign_tables(path, schema).await?;
    let mut writer = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| OpenError::unusable(path, &error))?;
    let migrated = schema.migrations.run_direct(None, &mut writer, false).await;
    migrated.map_err(|error| refused(path, error))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        // A connection to a file does not go away by itself; asking it costs as much as a query.
        .test_before_acquire(false)
        .connect_with(options.pragma("query_only", "1").create_if_missing(false))
        .await
        .map_err(|error| OpenError::unusable(path, &error))?;
    Ok(Opened { writer, readers })
}

fn prepare_folder(path: &Path) -> Result<(), OpenError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let refuse = |error: std::io::Error| OpenError::Folder {
        path: folder.clone(),
        reason: error.to_string(),
    };
    std::fs::create_dir_all(&folder).map_err(refuse)?;
    // SQLite writes its journal beside the file, so a writable file in a read-only folder fails
    // later and with a worse message.
    let probe = folder.join(format!(".write-probe-{}", std::process::id()));
    std::fs::write(&probe, b"").map_err(refuse)?;
    std::fs::remove_file(&probe).map_err(refuse)
}

fn refuse_foreign_header(path: &Path, schema: &Schema) -> Result<(), OpenError> {
    let mut header = Vec::with_capacity(100);
    match std::fs::File::open(path) {
        Ok(file) => file.take(100).read_to_end(&mut header).map_err(|error| {
            OpenError::Unusable { path: path.to_owned(), reason: error.to_string() }
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(OpenError::Unusable { path: path.to_owned(), reason: error.to_string() });
        }
    };
    if header.is_empty() {
        return Ok(());
    }
    let id = header
        .get(APPLICATION_ID_OFFSET..APPLICATION_ID_OFFSET + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_be_bytes);
    // A file without an id is looked into further: a first start may have died on the way.
    if header.starts_with(MAGIC) && id.is_some_and(|id| id == schema.application_id || id == 0) {
        Ok(())
    } else {
        Err(OpenError::NotOurs { path: path.to_owned() })
    }
}

/// A file without our mark is ours only while it holds no table but the list of migrations. It is
/// looked at through a connection of its own, since opening it for writing changes its journal.
async fn refuse_foreign_tables(path: &Path, schema: &Schema) -> Result<(), OpenError> {
    if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        return Ok(());
    }
    let unusable = |error: sqlx::Error| OpenError::unusable(path, &error);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(unusable)?;
    let mark: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await
        .map_err(unusable)?;
    let foreign: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
         AND name <> '_sqlx_migrations'",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(unusable)?;
    connection.close().await.map_err(unusable)?;
    if mark == i64::from(schema.application_id) || foreign == 0 {
        Ok(())
    } else {
        Err(OpenError::NotOurs { path: path.to_owned() })
    }
}

fn refused(path: &Path, error: MigrateError) -> OpenError {
    match error {
        MigrateError::VersionMissing(_)
        | MigrateError::VersionMismatch(_)
        | MigrateError::VersionTooNew(..) => {
            OpenError::Newer { path: path.to_owned(), reason: error.to_string() }
        }
        error => OpenError::Unusable { path: path.to_owned(), reason: error.to_string() },
    }
}
