//! What only adds to the database: questions, and echoes of our own messages.

use std::collections::{HashMap, HashSet};

use contracts::id::{MessageId, TurnId};
use sqlx::SqliteConnection;

use super::{Arrival, Batch};
use crate::intake::change::{Asked, Change};
use crate::store::outbox::list;
use crate::store::script::At;
use crate::store::{StoreError, erase, id};

impl Batch<'_> {
    /// Takes in questions and echoes, one after the other. What is known of all their messages is
    /// looked up at once: nothing among them takes anything back.
    pub(super) async fn add(&mut self, arrivals: &[Arrival]) -> Result<(), StoreError> {
        if arrivals.is_empty() {
            return Ok(());
        }
        let mut known = Known::look(self.connection, arrivals).await?;
        for (sequence, change) in arrivals {
            let sequence = sequence.cast_signed();
            match change {
                Change::Asked(asked) => self.asked(sequence, asked, &mut known).await?,
                Change::Echo { message, quoted } => {
                    for message in [Some(*message), *quoted].into_iter().flatten() {
                        if known.is_deleted(message) {
                            self.erase(sequence).await?;
                        } else {
                            self.copy(message, sequence);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn asked(
        &mut self,
        sequence: i64,
        asked: &Asked,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        if known.is_deleted(asked.id) {
            return self.erase(sequence).await;
        }
        if !known.inbox.insert(id(asked.id.0)) {
            self.copy(asked.id, sequence);
            return Ok(());
        }
        let written = self.question(sequence, asked, known.answered(asked));
        let answers = self.flush().await?;
        let conversation: Option<(i64,)> = answers[written.row].first()?;
        let Some((conversation,)) = conversation else {
            return Err(StoreError::Refused("a question found no conversation".into()));
        };
        let is_first = match written.conversation {
            Some(at) => answers[at].first::<(i64,)>()?.is_some(),
            None => false,
        };
        if let Some(quoted) = asked.reference.id
            && known.is_deleted(quoted)
        {
            erase::quotations(self.connection, id(quoted.0)).await?;
            self.erase(sequence).await?;
        }
        self.found.rows += 1;
        self.wake(conversation, is_first);
        Ok(())
    }

    /// The conversation, the turn that will cover the message (one that is still waiting, or a
    /// new one), and the message. A reply to one of our messages goes on with that message's
    /// conversation, where it stands, and opens no thread.
    fn question(&mut self, sequence: i64, asked: &Asked, answered: Option<i64>) -> Written {
        let key = asked.key.to_string();
        let script = &mut self.script;
        let mut conversation = None;
        if answered.is_none() {
            script
                .add(
                    "INSERT INTO conversations (key, guild_id, channel_id, parent_id, \
                     created_unix_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING \
                     RETURNING id",
                )
                .bind(key.clone())
                .bind(asked.key.guild().map(|guild| id(guild.0)))
                .bind(id(asked.key.channel().0))
                .bind(asked.key.opened_in().map(|channel| id(channel.0)))
                .bind(self.now);
            conversation = Some(script.at());
        }
        script
            .add(
                "INSERT INTO lanes (conversation_id) SELECT id FROM conversations \
                 WHERE id = coalesce(?, (SELECT id FROM conversations WHERE key = ?)) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(answered)
            .bind(key.clone());
        let turn = TurnId::from(asked.id);
        script
            .add(
                "INSERT INTO turns (id, conversation_id, state, user_id, guild_id, queued_unix_ms) \
                 SELECT ?, conversations.id, 'queued', ?, ?, ? FROM conversations \
                 WHERE id = coalesce(?, (SELECT id FROM conversations WHERE key = ?)) \
                 AND NOT EXISTS (SELECT 1 FROM turns WHERE conversation_id = conversations.id \
                 AND ended_unix_ms IS NULL AND state = 'queued')",
            )
            .bind(id(turn.0))
            .bind(id(asked.author.0))
            .bind(asked.guild.map(|guild| id(guild.0)))
            .bind(self.now)
            .bind(answered)
            .bind(key.clone());
        self.message(sequence, asked, (answered, key));
        Written { conversation, row: self.script.at() }
    }

    fn message(&mut self, sequence: i64, asked: &Asked, (answered, key): (Option<i64>, String)) {
        self.script
            .add(
                "INSERT INTO inbox (id, stream_sequence, conversation_id, turn_id, reason, place, \
                 opens_thread, guild_id, channel_id, author_id, author_name, bot_id, locale, \
                 content, attachments, forwarded, reference_id, reference_author_id, \
                 reference_name, reference_content, edited_unix_us, received_unix_ms, \
                 ingested_unix_ms) SELECT ?, ?, conversations.id, (SELECT turns.id FROM turns \
                 WHERE conversation_id = conversations.id AND ended_unix_ms IS NULL \
                 AND state = 'queued' ORDER BY turns.id LIMIT 1), \
                 ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM conversations \
                 WHERE id = coalesce(?, (SELECT id FROM conversations WHERE key = ?)) \
                 RETURNING conversation_id",
            )
            .bind(id(asked.id.0))
            .bind(sequence)
            .bind(asked.reason.to_string())
            .bind(asked.place.to_string())
            .bind(asked.opens_thread && answered.is_none())
            .bind(asked.guild.map(|guild| id(guild.0)))
            .bind(id(asked.channel.0))
            .bind(id(asked.author.0))
            .bind(asked.author_name.clone())
            .bind(asked.bot.map(|bot| id(bot.0)))
            .bind(asked.locale.clone())
            .bind(asked.content.clone())
            .bind(asked.attachments.clone())
            .bind(asked.forwarded.clone())
            .bind(asked.reference.id.map(|message| id(message.0)))
            .bind(asked.reference.author.map(|author| id(author.0)))
            .bind(asked.reference.name.clone())
            .bind(asked.reference.content.clone())
            .bind(asked.edited_unix_us)
            .bind(asked.received_unix_ms.cast_signed())
            .bind(self.now)
            .bind(answered)
            .bind(key);
    }
}

/// Where a script wrote a question.
struct Written {
    /// The conversation, where it might be a new one.
    conversation: Option<At>,
    /// The message.
    row: At,
}

/// What the database knows of the messages in a batch.
struct Known {
    deleted: HashSet<i64>,
    inbox: HashSet<i64>,
    /// Our own messages: the conversation and the channel of each.
    own: HashMap<i64, (i64, i64)>,
}

impl Known {
    async fn look(
        connection: &mut SqliteConnection,
        arrivals: &[Arrival],
    ) -> Result<Self, StoreError> {
        let ids = arrivals.iter().flat_map(|(_, change)| match change {
            Change::Asked(asked) => [Some(asked.id), asked.reference.id],
            Change::Echo { message, quoted } => [Some(*message), *quoted],
            _ => [None, None],
        });
        let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
            "WITH named (id) AS MATERIALIZED (SELECT value FROM json_each(?)) \
             SELECT 0, message_id, 0, 0 FROM tombstones WHERE message_id IN named UNION ALL \
             SELECT 1, id, 0, 0 FROM inbox WHERE id IN named UNION ALL \
             SELECT 2, message_id, conversation_id, channel_id FROM reply_parts \
             WHERE message_id IN named",
        )
        .bind(list(ids.flatten().map(|message| id(message.0))))
        .fetch_all(connection)
        .await?;
        let mut known =
            Self { deleted: HashSet::new(), inbox: HashSet::new(), own: HashMap::new() };
        for (kind, message, conversation, channel) in rows {
            match kind {
                0 => drop(known.deleted.insert(message)),
                1 => drop(known.inbox.insert(message)),
                _ => drop(known.own.insert(message, (conversation, channel))),
            }
        }
        Ok(known)
    }

    fn is_deleted(&self, message: MessageId) -> bool {
        self.deleted.contains(&id(message.0))
    }

    /// The conversation that a reply to one of our messages goes on with.
    fn answered(&self, asked: &Asked) -> Option<i64> {
        let (conversation, channel) = self.own.get(&id(asked.reference.id?.0))?;
        (*channel == id(asked.channel.0)).then_some(*conversation)
    }
}
