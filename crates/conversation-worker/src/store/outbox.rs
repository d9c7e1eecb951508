//! What is to be published: rows written with the step that wants them, in the order of a lane.

use contracts::command::{Action, Command, Place};
use contracts::envelope;
use contracts::id::{CommandId, TurnId};
use contracts::stream;
use sqlx::SqliteConnection;

use super::{Step, Store, StoreError, id};
use crate::turn::TurnRef;

/// A row that is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in the order.
    pub sequence: i64,
    /// The message id on the bus: the command's name, or the attempt's.
    pub id: String,
    /// The conversation in whose order it stands.
    pub conversation: i64,
    /// The turn it serves.
    pub turn: TurnId,
    /// The subject.
    pub subject: String,
    /// The body.
    pub payload: Vec<u8>,
}

impl OutboxRow {
    /// Whether it is a record of use rather than a command.
    pub fn is_usage(&self) -> bool {
        self.subject.starts_with("conversation.usage.")
    }
}

/// Rows that are in their streams now, each with its sequence there.
#[derive(Debug, Clone)]
pub struct MarkPublished(pub Vec<(OutboxRow, u64)>);

impl Store {
    /// Everything that was not published, or not answered yet.
    pub async fn outbox(&self) -> Result<Vec<OutboxRow>, StoreError> {
        let rows: Vec<(i64, String, i64, i64, String, Vec<u8>)> = sqlx::query_as(
            "SELECT sequence, id, conversation_id, turn_id, subject, payload FROM outbox \
             WHERE result IS NULL AND payload IS NOT NULL ORDER BY sequence",
        )
        .fetch_all(self.readers())
        .await?;
        Ok(rows
            .into_iter()
            .map(|(sequence, id, conversation, turn, subject, payload)| OutboxRow {
                sequence,
                id,
                conversation,
                turn: TurnId(turn.cast_unsigned()),
                subject,
                payload,
            })
            .collect())
    }
}

impl Step for MarkPublished {
    /// Whether some of it is to be removed again at once.
    type Output = bool;

    async fn run(self, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        let mut erasures = false;
        for (row, stored) in self.0 {
            if row.is_usage() {
                // Nobody answers a record of use.
                sqlx::query("DELETE FROM outbox WHERE sequence = ?")
                    .bind(row.sequence)
                    .execute(&mut *connection)
                    .await?;
                continue;
            }
            sqlx::query("UPDATE outbox SET stream_sequence = ? WHERE sequence = ?")
                .bind(stored.cast_signed())
                .bind(row.sequence)
                .execute(&mut *connection)
                .await?;
            sqlx::query(
                "UPDATE turns SET state = 'sending' WHERE id = ?1 AND state = 'committed' \
                 AND NOT EXISTS (SELECT 1 FROM outbox WHERE turn_id = ?1 AND purpose <> 'usage' \
                 AND stream_sequence IS NULL)",
            )
            .bind(id(row.turn.0))
            .execute(&mut *connection)
            .await?;
            // The question may have been deleted while its command was on the way.
            let deleted = sqlx::query(
                "INSERT INTO erasures SELECT ?, ?, 0 WHERE EXISTS (SELECT 1 FROM outbox \
                 WHERE sequence = ? AND payload IS NULL) AND NOT EXISTS (SELECT 1 FROM inbox \
                 WHERE turn_id = ? AND state = 'live') ON CONFLICT DO NOTHING",
            )
            .bind(stream::DISCORD_COMMANDS.name)
            .bind(stored.cast_signed())
            .bind(row.sequence)
            .bind(id(row.turn.0))
            .execute(&mut *connection)
            .await?;
            erasures |= deleted.rows_affected() > 0;
        }
        Ok(erasures)
    }
}

/// Writes a command of a turn. Gives none where the same command was written before.
pub(super) async fn command(
    connection: &mut SqliteConnection,
    turn: &TurnRef,
    place: &Place,
    action: Action,
    now: i64,
) -> Result<Option<OutboxRow>, StoreError> {
    let name = CommandId {
        turn: turn.id,
        generation: turn.generation,
        part: 0,
        purpose: action.purpose(),
    };
    let command = Command { id: name, place: place.clone(), action };
    let row = New {
        id: name.to_string(),
        purpose: name.purpose.word(),
        subject: command.subject(),
        payload: envelope::encode(&command),
    };
    insert(connection, turn, row, now).await
}

/// A row to be.
pub(super) struct New {
    pub(super) id: String,
    pub(super) purpose: &'static str,
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    turn: &TurnRef,
    row: New,
    now: i64,
) -> Result<Option<OutboxRow>, StoreError> {
    let sequence: Option<i64> = sqlx::query_scalar(
        "INSERT INTO outbox (id, purpose, conversation_id, turn_id, subject, payload, \
         created_unix_ms) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING \
         RETURNING sequence",
    )
    .bind(&row.id)
    .bind(row.purpose)
    .bind(turn.conversation)
    .bind(id(turn.id.0))
    .bind(&row.subject)
    .bind(&row.payload)
    .bind(now)
    .fetch_optional(connection)
    .await?;
    Ok(sequence.map(|sequence| OutboxRow {
        sequence,
        id: row.id,
        conversation: turn.conversation,
        turn: turn.id,
        subject: row.subject,
        payload: row.payload,
    }))
}
