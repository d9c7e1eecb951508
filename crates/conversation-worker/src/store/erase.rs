//! What is to be forgotten: texts here at once, their copies on the bus until it has done so.

use contracts::stream;
use sqlx::SqliteConnection;

use super::{Step, Store, StoreError};

/// Something to remove from the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The stream.
    pub stream: String,
    /// The sequence in it.
    pub sequence: u64,
}

/// What was removed from the bus.
#[derive(Debug, Clone)]
pub struct Erased(pub Vec<Erasure>);

impl Store {
    /// What is still to be removed from the bus, `max` at most.
    pub async fn erasures(&self, max: u32) -> Result<Vec<Erasure>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT stream, stream_sequence FROM erasures ORDER BY asked_unix_ms LIMIT ?",
        )
        .bind(max)
        .fetch_all(self.readers())
        .await?;
        let erasure = |(stream, sequence): (String, i64)| Erasure {
            stream,
            sequence: sequence.cast_unsigned(),
        };
        Ok(rows.into_iter().map(erasure).collect())
    }
}

impl Step for Erased {
    type Output = ();

    const HURRIES: bool = false;

    async fn run(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        for Erasure { stream, sequence } in self.0 {
            sqlx::query("DELETE FROM erasures WHERE stream = ? AND stream_sequence = ?")
                .bind(stream)
                .bind(sequence.cast_signed())
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// The event with this sequence is to be removed.
pub(super) async fn event(
    connection: &mut SqliteConnection,
    sequence: i64,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO erasures VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(stream::DISCORD_EVENTS.name)
        .bind(sequence)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets what a message says, and what others quote of it. Gives the turn that was to answer it
/// and the turn's conversation.
pub(super) async fn message(
    connection: &mut SqliteConnection,
    message: i64,
    state: &'static str,
    now: i64,
) -> Result<Option<(i64, i64)>, StoreError> {
    let events = stream::DISCORD_EVENTS.name;
    sqlx::query(
        "INSERT INTO erasures SELECT ?1, stream_sequence, ?3 FROM copies WHERE message_id = ?2 \
         UNION SELECT ?1, stream_sequence, ?3 FROM inbox WHERE id = ?2 OR reference_id = ?2 \
         ON CONFLICT DO NOTHING",
    )
    .bind(events)
    .bind(message)
    .bind(now)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM copies WHERE message_id = ?")
        .bind(message)
        .execute(&mut *connection)
        .await?;
    quotations(connection, message).await?;
    let row: Option<(Option<i64>, i64)> = sqlx::query_as(
        "UPDATE inbox SET content = '', attachments = '', forwarded = '', reference_content = '', \
         reference_name = '', state = ? WHERE id = ? AND state <> 'deleted' \
         RETURNING turn_id, conversation_id",
    )
    .bind(state)
    .bind(message)
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|(turn, conversation)| Some((turn?, conversation))))
}

/// Forgets what others quote of a message.
pub(super) async fn quotations(
    connection: &mut SqliteConnection,
    message: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE inbox SET reference_content = '', reference_name = '' WHERE reference_id = ?",
    )
    .bind(message)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what we said in a turn, because a message of that reply was deleted. Which of the
/// reply's parts said what is not kept, so the whole text goes.
pub(super) async fn reply(
    connection: &mut SqliteConnection,
    turn: i64,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE replies SET text = '' WHERE turn_id = ? AND EXISTS \
         (SELECT 1 FROM turns WHERE id = turn_id AND ended_unix_ms IS NOT NULL)",
    )
    .bind(turn)
    .execute(&mut *connection)
    .await?;
    answered_commands(connection, turn, now).await
}

/// Removes the text that a turn's answered commands hold, on the bus and here. Those still under way
/// are needed, and so is what a turn that has not ended would go on with.
pub(super) async fn answered_commands(
    connection: &mut SqliteConnection,
    turn: i64,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO erasures SELECT ?, stream_sequence, ? FROM outbox WHERE turn_id = ? \
         AND stream_sequence IS NOT NULL AND result IS NOT NULL ON CONFLICT DO NOTHING",
    )
    .bind(stream::DISCORD_COMMANDS.name)
    .bind(now)
    .bind(turn)
    .execute(&mut *connection)
    .await?;
    // A thread is named after its question.
    let ended = sqlx::query(
        "UPDATE turns SET thread_name = NULL WHERE id = ? AND ended_unix_ms IS NOT NULL",
    )
    .bind(turn)
    .execute(&mut *connection)
    .await?;
    if ended.rows_affected() > 0 {
        sqlx::query("UPDATE outbox SET payload = NULL WHERE turn_id = ? AND result IS NOT NULL")
            .bind(turn)
            .execute(connection)
            .await?;
    }
    Ok(())
}
