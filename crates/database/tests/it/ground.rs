//! A small service's database to test with, and SQLite as everybody else uses it.

use std::path::{Path, PathBuf};

use database::{Answer, Opened, Schema};
use serde_json::Value;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _, SqliteConnection};

/// Each revision's way forward and back. The second goes with programs of the first, the third
/// with its own only, and the fourth fails half-way.
const REVISIONS: [(&str, &str); 4] = [
    (
        "PRAGMA application_id = 7;\n\
         CREATE TABLE words (id INTEGER NOT NULL PRIMARY KEY, text TEXT NOT NULL) STRICT;",
        "-- loses: every word\nDROP TABLE words;",
    ),
    (
        "-- compatible-with: 1\n\
         ALTER TABLE words ADD COLUMN mood TEXT;\n\
         CREATE TABLE moods (name TEXT NOT NULL PRIMARY KEY) STRICT;",
        "-- loses: the mood of every word\n\
         DROP TABLE moods;\nALTER TABLE words DROP COLUMN mood;",
    ),
    (
        "ALTER TABLE words RENAME COLUMN text TO content;",
        "ALTER TABLE words RENAME COLUMN content TO text;",
    ),
    ("CREATE TABLE half (a INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);", "DROP TABLE half;"),
];

/// The database of a program that knows revisions up to `newest`.
pub(crate) fn program(newest: usize) -> Schema {
    let revision = |number: usize, kind, sql: &'static str| {
        let version = i64::try_from(number + 1).unwrap();
        Migration::new(version, "a step".into(), kind, sql.into_sql_str(), false)
    };
    let migrations = REVISIONS.iter().take(newest).enumerate().flat_map(|(number, (up, down))| {
        [
            revision(number, MigrationType::ReversibleUp, up),
            revision(number, MigrationType::ReversibleDown, down),
        ]
    });
    let migrations = Box::leak(Box::new(Migrator::with_migrations(migrations.collect())));
    Schema { service: "specimen", release: "1.2.3", application_id: 7, migrations }
}

/// Words long enough that a few hundred of them fill many pages.
pub(crate) async fn say(
    connection: &mut SqliteConnection,
    numbers: std::ops::Range<i64>,
    word: &str,
) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2) \
               INSERT OR REPLACE INTO words (id, text) \
               SELECT i, ?3 || hex(zeroblob(200)) FROM n";
    sqlx::query(sql)
        .bind(numbers.start)
        .bind(numbers.end)
        .bind(word)
        .execute(connection)
        .await
        .unwrap();
}

/// SQLite without any care, as a shell or another library opens the file.
pub(crate) async fn stock(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal).connect().await.unwrap()
}

/// How many words begin with `word`.
pub(crate) async fn count(connection: &mut SqliteConnection, word: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM words WHERE substr(text, 1, length(?1)) = ?1")
        .bind(word)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// What SQLite finds wrong; a file too damaged to be checked is wrong as well.
pub(crate) async fn check(connection: &mut SqliteConnection) -> String {
    sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(connection)
        .await
        .unwrap_or_else(|error: sqlx::Error| error.to_string())
}

pub(crate) async fn close(opened: Opened) {
    opened.guard.close(opened.writer).await.unwrap();
    opened.readers.close().await;
    opened.guard.release();
}

/// What the disk holds after a power cut at this moment, in a folder of its own.
pub(crate) fn after_a_power_cut(path: &Path, folder: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    for ending in ["", "-wal", ".identity"] {
        let file = format!("{name}{ending}");
        if path.with_file_name(&file).exists() {
            std::fs::copy(path.with_file_name(&file), folder.join(&file)).unwrap();
        }
    }
    folder.join(name)
}

pub(crate) async fn migrate(schema: &Schema, path: &Path, line: &str) -> Answer {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    database::migrate(schema, path, &words).await
}

/// As [`migrate`], where it is done; what it says as JSON.
pub(crate) async fn migrated(schema: &Schema, path: &Path, line: &str) -> Value {
    let answer = migrate(schema, path, &format!("{line} --json")).await;
    assert_eq!((answer.code, answer.complaint.as_str()), (0, ""), "{line}: {}", answer.out);
    serde_json::from_str(&answer.out).unwrap()
}

/// A copy as `.backup` or `VACUUM INTO` make it: whole, at this moment.
pub(crate) async fn backup(connection: &mut SqliteConnection, to: &Path) {
    sqlx::query("VACUUM INTO ?").bind(to.to_str()).execute(connection).await.unwrap();
}

pub(crate) async fn sql(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

pub(crate) async fn leave(connection: SqliteConnection) {
    connection.close().await.unwrap();
}
