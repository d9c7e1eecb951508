//! What was said before in a conversation, read without the writing connection.

use std::collections::HashMap;
use std::sync::Arc;

use contracts::id::TurnId;

use super::claim::HeardRow;
use super::remembered::Remembered;
use super::script::Script;
use super::{Store, StoreError, id};
use crate::turn::Heard;

/// How many turns back a prompt can reach; the context window is the tighter bound in practice.
pub(super) const TURNS_MAX: usize = 512;
/// How many turns are read first; each further page is twice as long.
const PAGE_TURNS: usize = 64;
/// How many turns may have been added since a conversation was read; past that, all is read anew.
const ADDED_TURNS_MAX: usize = 16;

/// What was said before, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    turns: Vec<PastTurn>,
    /// Counted once, when they are added: to weigh every character again with every turn would
    /// cost more than all the rest.
    tokens: u64,
}

/// A turn that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTurn {
    /// Which.
    pub id: TurnId,
    /// What was asked, as far as it was not deleted.
    pub messages: Vec<Heard>,
    /// What was answered.
    pub reply: Option<String>,
}

impl History {
    /// What these turns, oldest first, are together.
    pub fn new(turns: Vec<PastTurn>) -> Self {
        let tokens = turns.iter().map(PastTurn::tokens).sum();
        Self { turns, tokens }
    }

    /// The turns, oldest first.
    pub fn turns(&self) -> &[PastTurn] {
        &self.turns
    }

    /// About how many tokens it takes in a prompt.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn add(&mut self, turn: PastTurn) {
        self.tokens += turn.tokens();
        self.turns.push(turn);
    }

    /// Lets go of the oldest turns that neither so many turns nor so many tokens reach; says
    /// whether there were any.
    pub(super) fn shorten(&mut self, turns_max: usize, tokens_max: u64) -> bool {
        let mut first = 0;
        while let Some(turn) = self.turns.get(first) {
            let rest = self.tokens.saturating_sub(turn.tokens());
            if rest < tokens_max && self.turns.len() - first <= turns_max {
                break;
            }
            self.tokens = rest;
            first += 1;
        }
        self.turns.drain(..first);
        first > 0
    }
}

impl PastTurn {
    fn tokens(&self) -> u64 {
        let asked: u64 = self.messages.iter().map(|heard| tokens(&heard.content)).sum();
        asked + self.reply.as_deref().map_or(0, tokens)
    }

    pub(super) fn says_something(&self) -> bool {
        !self.messages.is_empty() || self.reply.is_some()
    }
}

fn tokens(text: &str) -> u64 {
    llm::estimate::text_tokens(text)
}

/// Some turns of a conversation, newest first.
struct Page {
    /// How often the past had changed when the reading began.
    changes: i64,
    turns: Vec<PastTurn>,
    /// Whether there may be more.
    is_full: bool,
}

impl Store {
    /// The conversations with a turn that has not ended.
    pub async fn open_conversations(&self) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT DISTINCT conversation_id FROM turns WHERE ended_unix_ms IS NULL",
        )
        .fetch_all(self.readers())
        .await?)
    }

    /// What was said before in a conversation, at least `tokens_max` of it where there is as much.
    ///
    /// Cost depends on how much that is, not on how much is kept; a conversation that was read
    /// lately costs what was added to it, unless something in it was changed.
    pub async fn history(
        &self,
        conversation: i64,
        tokens_max: u64,
    ) -> Result<Arc<History>, StoreError> {
        if let Some(mut known) = self.past().take(conversation)
            && known.reaches(tokens_max)
        {
            let range = (known.newest, i64::MAX);
            let page = self.page(conversation, range, ADDED_TURNS_MAX).await?;
            if page.changes == known.changes && !page.is_full {
                known.add(page.turns, tokens_max);
                return Ok(self.past().keep(conversation, known));
            }
        }
        let read = self.read(conversation, tokens_max).await?;
        Ok(self.past().keep(conversation, read))
    }

    /// Forgets what is remembered of conversations beside the database, because something that
    /// was said is to be forgotten. It would not be shown again anyway.
    pub(crate) fn forget_past(&self) {
        self.past().clear();
    }

    async fn read(&self, conversation: i64, tokens_max: u64) -> Result<Remembered, StoreError> {
        let mut page_turns = PAGE_TURNS;
        let mut page = self.page(conversation, (i64::MIN, i64::MAX), page_turns).await?;
        let changes = page.changes;
        let newest = page.turns.first().map_or(i64::MIN, |turn| id(turn.id.0));
        let mut newest_first = Vec::new();
        let mut tokens = 0;
        let is_whole = loop {
            tokens += page.turns.iter().map(PastTurn::tokens).sum::<u64>();
            let oldest = page.turns.last().map(|turn| id(turn.id.0));
            newest_first.append(&mut page.turns);
            let Some(before) = oldest.filter(|_| page.is_full) else { break true };
            if newest_first.len() >= TURNS_MAX {
                break true;
            }
            if tokens >= tokens_max {
                break false;
            }
            page_turns = (page_turns * 2).min(TURNS_MAX - newest_first.len());
            page = self.page(conversation, (i64::MIN, before), page_turns).await?;
        };
        let turns = newest_first.into_iter().rev().filter(PastTurn::says_something).collect();
        Ok(Remembered { history: Arc::new(History::new(turns)), changes, newest, is_whole })
    }

    /// Turns after the one and before the other, in one trip to the database.
    async fn page(
        &self,
        conversation: i64,
        (after, before): (i64, i64),
        turns_max: usize,
    ) -> Result<Page, StoreError> {
        let limit = i64::try_from(turns_max).unwrap_or(i64::MAX);
        let mut script = Script::default();
        // First: what changes while the rest is read then counts as a change.
        script.add("SELECT past_changes FROM lanes WHERE conversation_id = ?").bind(conversation);
        let changes = script.at();
        script
            .add(
                "SELECT turns.id, replies.text FROM turns LEFT JOIN replies \
                 ON replies.turn_id = turns.id AND replies.generation = turns.generation \
                 WHERE conversation_id = ? AND turns.id > ? AND turns.id < ? \
                 AND ended_unix_ms IS NOT NULL ORDER BY turns.id DESC LIMIT ?",
            )
            .bind(conversation)
            .bind(after)
            .bind(before)
            .bind(limit);
        let turns = script.at();
        script
            .add(
                "SELECT turn_messages.turn_id AS tag, inbox.id, inbox.channel_id, opens_thread, \
                 author_id, author_name, bot_id, locale, content, attachments, forwarded, \
                 reference_id, reference_author_id, reference_name, reference_content, \
                 received_unix_ms FROM (SELECT id FROM turns WHERE conversation_id = ? AND id > ? \
                 AND id < ? AND ended_unix_ms IS NOT NULL ORDER BY id DESC LIMIT ?) AS past \
                 CROSS JOIN turn_messages ON turn_messages.turn_id = past.id \
                 CROSS JOIN inbox ON inbox.id = message_id \
                 WHERE inbox.state = 'live' ORDER BY past.id, position",
            )
            .bind(conversation)
            .bind(after)
            .bind(before)
            .bind(limit);
        let messages = script.at();
        let answers = script.run(&mut *self.readers().acquire().await?).await?;
        let changes: Option<(i64,)> = answers[changes].first()?;
        let turns: Vec<(i64, Option<String>)> = answers[turns].all()?;
        let mut heard: HashMap<i64, Vec<Heard>> = HashMap::new();
        for row in answers[messages].all::<TaggedRow>()? {
            heard.entry(row.tag).or_default().push(row.heard.into());
        }
        let is_full = turns.len() >= turns_max;
        let past = turns.into_iter().map(|(turn, reply)| PastTurn {
            id: TurnId(turn.cast_unsigned()),
            messages: heard.remove(&turn).unwrap_or_default(),
            reply: reply.filter(|text| !text.is_empty()),
        });
        Ok(Page {
            changes: changes.map_or(0, |(changes,)| changes),
            turns: past.collect(),
            is_full,
        })
    }
}

#[derive(sqlx::FromRow)]
struct TaggedRow {
    tag: i64,
    #[sqlx(flatten)]
    heard: HeardRow,
}
