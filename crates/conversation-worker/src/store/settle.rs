//! The steps of an answer: its first text, its end, or that it is given up.

use contracts::command::{Action, Place};
use contracts::id::MessageId;
use sqlx::SqliteConnection;

use super::erase;
use super::ledger::{self, Settlement};
use super::outbox;
use super::{OutboxRow, Step, StoreError, id};
use crate::turn::{Ending, TurnRef};

/// The first text of an answer: from now on there is a reply in Discord.
#[derive(Debug, Clone)]
pub struct FirstText {
    /// The turn.
    pub turn: TurnRef,
    /// Where the answer goes.
    pub place: Place,
    /// The text so far.
    pub text: String,
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
}

/// The end of an answer: text, books and commands together.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The turn.
    pub turn: TurnRef,
    /// Where the answer goes.
    pub place: Place,
    /// How the last attempt ended; none where there was none in this run.
    pub settlement: Option<Settlement>,
    /// How the answer turned out.
    pub ending: Ending,
    /// The answer, marked where it is not whole; empty = none.
    pub text: String,
    /// What is said beside it.
    pub notice: Option<String>,
    /// Why it was not simply answered.
    pub reason: Option<String>,
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
}

/// A turn that is given up without a word.
#[derive(Debug, Clone)]
pub struct Abandon {
    /// The turn.
    pub turn: TurnRef,
    /// Whether that is because nobody wants the answer any more, rather than for a failure.
    pub cancelled: bool,
    /// Why.
    pub reason: String,
    /// How the last attempt ended.
    pub settlement: Option<Settlement>,
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
}

impl Step for FirstText {
    type Output = Vec<OutboxRow>;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Vec<OutboxRow>, StoreError> {
        let held = sqlx::query(
            "UPDATE turns SET state = 'streaming' WHERE id = ? AND epoch = ? \
             AND state IN ('prompting', 'streaming')",
        )
        .bind(id(self.turn.id.0))
        .bind(self.turn.epoch)
        .execute(&mut *connection)
        .await?;
        fence(held.rows_affected())?;
        let action = Action::OpenReply { text: self.text };
        let row =
            outbox::command(connection, &self.turn, &self.place, action, self.now_unix_ms).await?;
        Ok(row.into_iter().collect())
    }
}

impl Step for Commit {
    type Output = Vec<OutboxRow>;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Vec<OutboxRow>, StoreError> {
        let held = sqlx::query(
            "UPDATE turns SET state = 'committed', ending = ?, reason = ? \
             WHERE id = ? AND epoch = ? AND state IN ('prompting', 'streaming')",
        )
        .bind(self.ending.word())
        .bind(&self.reason)
        .bind(id(self.turn.id.0))
        .bind(self.turn.epoch)
        .execute(&mut *connection)
        .await?;
        fence(held.rows_affected())?;
        let settlement = self.settlement.as_ref();
        let mut rows = ledger::close(connection, &self.turn, settlement, self.now_unix_ms).await?;
        if !self.text.is_empty() {
            rows.extend(self.reply(connection).await?);
        }
        if let Some(text) = self.notice.clone() {
            let action = Action::Notice { text };
            let now = self.now_unix_ms;
            rows.extend(outbox::command(connection, &self.turn, &self.place, action, now).await?);
        }
        release(connection, &self.turn).await?;
        Ok(rows)
    }
}

impl Commit {
    async fn reply(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Option<OutboxRow>, StoreError> {
        sqlx::query(
            "INSERT INTO replies (turn_id, generation, text, whole, created_unix_ms) \
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(id(self.turn.id.0))
        .bind(self.turn.generation)
        .bind(&self.text)
        .bind(self.ending == Ending::Answer)
        .bind(self.now_unix_ms)
        .execute(&mut *connection)
        .await?;
        let known: Vec<i64> = sqlx::query_scalar(
            "SELECT message_id FROM reply_parts WHERE turn_id = ? AND generation = ? \
             AND purpose = 'answer' ORDER BY part",
        )
        .bind(id(self.turn.id.0))
        .bind(self.turn.generation)
        .fetch_all(&mut *connection)
        .await?;
        let messages = known.into_iter().map(|part| MessageId(part.cast_unsigned())).collect();
        let action = Action::FinishReply { text: self.text.clone(), messages };
        outbox::command(connection, &self.turn, &self.place, action, self.now_unix_ms).await
    }
}

impl Step for Abandon {
    type Output = Vec<OutboxRow>;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Vec<OutboxRow>, StoreError> {
        let held = sqlx::query(
            "UPDATE turns SET state = ?, ending = 'none', reason = ?, ended_unix_ms = ? \
             WHERE id = ? AND epoch = ? AND state IN ('prompting', 'streaming')",
        )
        .bind(if self.cancelled { "cancelled" } else { "dead" })
        .bind(&self.reason)
        .bind(self.now_unix_ms)
        .bind(id(self.turn.id.0))
        .bind(self.turn.epoch)
        .execute(&mut *connection)
        .await?;
        fence(held.rows_affected())?;
        let settlement = self.settlement.as_ref();
        let rows = ledger::close(connection, &self.turn, settlement, self.now_unix_ms).await?;
        erase::answered_commands(connection, id(self.turn.id.0), self.now_unix_ms).await?;
        release(connection, &self.turn).await?;
        Ok(rows)
    }
}

fn fence(rows_affected: u64) -> Result<(), StoreError> {
    if rows_affected == 0 { Err(StoreError::Fenced) } else { Ok(()) }
}

/// The lane is free for any process again.
async fn release(connection: &mut SqliteConnection, turn: &TurnRef) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE lanes SET owner = NULL, lease_until_unix_ms = 0 \
         WHERE conversation_id = ? AND epoch = ?",
    )
    .bind(turn.conversation)
    .bind(turn.epoch)
    .execute(connection)
    .await?;
    Ok(())
}
