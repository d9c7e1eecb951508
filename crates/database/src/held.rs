//! A database file that is locked, looked through and opened, before anything is done to its tables.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::header::{self, Found};
use crate::lock::Lock;
use crate::restored::{self, Traces};
use crate::revisions::OUR_TABLES;
use crate::{OpenError, Schema, life, open};

/// A file that is ours, whole, and held.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) lock: Lock,
    pub(crate) writer: SqliteConnection,
    /// What the operator should know, one sentence each.
    pub(crate) notes: Vec<String>,
}

impl Held {
    /// Takes hold of the file at `path`; makes one where there is none.
    pub(crate) async fn take(path: &Path, schema: &Schema) -> Result<Self, OpenError> {
        prepare_folder(path)?;
        let unreadable = |error: std::io::Error| OpenError::Unusable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let lock = Lock::take(path).await.map_err(unreadable)?;
        let lock = lock.ok_or_else(|| OpenError::Held { path: path.to_owned() })?;
        let found = header::find(path).map_err(unreadable)?;
        let mark = match &found {
            Found::Stranger => return Err(OpenError::NotOurs { path: path.to_owned() }),
            Found::Database(header) => Some(header.application_id),
            Found::Nothing => None,
        };
        if mark.is_some_and(|mark| mark != 0 && mark != schema.application_id) {
            return Err(OpenError::NotOurs { path: path.to_owned() });
        }
        let here_before = life::known(path).map_err(unreadable)?.is_some();
        let ours = here_before || mark != Some(0);
        let traces = if lock.is_alone() && ours {
            restored::settle(path).map_err(unreadable)?
        } else {
            Traces::default()
        };
        if found != Found::Nothing {
            refuse_foreign_tables(path, schema).await?;
        }
        let connected = open::writing(path).create_if_missing(true).connect().await;
        let unusable = |error: sqlx::Error| OpenError::unusable(path, &error);
        let mut writer = connected.map_err(unusable)?;
        if traces.doubtful
            && let Some(reason) = open::problem(&mut writer).await.map_err(unusable)?
        {
            return Err(OpenError::Damaged { path: path.to_owned(), reason });
        }
        Ok(Self { lock, writer, notes: traces.notes })
    }
}

fn prepare_folder(path: &Path) -> Result<(), OpenError> {
    let folder: PathBuf = life::folder_of(path);
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

/// A file without our mark is ours only while it holds no table but our own. It is looked at
/// through a connection of its own, since opening it for writing changes its journal.
async fn refuse_foreign_tables(path: &Path, schema: &Schema) -> Result<(), OpenError> {
    let unusable = |error: sqlx::Error| OpenError::unusable(path, &error);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(open::BUSY_TIMEOUT)
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(unusable)?;
    let mark: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await
        .map_err(unusable)?;
    let foreign: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
         AND name NOT IN (?, ?)",
    )
    .bind(OUR_TABLES[0])
    .bind(OUR_TABLES[1])
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
