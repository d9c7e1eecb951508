//! What was said lately, kept in memory beside the database, which counts every change of it.
//!
//! A conversation that goes on is asked for its past with every turn. What is kept here is only
//! used while the database's count of changes (`lanes.past_changes`, kept by triggers) is what it
//! was: an edit or a deletion, by whichever process, makes it void.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::history::{History, PastTurn, TURNS_MAX};
use super::id;

/// How much text is kept for all conversations together.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// So many more turns than a prompt reaches are kept before old ones go.
const TURNS_SPARE: usize = 64;
/// What a message takes beside its text.
const MESSAGE_BYTES: usize = 256;

/// The newest part of a conversation's past.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) history: Arc<History>,
    /// How often the past had changed when it was read.
    pub(super) changes: i64,
    /// The newest turn that was looked at, whether it said something or not.
    pub(super) newest: i64,
    /// Whether it reaches back to the beginning, or as far as any prompt does.
    pub(super) is_whole: bool,
}

/// The past of conversations that were lively lately.
#[derive(Debug, Default)]
pub(super) struct Past(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    conversations: HashMap<i64, Entry>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    remembered: Remembered,
    bytes: usize,
    used: u64,
}

impl Remembered {
    /// Whether it is enough for a prompt of so many tokens.
    pub(super) fn reaches(&self, tokens_max: u64) -> bool {
        self.is_whole || self.history.tokens() >= tokens_max
    }

    /// Adds turns that have ended since (newest first), and lets go of old ones that no prompt of
    /// so many tokens reaches.
    pub(super) fn add(&mut self, newest_first: Vec<PastTurn>, tokens_max: u64) {
        let Some(newest) = newest_first.first() else { return };
        self.newest = id(newest.id.0);
        let history = Arc::make_mut(&mut self.history);
        for turn in newest_first.into_iter().rev() {
            if turn.says_something() {
                history.add(turn);
            }
        }
        // In steps, so that a long conversation is not moved with every turn.
        if history.tokens() > tokens_max.saturating_mul(2)
            || history.turns().len() > TURNS_MAX + TURNS_SPARE
        {
            // Not down to what is reached now: with every answer that shows the model's tokenizer
            // to be a little kinder, a prompt reaches a little further, and all would be read anew.
            let kept = tokens_max.saturating_add(tokens_max / 2);
            let is_shorter = history.shorten(TURNS_MAX, kept);
            self.is_whole &= !is_shorter || history.turns().len() >= TURNS_MAX;
        }
    }

    fn bytes(&self) -> usize {
        let text = |turn: &PastTurn| {
            let asked: usize = turn
                .messages
                .iter()
                .map(|heard| MESSAGE_BYTES + heard.content.len() + heard.reference_content.len())
                .sum();
            asked + turn.reply.as_ref().map_or(0, |reply| MESSAGE_BYTES + reply.len())
        };
        self.history.turns().iter().map(text).sum()
    }
}

impl Past {
    /// What is remembered of a conversation, which is then no longer kept here: whoever uses it
    /// adds to it and keeps it again.
    pub(super) fn take(&self, conversation: i64) -> Option<Remembered> {
        let mut kept = self.kept();
        let entry = kept.conversations.remove(&conversation)?;
        kept.bytes -= entry.bytes;
        Some(entry.remembered)
    }

    /// Keeps it, in the place of what was used longest ago where there is no room.
    pub(super) fn keep(&self, conversation: i64, remembered: Remembered) -> Arc<History> {
        let history = Arc::clone(&remembered.history);
        let bytes = remembered.bytes();
        if history.turns().is_empty() || bytes > BYTES_MAX {
            return history;
        }
        let mut kept = self.kept();
        kept.uses += 1;
        let entry = Entry { remembered, bytes, used: kept.uses };
        kept.bytes += bytes;
        if let Some(old) = kept.conversations.insert(conversation, entry) {
            kept.bytes -= old.bytes;
        }
        while kept.bytes > BYTES_MAX {
            let oldest = kept.conversations.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(conversation, _)| *conversation) else { break };
            if let Some(entry) = kept.conversations.remove(&oldest) {
                kept.bytes -= entry.bytes;
            }
        }
        history
    }

    pub(super) fn clear(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
