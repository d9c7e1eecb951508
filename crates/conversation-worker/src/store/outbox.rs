//! What is to be published: rows written with the step that wants them, in the order of a lane.

use contracts::command::{Action, Command, Place};
use contracts::envelope;
use contracts::id::{CommandId, TurnId};
use contracts::stream;
use sqlx::SqliteConnection;

use super::script::{Answers, At, Script};
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

    const HURRIES: bool = false;

    async fn run(self, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        let (usage, commands): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(row, _)| row.is_usage());
        let mut script = Script::default();
        if !usage.is_empty() {
            // Nobody answers a record of use.
            script
                .add("DELETE FROM outbox WHERE sequence IN (SELECT value FROM json_each(?))")
                .bind(list(usage.iter().map(|(row, _)| row.sequence)));
        }
        if commands.is_empty() {
            script.run(connection).await?;
            return Ok(false);
        }
        let sequences = list(commands.iter().map(|(row, _)| row.sequence));
        let stored = list(commands.iter().map(|(_, stored)| stored.cast_signed()));
        script
            .add(
                "UPDATE outbox SET stream_sequence = stored.value FROM json_each(?) AS marked \
                 JOIN json_each(?) AS stored ON stored.key = marked.key \
                 WHERE sequence = marked.value",
            )
            .bind(sequences.clone())
            .bind(stored);
        script
            .add(
                "UPDATE turns SET state = 'sending' WHERE id IN (SELECT value FROM json_each(?)) \
                 AND state = 'committed' AND NOT EXISTS (SELECT 1 FROM outbox \
                 WHERE turn_id = turns.id AND purpose <> 'usage' AND stream_sequence IS NULL)",
            )
            .bind(list(commands.iter().map(|(row, _)| id(row.turn.0))));
        // The question may have been deleted while its command was on the way.
        script
            .add(
                "INSERT INTO erasures SELECT ?, stream_sequence, 0 FROM outbox \
                 WHERE sequence IN (SELECT value FROM json_each(?)) AND payload IS NULL \
                 AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.turn_id = outbox.turn_id \
                 AND state = 'live') ON CONFLICT DO NOTHING",
            )
            .bind(stream::DISCORD_COMMANDS.name)
            .bind(sequences);
        let deleted = script.at();
        let answers = script.run(connection).await?;
        Ok(answers[deleted].changed > 0)
    }
}

/// Numbers as SQLite takes a list of them: a JSON array.
pub(super) fn list(numbers: impl Iterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// Writes a command of a turn; nothing where the same command was written before.
pub(super) fn command(
    script: &mut Script,
    turn: &TurnRef,
    place: &Place,
    action: Action,
    now: i64,
) -> Written {
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
    insert(script, turn, row, now)
}

/// A row to be.
pub(super) struct New {
    pub(super) id: String,
    pub(super) purpose: &'static str,
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
}

/// A row that a script writes.
pub(super) struct Written {
    at: At,
    turn: TurnRef,
    row: New,
}

pub(super) fn insert(script: &mut Script, turn: &TurnRef, row: New, now: i64) -> Written {
    script
        .add(
            "INSERT INTO outbox (id, purpose, conversation_id, turn_id, subject, payload, \
             created_unix_ms) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING \
             RETURNING sequence",
        )
        .bind(row.id.clone())
        .bind(row.purpose)
        .bind(turn.conversation)
        .bind(id(turn.id.0))
        .bind(row.subject.clone())
        .bind(row.payload.clone())
        .bind(now);
    Written { at: script.at(), turn: *turn, row }
}

impl Written {
    /// The row, unless there was one of that name before.
    pub(super) fn row(self, answers: &Answers) -> Result<Option<OutboxRow>, StoreError> {
        let Self { at, turn, row } = self;
        let sequence: Option<(i64,)> = answers[at].first()?;
        Ok(sequence.map(|(sequence,)| OutboxRow {
            sequence,
            id: row.id,
            conversation: turn.conversation,
            turn: turn.id,
            subject: row.subject,
            payload: row.payload,
        }))
    }
}

/// The rows that a script has written.
pub(super) fn rows(
    written: impl IntoIterator<Item = Written>,
    answers: &Answers,
) -> Result<Vec<OutboxRow>, StoreError> {
    let mut rows = Vec::new();
    for row in written {
        rows.extend(row.row(answers)?);
    }
    Ok(rows)
}
