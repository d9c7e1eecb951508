//! Moves a file from one revision to another: all of the way or not at all.

use std::path::{Path, PathBuf};

use sqlx::SqliteConnection;
use sqlx::migrate::{Migration, Migrator};

use crate::revisions::{self, Applied};
use crate::{OpenError, Schema, copies};

/// What is done to the tables.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// Revisions that are applied, oldest first.
    Upgrade(Vec<&'a Migration>),
    /// Ways back that are gone, newest first.
    Downgrade(Vec<&'a Migration>),
    /// Revisions that count as applied from now on, and no others; nothing is run.
    Stamp(Vec<&'a Migration>),
}

impl Change<'_> {
    /// The revisions that are concerned, in the order in which they are.
    pub(crate) fn revisions(&self) -> &[&Migration] {
        let (Self::Upgrade(revisions) | Self::Downgrade(revisions) | Self::Stamp(revisions)) = self;
        revisions
    }
}

/// Copies the file where it holds anything, then makes the change in one transaction: a revision
/// that fails leaves the file as it was. Gives the copy's path.
pub(crate) async fn make(
    connection: &mut SqliteConnection,
    path: &Path,
    schema: &Schema,
    change: &Change<'_>,
) -> Result<Option<PathBuf>, OpenError> {
    let unusable = |error: sqlx::Error| OpenError::unusable(path, &error);
    // Tables can only be made anew while rows may point into nothing; what is left is checked below.
    execute(connection, "PRAGMA foreign_keys = OFF").await.map_err(unusable)?;
    execute(connection, "BEGIN IMMEDIATE").await.map_err(unusable)?;
    let mut copy = None;
    let outcome = match within(connection, path, schema, change, &mut copy).await {
        Ok(()) => execute(connection, "COMMIT").await.map_err(unusable),
        refused => refused,
    };
    if outcome.is_err() {
        // Fails where SQLite has rolled back by itself, as it does on a full disk.
        drop(execute(connection, "ROLLBACK").await);
        // The file is as it was: the copy says nothing that it does not say, and a change that
        // fails at every start must not push out the copies of earlier ones.
        if let Some(copy) = copy.take()
            && let Err(error) = std::fs::remove_file(&copy)
        {
            tracing::warn!(copy = %copy.display(), %error, "a copy without use cannot be removed");
        }
    } else {
        copies::prune(path);
    }
    execute(connection, "PRAGMA foreign_keys = ON").await.map_err(unusable)?;
    outcome.map(|()| copy)
}

/// What happens between the beginning and the end of the transaction. Nobody else can write then,
/// so that the copy is exactly what the change begins with.
async fn within(
    connection: &mut SqliteConnection,
    path: &Path,
    schema: &Schema,
    change: &Change<'_>,
    copy: &mut Option<PathBuf>,
) -> Result<(), OpenError> {
    let unusable = |error: sqlx::Error| OpenError::unusable(path, &error);
    if let Change::Upgrade(revisions) = change {
        // Another process may have made the same change since it was decided on.
        let applied = revisions::applied(connection).await.map_err(unusable)?;
        let last = applied.last().map_or(0, |applied| applied.version);
        if revisions.last().is_some_and(|newest| newest.version <= last) {
            return Ok(());
        }
    }
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
        .fetch_one(&mut *connection)
        .await
        .map_err(unusable)?;
    if tables > 0 {
        *copy = Some(copies::make(path).await?);
    }
    revisions::open_books(connection).await.map_err(unusable)?;
    if let Change::Stamp(_) = change {
        for sql in ["DELETE FROM _sqlx_migrations", "DELETE FROM _schema_compatibility"] {
            execute(connection, sql).await.map_err(unusable)?;
        }
    }
    for revision in change.revisions() {
        let failed = |error: sqlx::Error| OpenError::Revision {
            path: path.to_owned(),
            version: revision.version,
            reason: error.to_string(),
        };
        if revision.no_tx {
            let reason = "it wants to run outside a transaction, which is not done here";
            return Err(failed(sqlx::Error::Protocol(reason.to_owned())));
        }
        if let Change::Upgrade(_) | Change::Downgrade(_) = change {
            let sql = revision.sql.clone();
            sqlx::raw_sql(sql).execute(&mut *connection).await.map_err(failed)?;
        }
        match change {
            Change::Upgrade(_) | Change::Stamp(_) => enter(connection, schema, revision).await,
            Change::Downgrade(_) => strike(connection, revision.version).await,
        }
        .map_err(failed)?;
    }
    let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(connection).await;
    let orphans = orphans.map_err(unusable)?.len();
    if orphans > 0 && !matches!(change, Change::Stamp(_)) {
        let version = change.revisions().last().map_or(0, |revision| revision.version);
        let reason = format!("{orphans} rows would point to rows that are not there");
        return Err(OpenError::Revision { path: path.to_owned(), version, reason });
    }
    Ok(())
}

async fn enter(
    connection: &mut SqliteConnection,
    schema: &Schema,
    revision: &Migration,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (?, ?, TRUE, ?, -1)",
    )
    .bind(revision.version)
    .bind(&*revision.description)
    .bind(&*revision.checksum)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT OR REPLACE INTO _schema_compatibility (version, compatible_with, release) \
         VALUES (?, ?, ?)",
    )
    .bind(revision.version)
    .bind(revisions::compatible_with(revision))
    .bind(schema.release)
    .execute(connection)
    .await?;
    Ok(())
}

async fn strike(connection: &mut SqliteConnection, version: i64) -> Result<(), sqlx::Error> {
    for sql in [
        "DELETE FROM _sqlx_migrations WHERE version = ?",
        "DELETE FROM _schema_compatibility WHERE version = ?",
    ] {
        sqlx::query(sql).bind(version).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sql).execute(connection).await?;
    Ok(())
}

/// The ways back from the file's revision down to `target`, newest first.
///
/// # Errors
/// The revision that has no way back, or that this program does not know.
pub(crate) fn ways_back<'a>(
    known: &'a Migrator,
    applied: &[Applied],
    target: i64,
) -> Result<Vec<&'a Migration>, i64> {
    let over = applied.iter().rev().map(|applied| applied.version);
    over.take_while(|version| *version > target)
        .map(|version| {
            known
                .iter()
                .filter(|revision| revision.migration_type.is_down_migration())
                .find(|revision| revision.version == version)
                .ok_or(version)
        })
        .collect()
}

/// Whether processes that work on the file now can go on working on it after `pending`.
pub(crate) fn additive(pending: &[&Migration], current: i64) -> bool {
    current > 0 && pending.iter().all(|revision| revisions::compatible_with(revision) <= current)
}
