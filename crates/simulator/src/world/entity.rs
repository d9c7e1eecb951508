//! The things a world is made of, as plain data.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::world::id::Id;
pub use crate::world::wire::{channel_type, message_flag, message_type};

/// A person or a bot.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id.
    pub id: Id,
    /// The unique name.
    pub name: String,
    /// The name people see.
    pub global_name: Option<String>,
    /// Whether it is a bot.
    pub bot: bool,
}

/// A role of a guild; the one with the guild's own id is `@everyone`.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Permission bits.
    pub permissions: u64,
    /// Place in the hierarchy, 0 at the bottom.
    pub position: u32,
    /// Colour as RGB.
    pub color: u32,
    /// Shown apart in the member list.
    pub hoist: bool,
    /// Whether everyone may mention it.
    pub mentionable: bool,
    /// The bot this role belongs to.
    pub bot_id: Option<Id>,
}

/// A user in a guild.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub user_id: Id,
    /// Name in this guild.
    pub nick: Option<String>,
    /// Roles besides `@everyone`.
    pub roles: Vec<Id>,
    /// When they joined, Unix milliseconds.
    pub joined_ms: u64,
}

/// A guild.
#[derive(Clone, Debug)]
pub struct Guild {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner_id: Id,
    /// The language it prefers, such as `ja`.
    pub preferred_locale: String,
    /// Roles by id.
    pub roles: BTreeMap<Id, Role>,
    /// Members by user id.
    pub members: BTreeMap<Id, Member>,
}

/// Whether an overwrite speaks of a role or of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverwriteKind {
    /// A role.
    Role,
    /// A member.
    Member,
}

/// A channel's exception to the guild's permissions.
#[derive(Clone, Debug)]
pub struct Overwrite {
    /// The role or user it is about.
    pub id: Id,
    /// Which of the two.
    pub kind: OverwriteKind,
    /// Bits granted.
    pub allow: u64,
    /// Bits taken away.
    pub deny: u64,
}

/// What makes a channel a thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Who opened it.
    pub owner_id: Id,
    /// Closed until somebody speaks again.
    pub archived: bool,
    /// Only moderators may open it again.
    pub locked: bool,
    /// Minutes of silence before it is archived.
    pub auto_archive_minutes: u64,
    /// When the archive state last changed, Unix milliseconds.
    pub archive_ms: u64,
    /// When it was opened, Unix milliseconds.
    pub created_ms: u64,
    /// Whether others than moderators may add people (private threads).
    pub invitable: bool,
    /// Messages ever sent in it, without the starter.
    pub total_sent: u64,
    /// Who joined it, and when (Unix milliseconds).
    pub members: BTreeMap<Id, u64>,
}

/// A channel, a direct message channel or a thread.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its id.
    pub id: Id,
    /// One of [`channel_type`].
    pub kind: u8,
    /// The guild it is in; direct messages have none.
    pub guild_id: Option<Id>,
    /// Its name; direct messages have none.
    pub name: String,
    /// What it is about.
    pub topic: Option<String>,
    /// The category of a channel, the channel of a thread.
    pub parent_id: Option<Id>,
    /// Place in the list.
    pub position: u32,
    /// Only for adults.
    pub nsfw: bool,
    /// Seconds a person must wait between messages.
    pub slowmode_seconds: u64,
    /// Exceptions to the guild's permissions.
    pub overwrites: Vec<Overwrite>,
    /// The newest message there ever was, even if it is deleted by now.
    pub last_message_id: Option<Id>,
    /// When something was last pinned, Unix milliseconds.
    pub last_pin_ms: Option<u64>,
    /// The two users of a direct message channel.
    pub recipients: Vec<Id>,
    /// Present in threads.
    pub thread: Option<Thread>,
    /// Messages, oldest first.
    pub messages: BTreeMap<Id, Message>,
}

impl Channel {
    /// Whether it is a thread.
    pub fn is_thread(&self) -> bool {
        self.thread.is_some()
    }

    /// Whether messages can be sent to it at all.
    pub fn is_text(&self) -> bool {
        !matches!(self.kind, channel_type::CATEGORY | channel_type::FORUM)
    }
}

/// A file of a message. Its bytes are in the world's files.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its id.
    pub id: Id,
    /// The name it was sent with, made safe.
    pub filename: String,
    /// What the sender said about it.
    pub description: Option<String>,
    /// Media type.
    pub content_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// A message that another one points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The channel of the other message.
    pub channel_id: Id,
    /// The other message; a thread's announcement points at a channel alone.
    pub message_id: Option<Id>,
    /// The guild of both.
    pub guild_id: Option<Id>,
}

/// An emoji people react with: a character, or an emoji of a guild by id and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emoji {
    /// Absent for characters.
    pub id: Option<Id>,
    /// The character, or the name.
    pub name: String,
}

/// One emoji under a message and who chose it.
#[derive(Clone, Debug)]
pub struct Reaction {
    /// The emoji.
    pub emoji: Emoji,
    /// Who reacted, in order.
    pub users: Vec<Id>,
}

/// Who a message pinged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Users, in order of appearance.
    pub users: Vec<Id>,
    /// Roles, in order of appearance.
    pub roles: Vec<Id>,
    /// `@everyone` or `@here`.
    pub everyone: bool,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub id: Id,
    /// Where it stands.
    pub channel_id: Id,
    /// Who wrote it.
    pub author_id: Id,
    /// One of [`message_type`].
    pub kind: u8,
    /// The text.
    pub content: String,
    /// Bits of [`message_flag`].
    pub flags: u64,
    /// Embeds as they are shown.
    pub embeds: Vec<Value>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// Who was pinged.
    pub mentions: Mentions,
    /// The message it answers.
    pub reference: Option<Reference>,
    /// Reactions in order of first use.
    pub reactions: Vec<Reaction>,
    /// When it was pinned, Unix milliseconds.
    pub pinned_ms: Option<u64>,
    /// Read aloud.
    pub tts: bool,
    /// What its sender named it by, as sent (string or number).
    pub nonce: Option<Value>,
    /// When it was last edited, Unix milliseconds.
    pub edited_ms: Option<u64>,
    /// How often it was edited.
    pub edits: u32,
}
