//! What was said before in a conversation, read without the writing connection.

use std::collections::HashMap;

use contracts::id::TurnId;

use super::claim::HeardRow;
use super::{Store, StoreError, id};
use crate::turn::Heard;

/// How many turns back a prompt can reach; the context window is the tighter bound in practice.
const TURNS_MAX: usize = 512;
/// How many turns are read at a time: most windows are full after one or two pages.
const PAGE_TURNS: usize = 32;

/// What was said before, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The turns.
    pub turns: Vec<PastTurn>,
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
    /// About how many tokens it takes in a prompt.
    pub fn tokens(&self) -> u64 {
        self.turns.iter().map(PastTurn::tokens).sum()
    }
}

impl PastTurn {
    fn tokens(&self) -> u64 {
        let asked: u64 = self.messages.iter().map(|heard| tokens(&heard.content)).sum();
        asked + self.reply.as_deref().map_or(0, tokens)
    }
}

fn tokens(text: &str) -> u64 {
    llm::estimate::text_tokens(text)
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
    /// Cost depends on how much that is, not on how much is kept.
    pub async fn history(&self, conversation: i64, tokens_max: u64) -> Result<History, StoreError> {
        let mut newest_first = Vec::new();
        let (mut before, mut tokens) = (i64::MAX, 0);
        while tokens < tokens_max && newest_first.len() < TURNS_MAX {
            let page = self.page(conversation, before).await?;
            let Some(oldest) = page.last() else { break };
            before = id(oldest.id.0);
            let is_last = page.len() < PAGE_TURNS;
            tokens += page.iter().map(PastTurn::tokens).sum::<u64>();
            newest_first.extend(page);
            if is_last {
                break;
            }
        }
        let kept = |turn: &PastTurn| !turn.messages.is_empty() || turn.reply.is_some();
        Ok(History { turns: newest_first.into_iter().rev().filter(kept).collect() })
    }

    /// Some turns before that one, newest first.
    async fn page(&self, conversation: i64, before: i64) -> Result<Vec<PastTurn>, StoreError> {
        let turns: Vec<(i64, Option<String>)> = sqlx::query_as(
            "SELECT turns.id, replies.text FROM turns LEFT JOIN replies \
             ON replies.turn_id = turns.id AND replies.generation = turns.generation \
             WHERE conversation_id = ? AND turns.id < ? AND ended_unix_ms IS NOT NULL \
             ORDER BY turns.id DESC LIMIT ?",
        )
        .bind(conversation)
        .bind(before)
        .bind(i64::try_from(PAGE_TURNS).unwrap_or(i64::MAX))
        .fetch_all(self.readers())
        .await?;
        let Some((oldest, _)) = turns.last() else { return Ok(Vec::new()) };
        let heard: Vec<TaggedRow> = sqlx::query_as(
            "SELECT turn_messages.turn_id AS tag, inbox.id, inbox.channel_id, opens_thread, \
             author_id, author_name, bot_id, locale, content, attachments, forwarded, \
             reference_id, reference_author_id, reference_name, reference_content, \
             received_unix_ms \
             FROM turns JOIN turn_messages ON turn_messages.turn_id = turns.id \
             JOIN inbox ON inbox.id = message_id \
             WHERE turns.conversation_id = ? AND turns.id >= ? AND turns.id < ? \
             AND turns.ended_unix_ms IS NOT NULL AND inbox.state = 'live' \
             ORDER BY turns.id, position",
        )
        .bind(conversation)
        .bind(oldest)
        .bind(before)
        .fetch_all(self.readers())
        .await?;
        let mut messages: HashMap<i64, Vec<Heard>> = HashMap::new();
        for row in heard {
            messages.entry(row.tag).or_default().push(row.heard.into());
        }
        let past = turns.into_iter().map(|(turn, reply)| PastTurn {
            id: TurnId(turn.cast_unsigned()),
            messages: messages.remove(&turn).unwrap_or_default(),
            reply: reply.filter(|text| !text.is_empty()),
        });
        Ok(past.collect())
    }
}

#[derive(sqlx::FromRow)]
struct TaggedRow {
    tag: i64,
    #[sqlx(flatten)]
    heard: HeardRow,
}
