//! What services want done in Discord, and what Discord answered.

use serde::{Deserialize, Serialize};

use crate::id::{ChannelId, CommandId, GuildId, MessageId, Purpose};
use crate::subject;

/// Where a turn is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The guild, or none in direct messages.
    pub guild_id: Option<GuildId>,
    /// The channel that the question stands in.
    pub channel_id: ChannelId,
    /// The question: every part of the answer replies to it.
    pub question: MessageId,
    /// Set where the answer goes into a thread opened from the question. Where Discord does not
    /// let us open it, the answer goes into `channel_id` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadPlan>,
}

impl Place {
    /// The channel that the answer is meant for: the thread to open, or the question's channel.
    pub fn target(&self) -> ChannelId {
        if self.thread.is_some() { self.question.into() } else { self.channel_id }
    }
}

/// The thread to open from the question. Its id will be the question's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadPlan {
    /// The thread's name, 1 to 100 characters.
    pub name: String,
}

/// One thing to be done in Discord.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The command's name, derived from its cause.
    pub id: CommandId,
    /// Where it is to be done.
    pub place: Place,
    /// What is to be done.
    pub action: Action,
}

impl Command {
    /// The subject that the command is published on.
    ///
    /// All commands of a turn share the target channel, so that they stay in order.
    pub fn subject(&self) -> String {
        subject::command(self.id.purpose, self.place.target())
    }
}

/// What is to be done in Discord. Only these create messages; drafts only edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Open the thread of `place` now, before there is text.
    OpenThread,
    /// Create the reply's first message with the first text of the answer.
    OpenReply {
        /// The text so far, of any length above 0.
        text: String,
    },
    /// Bring the reply to its final text, in as many messages as it takes.
    FinishReply {
        /// The whole answer, of any length above 0.
        text: String,
        /// Messages of this reply that the worker knows of, in order of their parts.
        #[serde(default)]
        messages: Vec<MessageId>,
    },
    /// Say something beside the reply.
    Notice {
        /// The text, of any length above 0.
        text: String,
    },
    /// React to the question.
    React {
        /// A Unicode emoji, or `name:id` of a guild's own.
        emoji: String,
    },
}

impl Action {
    /// The purpose that a command with this action has in its id.
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::OpenThread => Purpose::Thread,
            Self::OpenReply { .. } => Purpose::Open,
            Self::FinishReply { .. } => Purpose::Finish,
            Self::Notice { .. } => Purpose::Notice,
            Self::React { .. } => Purpose::React,
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// The command's name.
    pub command: CommandId,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a command in Discord.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Done {
        /// The channel in which it was done: the thread, or the question's channel.
        channel_id: ChannelId,
        /// The messages of the reply or notice, in order of their parts.
        messages: Vec<MessageId>,
    },
    /// It will not be done: asking again would not help.
    Failed {
        /// Why, for the one who decides what to do now.
        class: FailureClass,
        /// Discord's own error code, such as 50013.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u32>,
        /// Why, for the operator. Never message text.
        reason: String,
    },
}

/// Why Discord will not do a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The channel, thread or message is no longer there.
    Gone,
    /// We lack a permission there.
    Forbidden,
    /// Discord does not accept the request itself.
    Invalid,
}
