//! A turn: the messages it answers, where the answer goes, and how it may end.

use contracts::command::Place;
use contracts::id::{CommandId, GuildId, MessageId, Purpose, TurnId, UserId};

use crate::language::Language;

/// Which turn, under which claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnRef {
    /// The turn.
    pub id: TurnId,
    /// Its conversation, which is its lane.
    pub conversation: i64,
    /// Which answer to it.
    pub generation: u32,
    /// The claim: every write checks that there was no later one.
    pub epoch: i64,
}

/// A message as the prompt needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The message.
    pub id: MessageId,
    /// Who wrote it.
    pub author: UserId,
    /// Their name.
    pub author_name: String,
    /// The bot's own user, whose mentions are no text.
    pub bot: Option<UserId>,
    /// What it says.
    pub content: String,
    /// The names of its files, one a line.
    pub attachments: String,
    /// What it forwards.
    pub forwarded: String,
    /// The message it answers, if it is known.
    pub reference: Option<MessageId>,
    /// Whether that message is the bot's own.
    pub reference_is_own: bool,
    /// That message's author.
    pub reference_name: String,
    /// What that message says.
    pub reference_content: String,
}

/// A turn that is being answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Which, under which claim.
    pub at: TurnRef,
    /// Whose place in the caps it takes.
    pub user: UserId,
    /// Its guild; none in direct messages.
    pub guild: Option<GuildId>,
    /// Where the answer goes.
    pub place: Place,
    /// The language to answer in.
    pub language: Language,
    /// What it answers, oldest first.
    pub messages: Vec<Heard>,
    /// The attempt whose row was just written, from 1.
    pub attempt: u32,
    /// What the reply was opened with, where an earlier run got that far.
    pub opened_with: Option<String>,
    /// When the oldest message was received, in milliseconds since the Unix epoch.
    pub received_unix_ms: u64,
}

/// How a turn's answer turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Answered.
    Answer,
    /// Answered as far as the model came.
    Partial,
    /// Not answered; the person is told so.
    Notice,
}

impl Ending {
    /// The word that stands for it in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Partial => "partial",
            Self::Notice => "notice",
        }
    }
}

impl TurnRef {
    /// The name of the command that opens the reply.
    pub fn opening(&self) -> CommandId {
        CommandId { turn: self.id, generation: self.generation, part: 0, purpose: Purpose::Open }
    }
}
