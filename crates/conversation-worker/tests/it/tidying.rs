//! What only matters for a while goes: seldom, and without reading what is young.

use std::path::Path;
use std::time::{Duration, Instant};

use contracts::stream::DISCORD_EVENTS;
use conversation_worker::store::{Beat, Store, Tidy};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use crate::deletions::erased;
use crate::house::{House, Question, eventually};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const NOW_MS: i64 = 100 * DAY_MS;

async fn write(path: &Path, sql: &'static str, values: &[i64]) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let query = values.iter().fold(sqlx::query(sql), |query, value| query.bind(*value));
    query.execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn tidying_ends_at_the_first_row_that_is_young() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    let store = Store::open(&path).await.unwrap();
    for sql in [
        "INSERT INTO conversations (id, key, channel_id, created_unix_ms) VALUES (?1, 'c', 1, 0)",
        "INSERT INTO turns (id, conversation_id, state, user_id, queued_unix_ms) \
         VALUES (?1, ?1, 'sending', 7, 0)",
    ] {
        write(&path, sql, &[1]).await;
    }
    // Age in days, whether Discord has answered, whether its text is still there.
    let rows = [(9, 1, 0), (8, 0, 0), (8, 1, 1), (8, 1, 0), (6, 1, 0), (9, 1, 0)];
    for (sequence, (days, is_answered, has_text)) in (1..).zip(rows) {
        let sql = "INSERT INTO outbox (sequence, id, purpose, conversation_id, turn_id, subject, \
                   payload, created_unix_ms, result) VALUES (?1, 'row ' || ?1, 'open', 1, 1, 's', \
                   iif(?4, x'00', NULL), ?2, iif(?3, 'done', NULL))";
        write(&path, sql, &[sequence, NOW_MS - days * DAY_MS, is_answered, has_text]).await;
    }
    assert_eq!(store.write(Tidy { now_unix_ms: NOW_MS }).await.unwrap(), 2);
    let kept: Vec<i64> = sqlx::query_scalar("SELECT sequence FROM outbox ORDER BY sequence")
        .fetch_all(store.pool())
        .await
        .unwrap();
    // The last is as old as the first, but what is younger came before it: nobody looks that far.
    assert_eq!(kept, [2, 3, 5, 6]);
    store.close().await;
}

/// Backups are asked for it: it must be as fresh as what people said, and cost a silent house
/// nothing.
#[tokio::test]
async fn the_sign_of_life_is_written_only_after_something_else_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    // A new file is news of its own.
    Store::open(&path).await.unwrap().close().await;
    let store = Store::open(&path).await.unwrap();
    let written = async || -> (i64, i64, i64) {
        sqlx::query_as("SELECT beats, written_unix_ms, kept FROM sentinel")
            .fetch_one(store.pool())
            .await
            .unwrap()
    };
    let log = path.with_file_name("conversation.db-wal");
    let bytes = || std::fs::metadata(&log).unwrap().len();
    let quiet = (bytes(), written().await);
    let beat = Beat { now_unix_ms: NOW_MS, kept: 5, since: 0 };
    let since = store.write(beat).await.unwrap();
    assert_eq!((bytes(), written().await), quiet, "nothing was said since the start");
    // Somebody's row, and one that goes.
    for id in [1, 2] {
        let sql = "INSERT INTO tombstones (message_id, deleted_unix_ms) VALUES (?1, 1)";
        write(&path, sql, &[id]).await;
    }
    let tidied = store.write(Tidy { now_unix_ms: NOW_MS }).await.unwrap();
    assert_eq!(tidied, 2);
    let since = store.write(Beat { since, ..beat }).await.unwrap();
    assert_eq!(written().await, (1, NOW_MS, 5));
    let before = bytes();
    for _minute in 0..3 {
        store.write(Beat { now_unix_ms: NOW_MS + 60_000, kept: 6, since }).await.unwrap();
    }
    assert_eq!((bytes(), written().await), (before, (1, NOW_MS, 5)), "its own write is no news");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_does_not_wait_for_a_minute_but_tidying_does() {
    let house = House::build().await;
    let path = house.database_path();
    house.worker().await.stop().await;
    let old = "INSERT INTO tombstones (message_id, deleted_unix_ms) VALUES (?1, 1)";
    write(&path, old, &[1]).await;
    let begun = Instant::now();
    let worker = house.worker().await;
    let database = house.database().await;
    let marks = async || -> Vec<i64> {
        sqlx::query_scalar("SELECT message_id FROM tombstones WHERE deleted_unix_ms = 1")
            .fetch_all(&database)
            .await
            .unwrap()
    };
    let tidied = eventually(async || marks().await.is_empty().then_some(())).await;
    assert!(tidied.is_some(), "a start tidies");
    write(&path, old, &[2]).await;
    for words in ["forget this", "and this", "this as well"] {
        let question = Question::direct(words);
        let event = house.discord.ask(&question).await;
        house.answer(&question).await;
        house.discord.delete(&question).await;
        assert!(erased(&house, DISCORD_EVENTS.name, event).await, "{words}");
    }
    // Where all this took longer, it may have been time again.
    assert!(marks().await == [2] || begun.elapsed() >= Duration::from_mins(1));
    worker.stop().await;
}
