//! Records what Discord answered: message ids, or why a command came to nothing.

use std::sync::Arc;

use contracts::command::{CommandResult, FailureClass, Outcome};
use contracts::id::{ChannelId, CommandId, MessageId, Purpose, TurnId};
use sqlx::SqliteConnection;

use super::erase;
use super::{Step, StoreError, id};

/// Records a batch of results.
#[derive(Debug, Clone)]
pub struct RecordResults {
    /// The results, in the order in which they came.
    pub results: Arc<[CommandResult]>,
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
}

/// What a batch of results has set in motion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Turns that have ended: their lanes may go on.
    pub ended: Vec<Ended>,
    /// Turns whose reply cannot be opened, by conversation: asking on is a waste.
    pub unwanted: Vec<(i64, TurnId, FailureClass)>,
}

/// A turn that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its conversation.
    pub conversation: i64,
    /// The turn.
    pub turn: TurnId,
    /// The state in which it has ended.
    pub state: &'static str,
}

impl Step for RecordResults {
    type Output = Recorded;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Recorded, StoreError> {
        let mut recorded = Recorded::default();
        for result in self.results.iter() {
            record(connection, result, self.now_unix_ms, &mut recorded).await?;
        }
        Ok(recorded)
    }
}

async fn record(
    connection: &mut SqliteConnection,
    result: &CommandResult,
    now: i64,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let word = match &result.outcome {
        Outcome::Done { .. } => "done",
        Outcome::Failed { class, .. } => class_word(*class),
    };
    // A result that comes again changes nothing.
    let row: Option<(i64, i64)> = sqlx::query_as(
        "UPDATE outbox SET result = ? WHERE id = ? AND result IS NULL \
         RETURNING conversation_id, turn_id",
    )
    .bind(word)
    .bind(result.command.to_string())
    .fetch_optional(&mut *connection)
    .await?;
    let Some((conversation, turn)) = row else { return Ok(()) };
    match &result.outcome {
        Outcome::Done { channel_id, messages } => {
            parts(connection, (conversation, result.command), *channel_id, messages).await?;
        }
        Outcome::Failed { class, .. } if result.command.purpose == Purpose::Open => {
            recorded.unwanted.push((conversation, result.command.turn, *class));
        }
        Outcome::Failed { .. } => {}
    }
    if let Some(state) = end(connection, turn, now).await? {
        recorded.ended.push(Ended { conversation, turn: result.command.turn, state });
    }
    let answerless: Option<i64> =
        sqlx::query_scalar("SELECT id FROM inbox WHERE turn_id = ? AND state = 'live' LIMIT 1")
            .bind(turn)
            .fetch_optional(&mut *connection)
            .await?;
    if answerless.is_none() {
        erase::answered_commands(connection, turn, now).await?;
    }
    Ok(())
}

async fn parts(
    connection: &mut SqliteConnection,
    (conversation, command): (i64, CommandId),
    channel: ChannelId,
    messages: &[MessageId],
) -> Result<(), StoreError> {
    let purpose = match command.purpose {
        Purpose::Open | Purpose::Finish => "answer",
        Purpose::Notice => "notice",
        Purpose::Thread | Purpose::React => return Ok(()),
    };
    for (part, message) in (0_i64..).zip(messages) {
        sqlx::query(
            "INSERT INTO reply_parts (message_id, turn_id, conversation_id, generation, purpose, \
             part, channel_id) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING",
        )
        .bind(id(message.0))
        .bind(id(command.turn.0))
        .bind(conversation)
        .bind(command.generation)
        .bind(purpose)
        .bind(part)
        .bind(id(channel.0))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Ends the turn once everything that it said last was answered.
async fn end(
    connection: &mut SqliteConnection,
    turn: i64,
    now: i64,
) -> Result<Option<&'static str>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as(
        "SELECT ending FROM turns WHERE id = ?1 AND state IN ('committed', 'sending') \
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE turn_id = ?1 \
         AND purpose IN ('finish', 'notice') AND result IS NULL)",
    )
    .bind(turn)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((ending,)) = row else { return Ok(None) };
    let failures: Vec<String> = sqlx::query_scalar(
        "SELECT result FROM outbox WHERE turn_id = ? AND purpose IN ('finish', 'notice') \
         AND result <> 'done'",
    )
    .bind(turn)
    .fetch_all(&mut *connection)
    .await?;
    let (state, reason) = match failures.first().map(String::as_str) {
        Some("gone") => ("cancelled", Some("gone")),
        Some(_) => ("dead", failures.first().map(String::as_str)),
        None if ending == "answer" => ("done", None),
        None => ("dead", None),
    };
    sqlx::query(
        "UPDATE turns SET state = ?, reason = coalesce(?, reason), ended_unix_ms = ? WHERE id = ?",
    )
    .bind(state)
    .bind(reason)
    .bind(now)
    .bind(turn)
    .execute(&mut *connection)
    .await?;
    // The text stands in the replies; the commands are not needed any more.
    sqlx::query("UPDATE outbox SET payload = NULL WHERE turn_id = ? AND purpose <> 'usage'")
        .bind(turn)
        .execute(connection)
        .await?;
    Ok(Some(state))
}

const fn class_word(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Gone => "gone",
        FailureClass::Forbidden => "forbidden",
        FailureClass::Invalid => "invalid",
    }
}
