//! Takes a batch of events in: inbox rows, tombstones, edits, queued turns, and the cursor.

mod adding;

use std::sync::Arc;

use contracts::id::{MessageId, TurnId};
use contracts::stream;
use sqlx::SqliteConnection;

use super::erase;
use super::script::{Answers, Script};
use super::{Step, Store, StoreError, id};
use crate::intake::change::{Asked, Change};

/// An edit of a message that we never took in counts as a question only this long after the
/// message was written: later it is more likely a correction of something long settled.
const LATE_QUESTION_US_MAX: i64 = 15 * 60 * 1_000_000;

/// One event as it stands in the stream.
pub type Arrival = (u64, Change);

/// Takes a batch of events in.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// The events, in order of their sequences.
    pub arrivals: Arc<[Arrival]>,
    /// The newest sequence of the batch, events that could not be read included.
    pub last_sequence: u64,
    /// When the stream was made, in milliseconds since the Unix epoch.
    pub stream_created_unix_ms: u64,
    /// Now, in milliseconds since the Unix epoch.
    pub now_unix_ms: i64,
}

/// What a batch has set in motion.
#[derive(Debug, Clone, Default)]
pub struct Ingested {
    /// What others should look at.
    pub effects: Vec<Effect>,
    /// How many messages were new.
    pub rows: u64,
    /// Whether something is to be removed from the bus.
    pub erasures: bool,
    /// The conversations that were set to work already.
    pub begun: Vec<i64>,
}

/// Sets conversations to work: told what a batch has set in motion, it answers which of them it
/// has begun, each of which claims its turn at once.
pub type Begin = Arc<dyn Fn(&[Effect]) -> Vec<i64> + Send + Sync>;

/// Takes a batch in and, before it is on disk, sets its conversations to work: their claims then
/// share its commit. Should the commit fail, it fails for the claims as well.
#[derive(Clone)]
pub struct IngestAndBegin {
    /// The batch.
    pub ingest: Ingest,
    /// Whom to tell.
    pub begin: Begin,
}

impl Step for IngestAndBegin {
    type Output = Ingested;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Ingested, StoreError> {
        // Whoever begins now reads the history as it was before this batch: that is only right
        // where the batch takes nothing back.
        let only_adds = self.ingest.arrivals.iter().all(|(_, change)| change.only_adds());
        let mut ingested = self.ingest.run(connection).await?;
        if only_adds {
            ingested.begun = (self.begin)(&ingested.effects);
        }
        Ok(ingested)
    }

    fn followers(ingested: &Ingested) -> usize {
        ingested.begun.len()
    }
}

/// Something to look at after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The conversation may have a turn to run; true: it is the first that was ever said there.
    Wake(i64, bool),
    /// Everything that the turn answers was deleted while it was being answered.
    Unasked {
        /// The turn's conversation.
        conversation: i64,
        /// The turn.
        turn: TurnId,
    },
}

/// How far a stream was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The newest sequence.
    pub last_sequence: u64,
    /// When the stream was made.
    pub stream_created_unix_ms: u64,
}

impl Store {
    /// How far the events were taken in; none before the first.
    pub async fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("SELECT last_sequence, created_unix_ms FROM cursors WHERE stream = ?")
                .bind(stream::DISCORD_EVENTS.name)
                .fetch_optional(self.readers())
                .await?;
        Ok(row.map(|(last, created)| Cursor {
            last_sequence: last.cast_unsigned(),
            stream_created_unix_ms: created.cast_unsigned(),
        }))
    }
}

impl Step for Ingest {
    type Output = Ingested;

    async fn run(self, connection: &mut SqliteConnection) -> Result<Ingested, StoreError> {
        let mut batch = Batch {
            connection,
            now: self.now_unix_ms,
            script: Script::default(),
            found: Ingested::default(),
        };
        batch.cursor(self.last_sequence, self.stream_created_unix_ms);
        let mut rest = &self.arrivals[..];
        while !rest.is_empty() {
            let added = rest.iter().take_while(|(_, change)| change.only_adds()).count();
            let (adding, others) = rest.split_at(added);
            batch.add(adding).await?;
            rest = match others.split_first() {
                Some(((sequence, change), others)) => {
                    batch.take(sequence.cast_signed(), change).await?;
                    others
                }
                None => others,
            };
        }
        batch.flush().await?;
        Ok(batch.found)
    }
}

struct Batch<'c> {
    connection: &'c mut SqliteConnection,
    now: i64,
    /// What is still to be written before anything else is looked at.
    script: Script,
    found: Ingested,
}

impl Batch<'_> {
    /// A stream that was made anew counts from one again, so its cursor may go back.
    fn cursor(&mut self, last_sequence: u64, stream_created_unix_ms: u64) {
        self.script
            .add(
                "INSERT INTO cursors (stream, last_sequence, created_unix_ms) VALUES (?, ?, ?) \
                 ON CONFLICT (stream) DO UPDATE SET \
                 last_sequence = iif(created_unix_ms = excluded.created_unix_ms, \
                 max(last_sequence, excluded.last_sequence), excluded.last_sequence), \
                 created_unix_ms = excluded.created_unix_ms",
            )
            .bind(stream::DISCORD_EVENTS.name)
            .bind(last_sequence.cast_signed())
            .bind(stream_created_unix_ms.cast_signed());
    }

    async fn flush(&mut self) -> Result<Answers, StoreError> {
        std::mem::take(&mut self.script).run(self.connection).await
    }

    async fn take(&mut self, sequence: i64, change: &Change) -> Result<(), StoreError> {
        // What follows looks at what was gathered so far.
        self.flush().await?;
        match change {
            Change::Asked(_) | Change::Echo { .. } | Change::None => Ok(()),
            Change::Edited(asked) => self.edited(sequence, asked).await,
            Change::Withdrawn { message, edited_unix_us } => {
                self.withdrawn(sequence, *message, *edited_unix_us).await
            }
            Change::Deleted(messages) => {
                for message in messages {
                    self.deleted(id(message.0)).await?;
                }
                Ok(())
            }
            Change::ChannelGone(channel) => self.channel_gone(id(channel.0)).await,
        }
    }

    /// The newest edit wins; one that is no newer (a link preview) changes nothing. An answer that
    /// was given or begun is not given anew.
    async fn edited(&mut self, sequence: i64, asked: &Asked) -> Result<(), StoreError> {
        if self.is_deleted(asked.id).await? {
            return self.erase(sequence).await;
        }
        let known: Option<i64> =
            sqlx::query_scalar("SELECT edited_unix_us FROM inbox WHERE id = ?")
                .bind(id(asked.id.0))
                .fetch_optional(&mut *self.connection)
                .await?;
        let Some(edited) = known else {
            let written_us = asked.id.created_unix_ms().cast_signed().saturating_mul(1000);
            let late = asked.edited_unix_us.saturating_sub(written_us);
            if asked.edited_unix_us > 0 && late <= LATE_QUESTION_US_MAX {
                let question = (sequence.cast_unsigned(), Change::Asked(Box::new(asked.clone())));
                return self.add(&[question]).await;
            }
            self.copy(asked.id, sequence);
            return Ok(());
        };
        self.copy(asked.id, sequence);
        if let Some(quoted) = asked.reference.id {
            if self.is_deleted(quoted).await? {
                self.erase(sequence).await?;
            } else {
                self.copy(quoted, sequence);
            }
        }
        if asked.edited_unix_us <= edited {
            return Ok(());
        }
        sqlx::query(
            "UPDATE inbox SET content = ?, attachments = ?, forwarded = ?, edited_unix_us = ?, \
             state = 'live' WHERE id = ?",
        )
        .bind(&asked.content)
        .bind(&asked.attachments)
        .bind(&asked.forwarded)
        .bind(asked.edited_unix_us)
        .bind(id(asked.id.0))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn withdrawn(
        &mut self,
        sequence: i64,
        message: MessageId,
        edited_unix_us: i64,
    ) -> Result<(), StoreError> {
        let newer: Option<i64> = sqlx::query_scalar(
            "UPDATE inbox SET edited_unix_us = ?2 WHERE id = ?1 AND edited_unix_us < ?2 \
             RETURNING id",
        )
        .bind(id(message.0))
        .bind(edited_unix_us)
        .fetch_optional(&mut *self.connection)
        .await?;
        if newer.is_some() {
            if self.is_deleted(message).await? {
                self.erase(sequence).await?;
            } else {
                self.copy(message, sequence);
            }
            self.flush().await?;
            self.forget(id(message.0), "withdrawn").await?;
        }
        Ok(())
    }

    async fn deleted(&mut self, message: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tombstones (message_id, deleted_unix_ms) VALUES (?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(message)
        .bind(self.now)
        .execute(&mut *self.connection)
        .await?;
        let own: Option<i64> =
            sqlx::query_scalar("SELECT turn_id FROM reply_parts WHERE message_id = ?")
                .bind(message)
                .fetch_optional(&mut *self.connection)
                .await?;
        if let Some(turn) = own {
            erase::reply(self.connection, turn, self.now).await?;
            self.found.erasures = true;
        }
        self.forget(message, "deleted").await
    }

    /// Removes a message's text here and, later, on the bus; its turn goes on only while
    /// something is left to answer.
    async fn forget(&mut self, message: i64, state: &'static str) -> Result<(), StoreError> {
        let turn = erase::message(self.connection, message, state, self.now).await?;
        self.found.erasures = true;
        let Some((turn, conversation)) = turn else { return Ok(()) };
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM inbox WHERE turn_id = ? AND state = 'live'")
                .bind(turn)
                .fetch_one(&mut *self.connection)
                .await?;
        if left > 0 {
            return Ok(());
        }
        erase::answered_commands(self.connection, turn, self.now).await?;
        let cancelled = sqlx::query(
            "UPDATE turns SET state = 'cancelled', ending = 'none', reason = 'question deleted', \
             ended_unix_ms = ? WHERE id = ? AND state = 'queued'",
        )
        .bind(self.now)
        .bind(turn)
        .execute(&mut *self.connection)
        .await?;
        if cancelled.rows_affected() > 0 {
            self.wake(conversation, false);
        } else {
            let turn = TurnId(turn.cast_unsigned());
            self.found.effects.push(Effect::Unasked { conversation, turn });
        }
        Ok(())
    }

    async fn channel_gone(&mut self, channel: i64) -> Result<(), StoreError> {
        let messages: Vec<i64> = sqlx::query_scalar(
            "WITH gone (channel_id) AS (SELECT ?1 UNION SELECT channel_id FROM conversations \
             WHERE parent_id = ?1) \
             SELECT id FROM inbox WHERE channel_id IN gone UNION \
             SELECT message_id FROM reply_parts WHERE channel_id IN gone",
        )
        .bind(channel)
        .fetch_all(&mut *self.connection)
        .await?;
        for message in messages {
            self.deleted(message).await?;
        }
        Ok(())
    }

    async fn is_deleted(&mut self, message: MessageId) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT message_id FROM tombstones WHERE message_id = ?")
                .bind(id(message.0))
                .fetch_optional(&mut *self.connection)
                .await?;
        Ok(found.is_some())
    }

    /// Remembers one more event that holds the message's text.
    fn copy(&mut self, message: MessageId, sequence: i64) {
        self.script
            .add(
                "INSERT INTO copies (message_id, stream_sequence, stored_unix_ms) \
                 VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(id(message.0))
            .bind(sequence)
            .bind(self.now);
    }

    async fn erase(&mut self, sequence: i64) -> Result<(), StoreError> {
        self.found.erasures = true;
        erase::event(self.connection, sequence, self.now).await
    }

    fn wake(&mut self, conversation: i64, is_first: bool) {
        let same =
            |effect: &Effect| matches!(effect, Effect::Wake(woken, _) if *woken == conversation);
        if !self.found.effects.iter().any(same) {
            self.found.effects.push(Effect::Wake(conversation, is_first));
        }
    }
}
