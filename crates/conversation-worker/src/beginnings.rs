//! Where the last prompt of each conversation began.
//!
//! A prompt that begins where the last one did is cheap: providers keep the part that two prompts
//! share. What is forgotten here costs one such saving and nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contracts::id::TurnId;

/// More conversations than are lively at a time anywhere; a few hundred kilobytes at most.
const CONVERSATIONS_MAX: usize = 10_000;

/// Where the last prompt of each conversation began.
#[derive(Debug, Default)]
pub struct Beginnings(Mutex<HashMap<i64, TurnId>>);

impl Beginnings {
    /// The turn with which the conversation's last prompt began, as far as known.
    pub fn get(&self, conversation: i64) -> Option<TurnId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&conversation).copied()
    }

    /// The conversation's prompt begins with this turn now; none = with the question itself.
    pub fn set(&self, conversation: i64, turn: Option<TurnId>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match turn {
            None => drop(known.remove(&conversation)),
            Some(turn) => {
                if known.len() >= CONVERSATIONS_MAX && !known.contains_key(&conversation) {
                    known.clear();
                }
                known.insert(conversation, turn);
            }
        }
    }
}
