//! The database file: what is refused, what survives, and that it stays quick.

use std::path::Path;

use contracts::command::Place;
use contracts::id::{ChannelId, MessageId};
use conversation_worker::store::{
    Caps, Claim, Claiming, Commit, FirstText, NextAttempt, OpenError, Store, StoreError,
};
use conversation_worker::turn::{Ending, TurnRef};
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
    ) -> Result<Self::Output, StoreError> {
        let synchronous =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
        let keys = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *connection).await?;
        let busy = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(connection).await?;
        Ok((synchronous, keys, busy))
    }
}

/// How long it takes is measured by `cargo xtask bench`; a timed assertion would be no test.
#[tokio::test]
async fn a_turn_reads_no_more_of_a_long_history_than_its_prompt_can_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.db");
    Store::open(&path).await.unwrap().close().await;
    fill(&path, 20_000).await;
    let store = Store::open(&path).await.unwrap();
    for number in 1..=40 {
        claim(&store, number).await;
    }
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

/// The history holds more.
const WINDOW_TOKENS: u64 = 100;

async fn claim(store: &Store, conversation: i64) {
    let history = store.history(conversation, WINDOW_TOKENS).await.unwrap();
    assert_eq!(history.turns().len(), 64);
    let mut claiming = claiming(conversation, "test", 1);
    claiming.attempt.input_tokens = history.tokens();
    let claimed = store.write(claiming).await.unwrap();
    assert!(matches!(claimed.claim, Claim::Answer(_)));
}

#[tokio::test]
async fn whoever_was_overtaken_cannot_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    Store::open(&path).await.unwrap().close().await;
    fill(&path, 1_000).await;
    let (slow, fast) = (Store::open(&path).await.unwrap(), Store::open(&path).await.unwrap());
    let paused = turn_of(slow.write(claiming(5, "slow", 1)).await.unwrap().claim);
    // While the lease holds nobody else gets the turn.
    let claim = fast.write(claiming(5, "fast", 1)).await.unwrap().claim;
    assert!(matches!(claim, Claim::Idle));
    let taken = turn_of(fast.write(claiming(5, "fast", 1_000_000)).await.unwrap().claim);
    assert_eq!((taken.id, taken.generation), (paused.id, paused.generation));

    let late = slow.write(first_text(paused)).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    let late = slow.write(commit(paused, "late")).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(fast.write(first_text(taken)).await.unwrap().len(), 1);
    fast.write(commit(taken, "in time")).await.unwrap();
    let text: Vec<String> = sqlx::query_scalar("SELECT text FROM replies WHERE turn_id = ?")
        .bind(taken.id.0.cast_signed())
        .fetch_all(fast.pool())
        .await
        .unwrap();
    assert_eq!(text, ["in time"]);
}

#[tokio::test]
async fn a_step_that_fails_takes_none_of_its_neighbours_along() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("conversation.db")).await.unwrap();
    let steps: Vec<_> = (0..200_i64)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.write(Mark(number)).await })
        })
        .collect();
    for (number, step) in steps.into_iter().enumerate() {
        let refused = matches!(step.await.unwrap(), Err(StoreError::Refused(_)));
        assert_eq!(refused, number % 7 == 0, "step {number}");
    }
    let kept: Vec<i64> = sqlx::query_scalar("SELECT message_id FROM tombstones ORDER BY 1")
        .fetch_all(store.pool())
        .await
        .unwrap();
    assert_eq!(kept, (0..200).filter(|number| number % 7 != 0).collect::<Vec<_>>());
}

/// Writes a row; every seventh then breaks a rule of the table.
#[derive(Clone)]
struct Mark(i64);

impl conversation_worker::store::Step for Mark {
    type Output = ();

    async fn run(self, connection: &mut sqlx::SqliteConnection) -> Result<(), StoreError> {
        let insert = "INSERT INTO tombstones VALUES (?, 0)";
        sqlx::query(insert).bind(self.0).execute(&mut *connection).await?;
        if self.0 % 7 == 0 {
            sqlx::query(insert).bind(self.0).execute(connection).await?;
        }
        Ok(())
    }
}

/// A step that nobody waits for, as it says itself.
#[derive(Clone)]
struct Unhurried(Mark);

impl conversation_worker::store::Step for Unhurried {
    type Output = ();

    const HURRIES: bool = false;

    async fn run(self, connection: &mut sqlx::SqliteConnection) -> Result<(), StoreError> {
        self.0.run(connection).await
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_done_as_well_and_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("conversation.db")).await.unwrap();
    let mut steps = Vec::new();
    // The first stay unanswered until there is time; what hurries arrives in between all along.
    for number in 1000..1050_i64 {
        let store = store.clone();
        steps.push((
            number,
            tokio::spawn(async move { store.write(Unhurried(Mark(number))).await }),
        ));
    }
    for number in 1..500_i64 {
        let store = store.clone();
        steps.push((number, tokio::spawn(async move { store.write(Mark(number)).await })));
    }
    for (number, step) in steps {
        let refused = matches!(step.await.unwrap(), Err(StoreError::Refused(_)));
        assert_eq!(refused, number % 7 == 0, "step {number}");
    }
}

fn claiming(conversation: i64, owner: &str, now_unix_ms: i64) -> Claiming {
    Claiming {
        conversation,
        owner: owner.to_owned(),
        now_unix_ms,
        lease_until_unix_ms: now_unix_ms + 1000,
        day: "2026-01-01".to_owned(),
        caps: Caps { user: 1000, guild: 1000 },
        attempt: NextAttempt {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            input_tokens: 0,
            output_tokens: 1,
        },
    }
}

fn turn_of(claim: Claim) -> TurnRef {
    match claim {
        Claim::Answer(turn) => turn.at,
        other => panic!("{other:?}"),
    }
}

fn place() -> Place {
    Place { guild_id: None, channel_id: ChannelId(1), question: MessageId(1), thread: None }
}

fn first_text(turn: TurnRef) -> FirstText {
    FirstText { turn, place: place(), text: "so far".to_owned(), now_unix_ms: 3 }
}

fn commit(turn: TurnRef, text: &str) -> Commit {
    Commit {
        turn,
        place: place(),
        settlement: None,
        ending: Ending::Answer,
        text: text.to_owned(),
        notice: None,
        reason: None,
        now_unix_ms: 4,
    }
}
