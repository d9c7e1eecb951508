//! The database file: what is refused, what survives, and that it stays quick.

use std::path::Path;
use std::time::Instant;

use conversation_worker::store::{Caps, Claim, Claiming, NextAttempt, OpenError, Store};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::house::House;

async fn raw(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    SqlitePool::connect_with(options).await.unwrap()
}

#[tokio::test]
async fn a_file_of_somebody_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "a shopping list, longer than a hundred bytes ".repeat(5)).unwrap();
    assert!(matches!(Store::open(&text).await, Err(OpenError::NotOurs { .. })));
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("a shopping list"));

    let other = folder.path().join("other.db");
    let pool = raw(&other).await;
    sqlx::query("CREATE TABLE recipes (name TEXT)").execute(&pool).await.unwrap();
    pool.close().await;
    assert!(matches!(Store::open(&other).await, Err(OpenError::NotOurs { .. })));
    let pool = raw(&other).await;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema").fetch_all(&pool).await.unwrap();
    assert_eq!(tables, ["recipes"]);
    // Whatever else was done to it, its journal is as it was.
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&pool).await.unwrap();
    assert_eq!(mode, "delete");
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    Store::open(&path).await.unwrap().close().await;
    let pool = raw(&path).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let error = Store::open(&path).await.err().unwrap();
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
    assert!(error.remedy().contains("release"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_takes_no_files_is_a_fault_with_a_remedy() {
    let mut house = House::build().await;
    let blocked = house.folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    house.set("DATABASE_PATH", blocked.join("conversation.db").display());
    let error = house.worker().await.failed().await;
    let faults = error.downcast_ref::<chassis::Faults>().expect("a fault of the settings");
    let text = faults.to_string();
    assert!(text.contains("DATABASE_PATH") && text.contains("folder"), "{text}");
}

#[tokio::test]
async fn migrations_can_be_undone_and_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    Store::open(&path).await.unwrap().close().await;
    let migrations = sqlx::migrate!("../../migrations/conversation-worker");
    let pool = raw(&path).await;
    migrations.undo(&pool, 0).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(tables, ["_sqlx_migrations"]);
    pool.close().await;
    Store::open(&path).await.unwrap().close().await;
}

#[tokio::test]
async fn it_is_written_with_full_durability() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    let store = Store::open(&path).await.unwrap();
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(store.pool()).await.unwrap();
    assert_eq!(mode, "wal");
    let pragmas = store.write(Pragmas).await.unwrap();
    // FULL is 2.
    assert_eq!(pragmas, (2, 1, 10_000));
    store.close().await;
}

#[derive(Clone)]
struct Pragmas;

impl conversation_worker::store::Step for Pragmas {
    type Output = (i64, i64, i64);

    async fn run(
        self,
        connection: &mut sqlx::SqliteConnection,
    ) -> Result<Self::Output, conversation_worker::store::StoreError> {
        let synchronous =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
        let keys = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *connection).await?;
        let busy = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(connection).await?;
        Ok((synchronous, keys, busy))
    }
}

#[tokio::test]
async fn a_long_history_does_not_slow_a_turn_down() {
    let folder = tempfile::tempdir().unwrap();
    let (short, long) = (folder.path().join("short.db"), folder.path().join("long.db"));
    for (path, turns) in [(&short, 1_000_i64), (&long, 200_000)] {
        Store::open(path).await.unwrap().close().await;
        fill(path, turns).await;
    }
    let (short, long) = (Store::open(&short).await.unwrap(), Store::open(&long).await.unwrap());
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for number in 1..=40 {
        few.push(claim(&short, number).await);
        many.push(claim(&long, number).await);
    }
    few.sort_unstable();
    many.sort_unstable();
    // A scan of the longer tables would be slower by two orders of magnitude.
    assert!(
        many[20] < few[20] * 5,
        "{:?} with a long history, {:?} with a short one",
        many[20],
        few[20]
    );
}

/// History in 100 conversations, with one turn waiting in each.
async fn fill(path: &Path, turns: i64) {
    let pool = raw(path).await;
    for sql in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
         INSERT INTO conversations (id, key, channel_id, created_unix_ms) \
         SELECT i, 'c' || i, i, 0 FROM n WHERE ?1 > 0",
        "INSERT INTO lanes (conversation_id) SELECT id FROM conversations WHERE ?1 > 0",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + 100) \
         INSERT INTO turns (id, conversation_id, state, user_id, queued_unix_ms, ended_unix_ms) \
         SELECT i, i % 100 + 1, iif(i > ?1, 'queued', 'done'), 7, 0, iif(i > ?1, NULL, 1) FROM n",
        "INSERT INTO inbox (id, stream_sequence, conversation_id, turn_id, reason, place, \
         channel_id, author_id, author_name, content, received_unix_ms, ingested_unix_ms) \
         SELECT id, id, conversation_id, id, 'direct', 'direct', 1, 7, 'Aki', 'some words', 0, 0 \
         FROM turns WHERE ?1 > 0",
        "INSERT INTO turn_messages SELECT id, 0, id FROM turns WHERE ?1 > 0 AND state = 'done'",
        "INSERT INTO replies SELECT id, 0, 'an answer', 1, 0 FROM turns WHERE ?1 > 0 AND state = 'done'",
    ] {
        sqlx::query(sql).bind(turns).execute(&pool).await.unwrap();
    }
    pool.close().await;
}

async fn claim(store: &Store, conversation: i64) -> std::time::Duration {
    let started = Instant::now();
    let history = store.history(conversation).await.unwrap();
    assert!(history.turns.len() >= 10);
    let claiming = Claiming {
        conversation,
        owner: "test".to_owned(),
        now_unix_ms: 1,
        lease_until_unix_ms: 2,
        day: "2026-01-01".to_owned(),
        caps: Caps { user: 1000, guild: 1000 },
        attempt: NextAttempt {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            input_tokens: history.tokens(),
            output_tokens: 1,
        },
    };
    let claimed = store.write(claiming).await.unwrap();
    assert!(matches!(claimed.claim, Claim::Answer(_)));
    started.elapsed()
}
