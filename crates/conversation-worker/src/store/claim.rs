//! The claim: takes the lane's next turn, freezes what it answers, counts it and books the request.

use contracts::command::{Action, Place, ThreadPlan};
use contracts::id::{ChannelId, GuildId, MessageId, TurnId, UserId};
use sqlx::SqliteConnection;

use super::caps::{self, Caps, Verdict};
use super::ledger::{self, NextAttempt};
use super::outbox;
use super::{OutboxRow, Step, StoreError, id};
use crate::language::{self, Language};
use crate::texts;
use crate::thread_name;
use crate::turn::{Heard, Turn, TurnRef};

/// After so many requests for one turn, each ended by our own death, the turn itself is suspect.
const ATTEMPTS_MAX: u32 = 9;
/// What the frame of a message takes in a prompt, beside its text.
const TOKENS_PER_MESSAGE: u64 = 12;

/// Asks for a conversation's next turn.
#[derive(Debug, Clone)]
pub struct Claiming {
    /// The conversation.
    pub conversation: i64,
    /// Who asks.
    pub owner: String,
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
    /// Until when the claim holds, in milliseconds since the Unix epoch.
    pub lease_until_unix_ms: i64,
    /// Today, where the owner lives.
    pub day: String,
    /// How many turns a day there may be.
    pub caps: Caps,
    /// The request that will follow; its input tokens are those of the history alone.
    pub attempt: NextAttempt,
}

/// What came of a claim, with what is to be published now.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// What is to be done.
    pub claim: Claim,
    /// What is to be published.
    pub rows: Vec<OutboxRow>,
}

/// What is to be done about a lane.
#[derive(Debug, Clone)]
pub enum Claim {
    /// Nothing: no turn waits, or one is still on its way to Discord.
    Idle,
    /// Look again: the turn found has ended without an answer.
    Again,
    /// Answer this turn: the request is booked.
    Answer(Box<Turn>),
    /// Bring this turn's reply to its end with what there is: its question is gone, or it has
    /// brought us down too often.
    CutShort(Box<Turn>, &'static str),
}

#[derive(sqlx::FromRow)]
struct TurnRow {
    id: i64,
    state: String,
    generation: u32,
    user_id: i64,
    guild_id: Option<i64>,
    question_id: Option<i64>,
    channel_id: Option<i64>,
    thread_name: Option<String>,
    language: Option<String>,
    counted: bool,
    attempts: u32,
}

#[derive(sqlx::FromRow)]
pub(super) struct HeardRow {
    pub(super) id: i64,
    channel_id: i64,
    opens_thread: bool,
    author_id: i64,
    author_name: String,
    bot_id: Option<i64>,
    locale: Option<String>,
    content: String,
    attachments: String,
    forwarded: String,
    reference_id: Option<i64>,
    reference_author_id: Option<i64>,
    reference_name: String,
    reference_content: String,
    received_unix_ms: i64,
}

impl Step for Claiming {
    type Output = Claimed;

    const FOLLOWS: bool = true;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Claimed, StoreError> {
        let mut rows = Vec::new();
        let claim = self.claim(connection, &mut rows).await?;
        Ok(Claimed { claim, rows })
    }
}

impl Claiming {
    async fn claim(
        &self,
        connection: &mut SqliteConnection,
        rows: &mut Vec<OutboxRow>,
    ) -> Result<Claim, StoreError> {
        let Some(row) = self.head(connection).await? else { return Ok(Claim::Idle) };
        if matches!(row.state.as_str(), "committed" | "sending") {
            return Ok(Claim::Idle);
        }
        let Some(epoch) = self.take_lane(connection).await? else { return Ok(Claim::Idle) };
        let at = TurnRef {
            id: TurnId(row.id.cast_unsigned()),
            conversation: self.conversation,
            generation: row.generation,
            epoch,
        };
        rows.extend(ledger::close(connection, &at, None, self.now_unix_ms).await?);
        let (opened, refused) = opening(connection, &at).await?;
        if let Some(class) = refused {
            self.end(connection, &at, if class == "gone" { "cancelled" } else { "dead" }, &class)
                .await?;
            return Ok(Claim::Again);
        }
        let heard = self.freeze(connection, &row).await?;
        let place = self.place(connection, &row, &heard).await?;
        let Some((place, language)) = place else {
            self.end(connection, &at, "cancelled", "question deleted").await?;
            return Ok(Claim::Again);
        };
        let mut turn = assemble(at, &row, place, language);
        turn.opened_with = opened;
        turn.received_unix_ms = heard.first().map_or(0, |row| row.received_unix_ms).cast_unsigned();
        turn.messages = heard.into_iter().map(Heard::from).collect();
        self.begin(connection, &row, turn, rows).await
    }

    /// The turn at the head of the lane: one that was begun, else the oldest that waits.
    async fn head(&self, connection: &mut SqliteConnection) -> Result<Option<TurnRow>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT id, state, generation, user_id, guild_id, question_id, channel_id, \
             thread_name, language, counted, attempts FROM turns \
             WHERE conversation_id = ? AND ended_unix_ms IS NULL \
             ORDER BY state = 'queued', id LIMIT 1",
        )
        .bind(self.conversation)
        .fetch_optional(connection)
        .await?)
    }

    /// Takes the lane under a new epoch, unless another process holds it.
    async fn take_lane(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "UPDATE lanes SET owner = ?2, epoch = epoch + 1, lease_until_unix_ms = ?3 \
             WHERE conversation_id = ?1 \
             AND (owner IS NULL OR owner = ?2 OR lease_until_unix_ms <= ?4) RETURNING epoch",
        )
        .bind(self.conversation)
        .bind(&self.owner)
        .bind(self.lease_until_unix_ms)
        .bind(self.now_unix_ms)
        .fetch_optional(connection)
        .await?)
    }

    /// What the turn answers: what waits for it, from now on fixed; deleted messages left out.
    async fn freeze(
        &self,
        connection: &mut SqliteConnection,
        row: &TurnRow,
    ) -> Result<Vec<HeardRow>, StoreError> {
        if row.state == "queued" {
            sqlx::query(
                "INSERT INTO turn_messages (turn_id, position, message_id) \
                 SELECT turn_id, row_number() OVER (ORDER BY id) - 1, id FROM inbox \
                 WHERE turn_id = ? AND state = 'live' ON CONFLICT DO NOTHING",
            )
            .bind(row.id)
            .execute(&mut *connection)
            .await?;
        }
        Ok(sqlx::query_as(
            "SELECT inbox.id, channel_id, opens_thread, author_id, author_name, bot_id, locale, \
             content, attachments, forwarded, reference_id, reference_author_id, reference_name, \
             reference_content, received_unix_ms FROM turn_messages \
             JOIN inbox ON inbox.id = message_id \
             WHERE turn_messages.turn_id = ? AND state = 'live' ORDER BY position",
        )
        .bind(row.id)
        .fetch_all(connection)
        .await?)
    }

    /// Where and in which language the turn is answered; once found it stays. None where there is
    /// nothing left to answer and nothing was said yet.
    async fn place(
        &self,
        connection: &mut SqliteConnection,
        row: &TurnRow,
        heard: &[HeardRow],
    ) -> Result<Option<(Place, Language)>, StoreError> {
        let guild_id = row.guild_id.map(|guild| GuildId(guild.cast_unsigned()));
        if let (Some(question), Some(channel)) = (row.question_id, row.channel_id) {
            let place = Place {
                guild_id,
                channel_id: ChannelId(channel.cast_unsigned()),
                question: MessageId(question.cast_unsigned()),
                thread: row.thread_name.clone().map(|name| ThreadPlan { name }),
            };
            let language = row.language.as_deref().map_or(Language::Japanese, Language::named);
            return Ok(Some((place, language)));
        }
        let Some(first) = heard.first() else { return Ok(None) };
        let texts = heard.iter().map(|row| row.content.as_str());
        let language = language::choose(first.locale.as_deref(), texts);
        let thread = first.opens_thread.then(|| ThreadPlan {
            name: thread_name::from_question(&first.content, &first.author_name, language),
        });
        sqlx::query(
            "UPDATE turns SET question_id = ?, channel_id = ?, thread_name = ?, language = ?, \
             newest_id = ? WHERE id = ?",
        )
        .bind(first.id)
        .bind(first.channel_id)
        .bind(thread.as_ref().map(|plan| plan.name.as_str()))
        .bind(language.word())
        .bind(heard.last().map(|row| row.id))
        .bind(row.id)
        .execute(connection)
        .await?;
        let place = Place {
            guild_id,
            channel_id: ChannelId(first.channel_id.cast_unsigned()),
            question: MessageId(first.id.cast_unsigned()),
            thread,
        };
        Ok(Some((place, language)))
    }

    /// Counts the turn, opens its thread and books its request; or ends it.
    async fn begin(
        &self,
        connection: &mut SqliteConnection,
        row: &TurnRow,
        mut turn: Turn,
        rows: &mut Vec<OutboxRow>,
    ) -> Result<Claim, StoreError> {
        let at = turn.at;
        if turn.messages.is_empty() && turn.opened_with.is_none() {
            self.end(connection, &at, "cancelled", "question deleted").await?;
            return Ok(Claim::Again);
        }
        if !row.counted {
            let verdict =
                caps::count(connection, &self.day, (turn.user, turn.guild), self.caps).await?;
            if let Verdict::Reached { reason, tell } = verdict {
                return self.refuse(connection, &turn, (reason, tell), rows).await;
            }
        }
        self.mark_begun(connection, &turn).await?;
        if turn.messages.is_empty() {
            return Ok(Claim::CutShort(Box::new(turn), "question deleted"));
        }
        if row.attempts >= ATTEMPTS_MAX {
            return Ok(Claim::CutShort(Box::new(turn), "too many interrupted attempts"));
        }
        if turn.place.thread.is_some() {
            let open = Action::OpenThread;
            let written = outbox::command(connection, &at, &turn.place, open, self.now_unix_ms);
            rows.extend(written.await?);
        }
        turn.attempt = row.attempts + 1;
        let asked: u64 = turn
            .messages
            .iter()
            .map(|heard| TOKENS_PER_MESSAGE + llm::estimate::text_tokens(&heard.content))
            .sum();
        let mut attempt = self.attempt.clone();
        attempt.input_tokens = attempt.input_tokens.saturating_add(asked);
        ledger::open(connection, &at, turn.attempt, &attempt, self.now_unix_ms).await?;
        sqlx::query("UPDATE turns SET attempts = ? WHERE id = ?")
            .bind(turn.attempt)
            .bind(row.id)
            .execute(connection)
            .await?;
        Ok(Claim::Answer(Box::new(turn)))
    }

    async fn mark_begun(
        &self,
        connection: &mut SqliteConnection,
        turn: &Turn,
    ) -> Result<(), StoreError> {
        let state = if turn.opened_with.is_some() { "streaming" } else { "prompting" };
        sqlx::query(
            "UPDATE turns SET state = ?, owner = ?, epoch = ?, counted = 1, \
             claimed_unix_ms = coalesce(claimed_unix_ms, ?) WHERE id = ?",
        )
        .bind(state)
        .bind(&self.owner)
        .bind(turn.at.epoch)
        .bind(self.now_unix_ms)
        .bind(id(turn.at.id.0))
        .execute(connection)
        .await?;
        Ok(())
    }

    /// No place left today: says so once a day, and is silent after that.
    async fn refuse(
        &self,
        connection: &mut SqliteConnection,
        turn: &Turn,
        (reason, tell): (&'static str, bool),
        rows: &mut Vec<OutboxRow>,
    ) -> Result<Claim, StoreError> {
        let at = turn.at;
        if !tell {
            self.end(connection, &at, "dead", reason).await?;
            return Ok(Claim::Again);
        }
        // What is said about a limit needs no thread of its own.
        let place = Place { thread: None, ..turn.place.clone() };
        let text = texts::notice(texts::Trouble::CapReached, turn.language).to_owned();
        let action = Action::Notice { text };
        rows.extend(outbox::command(connection, &at, &place, action, self.now_unix_ms).await?);
        sqlx::query(
            "UPDATE turns SET state = 'committed', ending = 'notice', reason = ?, epoch = ?, \
             claimed_unix_ms = ? WHERE id = ?",
        )
        .bind(reason)
        .bind(at.epoch)
        .bind(self.now_unix_ms)
        .bind(id(at.id.0))
        .execute(connection)
        .await?;
        Ok(Claim::Idle)
    }

    async fn end(
        &self,
        connection: &mut SqliteConnection,
        at: &TurnRef,
        state: &'static str,
        reason: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE turns SET state = ?, epoch = ?, ending = 'none', reason = ?, \
             ended_unix_ms = ? WHERE id = ?",
        )
        .bind(state)
        .bind(at.epoch)
        .bind(reason)
        .bind(self.now_unix_ms)
        .bind(id(at.id.0))
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// What the reply was opened with, and the class of Discord's refusal if it refused.
async fn opening(
    connection: &mut SqliteConnection,
    at: &TurnRef,
) -> Result<(Option<String>, Option<String>), StoreError> {
    let row: Option<(Option<Vec<u8>>, Option<String>)> =
        sqlx::query_as("SELECT payload, result FROM outbox WHERE id = ?")
            .bind(at.opening().to_string())
            .fetch_optional(connection)
            .await?;
    let Some((payload, result)) = row else { return Ok((None, None)) };
    let command = payload
        .and_then(|bytes| contracts::envelope::decode::<contracts::command::Command>(&bytes).ok());
    let text = match command.map(|command| command.action) {
        Some(Action::OpenReply { text }) => text,
        _ => String::new(),
    };
    Ok((Some(text), result.filter(|result| result != "done")))
}

fn assemble(at: TurnRef, row: &TurnRow, place: Place, language: Language) -> Turn {
    Turn {
        at,
        user: UserId(row.user_id.cast_unsigned()),
        guild: row.guild_id.map(|guild| GuildId(guild.cast_unsigned())),
        place,
        language,
        messages: Vec::new(),
        attempt: 0,
        opened_with: None,
        received_unix_ms: 0,
    }
}

impl From<HeardRow> for Heard {
    fn from(row: HeardRow) -> Self {
        Self {
            id: MessageId(row.id.cast_unsigned()),
            author: UserId(row.author_id.cast_unsigned()),
            author_name: row.author_name,
            bot: row.bot_id.map(|bot| UserId(bot.cast_unsigned())),
            content: row.content,
            attachments: row.attachments,
            forwarded: row.forwarded,
            reference: row.reference_id.map(|message| MessageId(message.cast_unsigned())),
            reference_is_own: row.reference_author_id.is_some()
                && row.reference_author_id == row.bot_id,
            reference_name: row.reference_name,
            reference_content: row.reference_content,
        }
    }
}
