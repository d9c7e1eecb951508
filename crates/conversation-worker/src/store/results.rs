//! Records what Discord answered: message ids, or why a command came to nothing.

use std::sync::Arc;

use contracts::command::{CommandResult, FailureClass, Outcome};
use contracts::id::{ChannelId, CommandId, MessageId, Purpose, TurnId};
use sqlx::SqliteConnection;

use super::erase;
use super::script::{At, Script};
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
    let mut script = Script::default();
    if let Outcome::Done { channel_id, messages } = &result.outcome {
        parts(&mut script, result.command, *channel_id, messages);
    }
    // A result that comes again changes nothing.
    script
        .add(
            "UPDATE outbox SET result = ? WHERE id = ? AND result IS NULL \
             RETURNING conversation_id, turn_id",
        )
        .bind(word)
        .bind(result.command.to_string());
    let row = script.at();
    let aftermath = stand(&mut script, result.command.turn);
    let answers = script.run(connection).await?;
    let row: Option<(i64, i64)> = answers[row].first()?;
    let Some((conversation, turn)) = row else { return Ok(()) };
    if let Outcome::Failed { class, .. } = &result.outcome
        && result.command.purpose == Purpose::Open
    {
        recorded.unwanted.push((conversation, result.command.turn, *class));
    }
    let Some(aftermath) = answers[aftermath].first::<Aftermath>()? else { return Ok(()) };
    if let Some(ending) = &aftermath.ending {
        let state = end(connection, turn, (ending, aftermath.failure.as_deref()), now).await?;
        recorded.ended.push(Ended { conversation, turn: result.command.turn, state });
    }
    if !aftermath.is_wanted {
        erase::answered_commands(connection, turn, now).await?;
    }
    Ok(())
}

/// Keeps the messages that a command has made, as long as nobody has told us of them before.
fn parts(script: &mut Script, command: CommandId, channel: ChannelId, messages: &[MessageId]) {
    let purpose = match command.purpose {
        Purpose::Open | Purpose::Finish => "answer",
        Purpose::Notice => "notice",
        Purpose::Thread | Purpose::React => return,
    };
    for (part, message) in (0_i64..).zip(messages) {
        script
            .add(
                "INSERT INTO reply_parts (message_id, turn_id, conversation_id, generation, \
                 purpose, part, channel_id) SELECT ?, ?, conversation_id, ?, ?, ?, ? FROM outbox \
                 WHERE id = ? AND result IS NULL ON CONFLICT (message_id) DO NOTHING",
            )
            .bind(id(message.0))
            .bind(id(command.turn.0))
            .bind(command.generation)
            .bind(purpose)
            .bind(part)
            .bind(id(channel.0))
            .bind(command.to_string());
    }
}

/// What becomes of a turn once a result is recorded.
#[derive(sqlx::FromRow)]
struct Aftermath {
    /// How it ends now, where everything that it said last was answered.
    ending: Option<String>,
    /// Why something of that came to nothing.
    failure: Option<String>,
    /// Whether something is left of what it answers.
    is_wanted: bool,
}

fn stand(script: &mut Script, turn: TurnId) -> At {
    script
        .add(
            "SELECT iif(state IN ('committed', 'sending') AND NOT EXISTS (SELECT 1 FROM outbox \
             WHERE turn_id = turns.id AND purpose IN ('finish', 'notice') AND result IS NULL), \
             ending, NULL) AS ending, \
             (SELECT result FROM outbox WHERE turn_id = turns.id \
             AND purpose IN ('finish', 'notice') AND result <> 'done' ORDER BY sequence LIMIT 1) \
             AS failure, \
             EXISTS (SELECT 1 FROM inbox WHERE turn_id = turns.id AND inbox.state = 'live') \
             AS is_wanted FROM turns WHERE id = ?",
        )
        .bind(id(turn.0));
    script.at()
}

/// Ends the turn.
async fn end(
    connection: &mut SqliteConnection,
    turn: i64,
    (ending, failure): (&str, Option<&str>),
    now: i64,
) -> Result<&'static str, StoreError> {
    let state = match failure {
        Some("gone") => "cancelled",
        None if ending == "answer" => "done",
        _ => "dead",
    };
    let mut script = Script::default();
    script
        .add(
            "UPDATE turns SET state = ?, reason = coalesce(?, reason), ended_unix_ms = ? \
             WHERE id = ?",
        )
        .bind(state)
        .bind(failure.map(str::to_owned))
        .bind(now)
        .bind(turn);
    // The text stands in the replies; the commands are not needed any more.
    script
        .add("UPDATE outbox SET payload = NULL WHERE turn_id = ? AND purpose <> 'usage'")
        .bind(turn);
    script.run(connection).await?;
    Ok(state)
}

const fn class_word(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Gone => "gone",
        FailureClass::Forbidden => "forbidden",
        FailureClass::Invalid => "invalid",
    }
}
