//! The claim: takes the lane's next turn, freezes what it answers, counts it and books the request.

use contracts::command::{Action, Place, ThreadPlan};
use contracts::id::{ChannelId, GuildId, MessageId, TurnId, UserId};
use sqlx::SqliteConnection;

use super::caps::{self, Caps};
use super::ledger::{self, NextAttempt, OpenAttempt};
use super::outbox::{self, Written};
use super::script::Script;
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

/// The turn at the head of a lane, and what is to be known of its surroundings.
#[derive(sqlx::FromRow)]
struct Head {
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
    /// Whether no other process holds the lane.
    is_free: bool,
    /// Under which epoch it would be taken.
    next_epoch: i64,
    user_turns: i64,
    guild_turns: i64,
    /// Whether the person was told today that there is no place left.
    is_told: bool,
}

/// What a script is to write for a claim, and how it then stands.
struct Plan {
    script: Script,
    written: Vec<Written>,
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
        let Some((head, waiting)) = self.look(connection).await? else { return Ok(Claim::Idle) };
        if matches!(head.state.as_str(), "committed" | "sending") || !head.is_free {
            return Ok(Claim::Idle);
        }
        let at = TurnRef {
            id: TurnId(head.id.cast_unsigned()),
            conversation: self.conversation,
            generation: head.generation,
            epoch: head.next_epoch,
        };
        let mut plan = Plan { script: Script::default(), written: Vec::new() };
        self.take_lane(&mut plan.script, &head);
        let is_new = head.state == "queued";
        let (asked, opened) = if is_new {
            freeze(&mut plan.script, head.id);
            (waiting, None)
        } else {
            let begun = begun(connection, &at).await?;
            plan.written.extend(ledger::close(
                &mut plan.script,
                &at,
                (begun.open, None),
                self.now_unix_ms,
            ));
            if let Some(class) = begun.refused {
                let state = if class == "gone" { "cancelled" } else { "dead" };
                self.end(&mut plan.script, &at, state, &class);
                return plan.done(connection, rows, Claim::Again).await;
            }
            (begun.heard, begun.opened)
        };
        let Some((place, language)) = place(&head, &asked) else {
            self.end(&mut plan.script, &at, "cancelled", "question deleted");
            return plan.done(connection, rows, Claim::Again).await;
        };
        let newest = asked.last().map(|row| row.id);
        let mut turn = assemble(at, &head, place, language);
        turn.opened_with = opened;
        turn.received_unix_ms = asked.first().map_or(0, |row| row.received_unix_ms).cast_unsigned();
        turn.messages = asked.into_iter().map(Heard::from).collect();
        let claim = self.begin(&mut plan, (&head, newest), turn);
        plan.done(connection, rows, claim).await
    }

    /// The turn at the head of the lane: one that was begun, else the oldest that waits. With it
    /// the messages that wait to be answered by it.
    async fn look(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Option<(Head, Vec<HeardRow>)>, StoreError> {
        let mut script = Script::default();
        script
            .add(
                "SELECT turns.id, state, generation, user_id, guild_id, question_id, channel_id, \
                 thread_name, language, counted, attempts, \
                 lanes.owner IS NULL OR lanes.owner = ? OR lease_until_unix_ms <= ? AS is_free, \
                 lanes.epoch + 1 AS next_epoch, \
                 coalesce((SELECT turns FROM caps WHERE day = ? \
                 AND scope = format('user:%u', user_id)), 0) AS user_turns, \
                 coalesce((SELECT turns FROM caps WHERE day = ? \
                 AND scope = format('guild:%u', guild_id)), 0) AS guild_turns, \
                 coalesce((SELECT noticed FROM caps WHERE day = ? \
                 AND scope = format('user:%u', user_id)), 0) AS is_told \
                 FROM turns JOIN lanes ON lanes.conversation_id = turns.conversation_id \
                 WHERE turns.conversation_id = ? AND ended_unix_ms IS NULL \
                 ORDER BY state = 'queued', turns.id LIMIT 1",
            )
            .bind(self.owner.clone())
            .bind(self.now_unix_ms)
            .bind(self.day.clone())
            .bind(self.day.clone())
            .bind(self.day.clone())
            .bind(self.conversation);
        let head = script.at();
        script
            .add(
                "SELECT id, channel_id, opens_thread, author_id, author_name, bot_id, locale, \
                 content, attachments, forwarded, reference_id, reference_author_id, \
                 reference_name, reference_content, received_unix_ms FROM inbox \
                 WHERE state = 'live' AND turn_id = (SELECT id FROM turns \
                 WHERE conversation_id = ? AND ended_unix_ms IS NULL \
                 ORDER BY state = 'queued', id LIMIT 1) ORDER BY id",
            )
            .bind(self.conversation);
        let waiting = script.at();
        let answers = script.run(connection).await?;
        let head: Option<Head> = answers[head].first()?;
        let Some(head) = head else { return Ok(None) };
        Ok(Some((head, answers[waiting].all()?)))
    }

    /// Takes the lane under its new epoch.
    fn take_lane(&self, script: &mut Script, head: &Head) {
        script
            .add(
                "UPDATE lanes SET owner = ?, epoch = ?, lease_until_unix_ms = ? \
                 WHERE conversation_id = ?",
            )
            .bind(self.owner.clone())
            .bind(head.next_epoch)
            .bind(self.lease_until_unix_ms)
            .bind(self.conversation);
    }

    /// Counts the turn, opens its thread and books its request; or ends it.
    fn begin(
        &self,
        plan: &mut Plan,
        (head, newest): (&Head, Option<i64>),
        mut turn: Turn,
    ) -> Claim {
        let at = turn.at;
        if turn.messages.is_empty() && turn.opened_with.is_none() {
            self.end(&mut plan.script, &at, "cancelled", "question deleted");
            return Claim::Again;
        }
        if !head.counted {
            let taken = (head.user_turns, head.guild_turns);
            let whose = (turn.user, turn.guild);
            if let Some(reason) = caps::reached(taken, turn.guild, self.caps) {
                return self.refuse(plan, &turn, (reason, head.is_told));
            }
            caps::count(&mut plan.script, &self.day, whose);
        }
        let cut_short = if turn.messages.is_empty() {
            Some("question deleted")
        } else if head.attempts >= ATTEMPTS_MAX {
            Some("too many interrupted attempts")
        } else {
            turn.attempt = head.attempts + 1;
            None
        };
        self.mark_begun(&mut plan.script, &turn, newest, head);
        if let Some(reason) = cut_short {
            return Claim::CutShort(Box::new(turn), reason);
        }
        if turn.place.thread.is_some() {
            let (open, now) = (Action::OpenThread, self.now_unix_ms);
            plan.written.push(outbox::command(&mut plan.script, &at, &turn.place, open, now));
        }
        let asked: u64 = turn
            .messages
            .iter()
            .map(|heard| TOKENS_PER_MESSAGE + llm::estimate::text_tokens(&heard.content))
            .sum();
        let mut attempt = self.attempt.clone();
        attempt.input_tokens = attempt.input_tokens.saturating_add(asked);
        ledger::open(&mut plan.script, &at, turn.attempt, &attempt, self.now_unix_ms);
        Claim::Answer(Box::new(turn))
    }

    /// Writes down that the turn is under way and, where it was not before, where and in which
    /// language it is answered; once found that stays.
    fn mark_begun(&self, script: &mut Script, turn: &Turn, newest: Option<i64>, head: &Head) {
        let state = if turn.opened_with.is_some() { "streaming" } else { "prompting" };
        script
            .add(
                "UPDATE turns SET state = ?, owner = ?, epoch = ?, counted = 1, attempts = ?, \
                 claimed_unix_ms = coalesce(claimed_unix_ms, ?), \
                 question_id = ?, channel_id = ?, thread_name = ?, language = ?, \
                 newest_id = coalesce(newest_id, ?) WHERE id = ?",
            )
            .bind(state)
            .bind(self.owner.clone())
            .bind(turn.at.epoch)
            .bind(turn.attempt.max(head.attempts))
            .bind(self.now_unix_ms)
            .bind(id(turn.place.question.0))
            .bind(id(turn.place.channel_id.0))
            .bind(turn.place.thread.as_ref().map(|plan| plan.name.clone()))
            .bind(turn.language.word())
            .bind(newest)
            .bind(id(turn.at.id.0));
    }

    /// No place left today: says so once a day, and is silent after that.
    fn refuse(&self, plan: &mut Plan, turn: &Turn, (reason, is_told): (&str, bool)) -> Claim {
        let (at, now) = (turn.at, self.now_unix_ms);
        if is_told {
            self.end(&mut plan.script, &at, "dead", reason);
            return Claim::Again;
        }
        caps::tell(&mut plan.script, &self.day, turn.user);
        // What is said about a limit needs no thread of its own.
        let place = Place { thread: None, ..turn.place.clone() };
        let text = texts::notice(texts::Trouble::CapReached, turn.language).to_owned();
        let action = Action::Notice { text };
        plan.written.push(outbox::command(&mut plan.script, &at, &place, action, now));
        plan.script
            .add(
                "UPDATE turns SET state = 'committed', ending = 'notice', reason = ?, epoch = ?, \
                 claimed_unix_ms = ?, question_id = ?, channel_id = ?, language = ? WHERE id = ?",
            )
            .bind(reason.to_owned())
            .bind(at.epoch)
            .bind(now)
            .bind(id(place.question.0))
            .bind(id(place.channel_id.0))
            .bind(turn.language.word())
            .bind(id(at.id.0));
        Claim::Idle
    }

    fn end(&self, script: &mut Script, at: &TurnRef, state: &'static str, reason: &str) {
        script
            .add(
                "UPDATE turns SET state = ?, epoch = ?, ending = 'none', reason = ?, \
                 ended_unix_ms = ? WHERE id = ?",
            )
            .bind(state)
            .bind(at.epoch)
            .bind(reason.to_owned())
            .bind(self.now_unix_ms)
            .bind(id(at.id.0));
    }
}

impl Plan {
    /// Writes it all at once.
    async fn done(
        self,
        connection: &mut SqliteConnection,
        rows: &mut Vec<OutboxRow>,
        claim: Claim,
    ) -> Result<Claim, StoreError> {
        rows.extend(outbox::rows(self.written, &self.script.run(connection).await?)?);
        Ok(claim)
    }
}

/// What the turn answers: what waits for it, from now on fixed; deleted messages left out.
fn freeze(script: &mut Script, turn: i64) {
    script
        .add(
            "INSERT INTO turn_messages (turn_id, position, message_id) \
             SELECT turn_id, row_number() OVER (ORDER BY id) - 1, id FROM inbox \
             WHERE turn_id = ? AND state = 'live' ON CONFLICT DO NOTHING",
        )
        .bind(turn);
}

/// What an earlier claim has left.
struct Begun {
    /// What the turn answers, as far as it was not deleted.
    heard: Vec<HeardRow>,
    /// What the reply was opened with, if it was.
    opened: Option<String>,
    /// The class of Discord's refusal to have it opened.
    refused: Option<String>,
    /// Requests whose end nobody wrote down.
    open: Vec<OpenAttempt>,
}

async fn begun(connection: &mut SqliteConnection, at: &TurnRef) -> Result<Begun, StoreError> {
    let mut script = Script::default();
    script
        .add(
            "SELECT inbox.id, channel_id, opens_thread, author_id, author_name, bot_id, locale, \
             content, attachments, forwarded, reference_id, reference_author_id, reference_name, \
             reference_content, received_unix_ms FROM turn_messages \
             JOIN inbox ON inbox.id = message_id \
             WHERE turn_messages.turn_id = ? AND state = 'live' ORDER BY position",
        )
        .bind(id(at.id.0));
    let heard = script.at();
    script.add("SELECT payload, result FROM outbox WHERE id = ?").bind(at.opening().to_string());
    let opening = script.at();
    let open = ledger::find_open(&mut script, at);
    let answers = script.run(connection).await?;
    let opening: Option<(Option<Vec<u8>>, Option<String>)> = answers[opening].first()?;
    let (opened, refused) = match opening {
        Some((payload, result)) => (Some(opened_with(payload)), result),
        None => (None, None),
    };
    Ok(Begun {
        heard: answers[heard].all()?,
        opened,
        refused: refused.filter(|result| result != "done"),
        open: answers[open].all()?,
    })
}

fn opened_with(payload: Option<Vec<u8>>) -> String {
    let command = payload
        .and_then(|bytes| contracts::envelope::decode::<contracts::command::Command>(&bytes).ok());
    match command.map(|command| command.action) {
        Some(Action::OpenReply { text }) => text,
        _ => String::new(),
    }
}

/// Where and in which language the turn is answered: as it was found before, or as its first
/// message wants it. None where there is nothing left to answer and nothing was said yet.
fn place(head: &Head, asked: &[HeardRow]) -> Option<(Place, Language)> {
    let guild_id = head.guild_id.map(|guild| GuildId(guild.cast_unsigned()));
    if let (Some(question), Some(channel)) = (head.question_id, head.channel_id) {
        let place = Place {
            guild_id,
            channel_id: ChannelId(channel.cast_unsigned()),
            question: MessageId(question.cast_unsigned()),
            thread: head.thread_name.clone().map(|name| ThreadPlan { name }),
        };
        let language = head.language.as_deref().map_or(Language::Japanese, Language::named);
        return Some((place, language));
    }
    let first = asked.first()?;
    let texts = asked.iter().map(|row| row.content.as_str());
    let language = language::choose(first.locale.as_deref(), texts);
    let thread = first.opens_thread.then(|| ThreadPlan {
        name: thread_name::from_question(&first.content, &first.author_name, language),
    });
    let place = Place {
        guild_id,
        channel_id: ChannelId(first.channel_id.cast_unsigned()),
        question: MessageId(first.id.cast_unsigned()),
        thread,
    };
    Some((place, language))
}

fn assemble(at: TurnRef, head: &Head, place: Place, language: Language) -> Turn {
    Turn {
        at,
        user: UserId(head.user_id.cast_unsigned()),
        guild: head.guild_id.map(|guild| GuildId(guild.cast_unsigned())),
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
