//! The steps of an answer: its first text, its end, or that it is given up.

use contracts::command::{Action, Place};
use contracts::id::MessageId;
use sqlx::SqliteConnection;

use super::erase;
use super::ledger::{self, Settlement};
use super::outbox::{self, Written};
use super::script::Script;
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
        let mut script = Script::default();
        script
            .add(
                "UPDATE turns SET state = 'streaming' WHERE id = ? AND epoch = ? \
                 AND state IN ('prompting', 'streaming')",
            )
            .bind(id(self.turn.id.0))
            .bind(self.turn.epoch);
        let held = script.at();
        let action = Action::OpenReply { text: self.text };
        let row = outbox::command(&mut script, &self.turn, &self.place, action, self.now_unix_ms);
        let answers = script.run(connection).await?;
        // What stands behind the fence was written already: an error takes it back.
        fence(answers[held].changed)?;
        Ok(row.row(&answers)?.into_iter().collect())
    }
}

impl Step for Commit {
    type Output = Vec<OutboxRow>;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Vec<OutboxRow>, StoreError> {
        let mut look = Script::default();
        look.add(
            "UPDATE turns SET state = 'committed', ending = ?, reason = ? \
             WHERE id = ? AND epoch = ? AND state IN ('prompting', 'streaming')",
        )
        .bind(self.ending.word())
        .bind(self.reason.clone())
        .bind(id(self.turn.id.0))
        .bind(self.turn.epoch);
        let held = look.at();
        let open = ledger::find_open(&mut look, &self.turn);
        look.add(
            "SELECT message_id FROM reply_parts WHERE turn_id = ? AND generation = ? \
             AND purpose = 'answer' ORDER BY part",
        )
        .bind(id(self.turn.id.0))
        .bind(self.turn.generation);
        let parts = look.at();
        let found = look.run(connection).await?;
        fence(found[held].changed)?;

        let now = self.now_unix_ms;
        let mut script = Script::default();
        let books = (found[open].all()?, self.settlement.as_ref());
        let mut written = ledger::close(&mut script, &self.turn, books, now);
        if !self.text.is_empty() {
            let known: Vec<(i64,)> = found[parts].all()?;
            let known = known.into_iter().map(|(part,)| MessageId(part.cast_unsigned()));
            written.push(self.reply(&mut script, known.collect()));
        }
        if let Some(text) = self.notice.clone() {
            let action = Action::Notice { text };
            written.push(outbox::command(&mut script, &self.turn, &self.place, action, now));
        }
        release(&mut script, &self.turn);
        outbox::rows(written, &script.run(connection).await?)
    }
}

impl Commit {
    /// The answer itself, and the command that shows it.
    fn reply(&self, script: &mut Script, messages: Vec<MessageId>) -> Written {
        script
            .add(
                "INSERT INTO replies (turn_id, generation, text, whole, created_unix_ms) \
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(id(self.turn.id.0))
            .bind(self.turn.generation)
            .bind(self.text.clone())
            .bind(self.ending == Ending::Answer)
            .bind(self.now_unix_ms);
        let action = Action::FinishReply { text: self.text.clone(), messages };
        outbox::command(script, &self.turn, &self.place, action, self.now_unix_ms)
    }
}

impl Step for Abandon {
    type Output = Vec<OutboxRow>;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Vec<OutboxRow>, StoreError> {
        let mut look = Script::default();
        look.add(
            "UPDATE turns SET state = ?, ending = 'none', reason = ?, ended_unix_ms = ? \
             WHERE id = ? AND epoch = ? AND state IN ('prompting', 'streaming')",
        )
        .bind(if self.cancelled { "cancelled" } else { "dead" })
        .bind(self.reason.clone())
        .bind(self.now_unix_ms)
        .bind(id(self.turn.id.0))
        .bind(self.turn.epoch);
        let held = look.at();
        let open = ledger::find_open(&mut look, &self.turn);
        let found = look.run(connection).await?;
        fence(found[held].changed)?;
        let mut script = Script::default();
        let books = (found[open].all()?, self.settlement.as_ref());
        let written = ledger::close(&mut script, &self.turn, books, self.now_unix_ms);
        release(&mut script, &self.turn);
        let rows = outbox::rows(written, &script.run(connection).await?)?;
        erase::answered_commands(connection, id(self.turn.id.0), self.now_unix_ms).await?;
        Ok(rows)
    }
}

fn fence(rows_changed: u64) -> Result<(), StoreError> {
    if rows_changed == 0 { Err(StoreError::Fenced) } else { Ok(()) }
}

/// The lane is free for any process again.
fn release(script: &mut Script, turn: &TurnRef) {
    script
        .add(
            "UPDATE lanes SET owner = NULL, lease_until_unix_ms = 0 \
             WHERE conversation_id = ? AND epoch = ?",
        )
        .bind(turn.conversation)
        .bind(turn.epoch);
}
