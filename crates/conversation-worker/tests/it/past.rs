//! What is remembered of a conversation beside the database is what the database says, whoever
//! wrote it.

use std::path::Path;
use std::sync::Arc;

use conversation_worker::store::{History, Store};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

const CONVERSATIONS: i64 = 3;
const ALL_TOKENS: u64 = u64::MAX / 4;
/// Some turns' worth.
const FEW_TOKENS: u64 = 30;

/// Somebody else who writes into the same file, as another process of the service would.
struct Other {
    pool: SqlitePool,
    next: i64,
    open: Vec<i64>,
}

impl Other {
    async fn new(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).foreign_keys(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let mut other = Self { pool, next: 1, open: Vec::new() };
        for id in 1..=CONVERSATIONS {
            let sql = "INSERT INTO conversations (id, key, channel_id, created_unix_ms) \
                       VALUES (?1, 'c' || ?1, ?1, 0)";
            other.write(sql, &[id]).await;
            other.write("INSERT INTO lanes (conversation_id) VALUES (?1)", &[id]).await;
        }
        other
    }

    async fn write(&mut self, sql: &'static str, values: &[i64]) {
        let query = values.iter().fold(sqlx::query(sql), |query, value| query.bind(*value));
        query.execute(&self.pool).await.unwrap();
    }

    async fn ask(&mut self, conversation: i64) {
        let turn = self.next;
        self.next += 1;
        for sql in [
            "INSERT INTO turns (id, conversation_id, state, user_id, queued_unix_ms) \
             VALUES (?1, ?2, 'streaming', 7, 0)",
            "INSERT INTO inbox (id, stream_sequence, conversation_id, turn_id, reason, place, \
             channel_id, author_id, author_name, content, received_unix_ms, ingested_unix_ms) \
             VALUES (?1, ?1, ?2, ?1, 'direct', 'direct', 1, 7, 'Aki', 'some words ' || ?1, 0, 0)",
            "INSERT INTO turn_messages SELECT ?1, 0, ?1 WHERE ?2 > 0",
            "INSERT INTO replies SELECT ?1, 0, 'an answer to ' || ?1, 1, 0 WHERE ?2 > 0",
        ] {
            self.write(sql, &[turn, conversation]).await;
        }
        self.open.push(turn);
    }

    /// One thing that happens, drawn by lot.
    async fn act(&mut self, lot: &mut StdRng) {
        let any = lot.random_range(1..self.next.max(2));
        match lot.random_range(0..10) {
            0..=3 => self.ask(lot.random_range(1..=CONVERSATIONS)).await,
            4..=6 if !self.open.is_empty() => {
                // Mostly the oldest, at times one that others overtake.
                let at = if lot.random_bool(0.7) { 0 } else { self.open.len() - 1 };
                let turn = self.open.remove(at);
                let end = "UPDATE turns SET state = 'done', ended_unix_ms = 1 WHERE id = ?1";
                self.write(end, &[turn]).await;
            }
            7 => {
                let sql = "UPDATE inbox SET content = '', state = 'deleted' WHERE id = ?1";
                self.write(sql, &[any]).await;
            }
            8 => {
                let sql = "UPDATE inbox SET content = content || ' edited' WHERE id = ?1";
                self.write(sql, &[any]).await;
            }
            9 => self.write("UPDATE replies SET text = '' WHERE turn_id = ?1", &[any]).await,
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_is_remembered_is_what_the_database_says_whoever_changed_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    let store = Store::open(&path).await.unwrap();
    let small = Store::open(&path).await.unwrap();
    let mut other = Other::new(&path).await;
    let mut lot = StdRng::seed_from_u64(20_261_122);
    for _ in 0..250 {
        other.act(&mut lot).await;
        let conversation = lot.random_range(1..=CONVERSATIONS);
        let remembered = store.history(conversation, ALL_TOKENS).await.unwrap();
        let part = small.history(conversation, FEW_TOKENS).await.unwrap();
        // It has never looked before, so it remembers nothing.
        let fresh = Store::open(&path).await.unwrap();
        let read = fresh.history(conversation, ALL_TOKENS).await.unwrap();
        assert_eq!(remembered, read);
        assert!(read.turns().ends_with(part.turns()), "{part:?} is the newest part of {read:?}");
        assert!(part.turns().len() == read.turns().len() || part.tokens() >= FEW_TOKENS);
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_long_conversation_is_remembered_only_as_far_as_prompts_reach() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    let store = Store::open(&path).await.unwrap();
    let mut other = Other::new(&path).await;
    let mut most = 0;
    for turn in 1..=200 {
        other.ask(1).await;
        other
            .write("UPDATE turns SET state = 'done', ended_unix_ms = 1 WHERE id = ?1", &[turn])
            .await;
        let history: Arc<History> = store.history(1, FEW_TOKENS).await.unwrap();
        assert_eq!(history.turns().last().map(|turn| turn.id.0), Some(turn.cast_unsigned()));
        assert!(
            history.tokens() >= FEW_TOKENS || i64::try_from(history.turns().len()).unwrap() == turn
        );
        most = most.max(history.turns().len());
    }
    assert!(most < 80, "{most} turns are kept");
}

#[tokio::test]
async fn what_was_let_go_is_not_read_again_when_a_prompt_reaches_a_little_further() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    let store = Store::open(&path).await.unwrap();
    let mut other = Other::new(&path).await;
    let mut oldest = 0;
    for turn in 1..=200 {
        other.ask(1).await;
        other
            .write("UPDATE turns SET state = 'done', ended_unix_ms = 1 WHERE id = ?1", &[turn])
            .await;
        // In tokens as we count them; every answer shows a little more of the model's tokenizer.
        let reach = if turn % 2 == 0 { 300 } else { 330 };
        let history = store.history(1, reach).await.unwrap();
        assert!(history.tokens() >= reach || history.turns().len() as u64 == turn.cast_unsigned());
        let first = history.turns()[0].id.0;
        assert!(first >= oldest, "turn {first} is read again after turn {turn}");
        oldest = first;
    }
    assert!(oldest > 100, "a long conversation is let go of: {oldest}");
}

/// A turn whose answer is so many bytes long.
async fn long_turn(other: &mut Other, conversation: i64, bytes: i64) {
    other.ask(conversation).await;
    let turn = other.next - 1;
    other
        .write("UPDATE replies SET text = hex(zeroblob(?2 / 2)) WHERE turn_id = ?1", &[turn, bytes])
        .await;
    let end = "UPDATE turns SET state = 'done', ended_unix_ms = 1 WHERE id = ?1";
    other.write(end, &[turn]).await;
}

#[tokio::test]
async fn of_more_than_four_megabytes_what_was_used_longest_ago_is_forgotten() {
    const MEGABYTE: i64 = 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    let store = Store::open(&path).await.unwrap();
    let mut other = Other::new(&path).await;
    for conversation in 1..=CONVERSATIONS {
        long_turn(&mut other, conversation, 3 * MEGABYTE / 2).await;
    }
    // What is remembered is lent out, so the same past stands in the same place in memory.
    let mut told = Vec::new();
    for conversation in [1, 2, 1, 3] {
        told.push(store.history(conversation, ALL_TOKENS).await.unwrap());
    }
    assert!(Arc::ptr_eq(&told[0], &told[2]), "two find room");
    let first = store.history(1, ALL_TOKENS).await.unwrap();
    assert!(Arc::ptr_eq(&first, &told[0]), "the first was used after the second");
    let third = store.history(3, ALL_TOKENS).await.unwrap();
    assert!(Arc::ptr_eq(&third, &told[3]), "the third was used last");
    let second = store.history(2, ALL_TOKENS).await.unwrap();
    assert!(!Arc::ptr_eq(&second, &told[1]), "there is no room for three");
    assert_eq!(second, told[1]);
    // One that finds no room by itself takes none from the others.
    long_turn(&mut other, 2, 5 * MEGABYTE).await;
    let large = store.history(2, ALL_TOKENS).await.unwrap();
    assert!(large.turns()[1].reply.as_ref().is_some_and(|text| text.len() > 4 << 20));
    let again = store.history(2, ALL_TOKENS).await.unwrap();
    assert!(!Arc::ptr_eq(&again, &large) && again == large);
    let third = store.history(3, ALL_TOKENS).await.unwrap();
    assert!(Arc::ptr_eq(&third, &told[3]), "it is remembered beside it");
}

#[tokio::test]
async fn an_answer_that_is_made_anew_takes_the_place_of_the_one_that_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversation.db");
    let store = Store::open(&path).await.unwrap();
    let mut other = Other::new(&path).await;
    for turn in 1..=2 {
        other.ask(1).await;
        let end = "UPDATE turns SET state = 'done', ended_unix_ms = 1 WHERE id = ?1";
        other.write(end, &[turn]).await;
    }
    let replies = async || {
        let history = store.history(1, ALL_TOKENS).await.unwrap();
        history.turns().iter().map(|turn| turn.reply.clone()).collect::<Vec<_>>()
    };
    let [first, second] = ["an answer to 1", "an answer to 2"].map(|text| Some(text.to_owned()));
    assert_eq!(replies().await, [first.clone(), second]);
    // The newest turn, behind which nothing has ended: nothing but its generation changes first.
    let anew = "UPDATE turns SET generation = 1 WHERE id = ?1";
    other.write(anew, &[2]).await;
    assert_eq!(replies().await, [first.clone(), None]);
    let answer = "INSERT INTO replies SELECT ?1, 1, 'a better answer', 1, 0";
    other.write(answer, &[2]).await;
    let end = "UPDATE turns SET ended_unix_ms = 2 WHERE id = ?1";
    other.write(end, &[2]).await;
    assert_eq!(replies().await, [first, Some("a better answer".to_owned())]);
}
