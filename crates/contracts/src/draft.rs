//! The text so far of a reply that is being written.

use serde::{Deserialize, Serialize};

use crate::command::Place;
use crate::id::TurnId;

/// How many drafts of one turn may leave the worker each second.
pub const DRAFTS_PER_SECOND_MAX: u32 = 10;

/// How often an empty draft keeps the typing indicator alive, in seconds. Discord shows it for 10.
pub const TYPING_EVERY_SECONDS: u64 = 5;

/// The text so far. It only ever edits a message that a command opened; the newest wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The turn being answered.
    pub turn: TurnId,
    /// Which answer to the turn.
    pub generation: u32,
    /// Grows with every draft of a generation.
    pub revision: u64,
    /// Where the answer goes.
    pub place: Place,
    /// The whole text so far; empty = still thinking, show that we are typing.
    pub text: String,
}
