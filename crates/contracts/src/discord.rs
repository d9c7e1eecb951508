//! The fields of Discord's events that we use, read leniently: unknown and null fields are fine.
//!
//! Field names are those of Discord's reference ("Message Object", "Gateway Events"). The full
//! model of the gateway library stays in `gateway`; a test holds these shapes against it.

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{ChannelId, GuildId, MessageId, UserId};

/// `MESSAGE_CREATE`.
pub const MESSAGE_CREATE: &str = "MESSAGE_CREATE";
/// `MESSAGE_UPDATE`.
pub const MESSAGE_UPDATE: &str = "MESSAGE_UPDATE";
/// `MESSAGE_DELETE`.
pub const MESSAGE_DELETE: &str = "MESSAGE_DELETE";
/// `MESSAGE_DELETE_BULK`.
pub const MESSAGE_DELETE_BULK: &str = "MESSAGE_DELETE_BULK";
/// `THREAD_DELETE`.
pub const THREAD_DELETE: &str = "THREAD_DELETE";
/// `CHANNEL_DELETE`.
pub const CHANNEL_DELETE: &str = "CHANNEL_DELETE";

/// A whole frame of the gateway, as published: only its data is of interest to a consumer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Frame<T> {
    /// The event's data.
    pub d: T,
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A person or bot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// The account's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub username: String,
    /// The name that the person shows to everyone.
    #[serde(default)]
    pub global_name: Option<String>,
    /// Whether it is a bot.
    #[serde(default, deserialize_with = "null_as_default")]
    pub bot: bool,
}

/// What a guild knows of a member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Member {
    /// The name that the person has in this guild.
    #[serde(default)]
    pub nick: Option<String>,
}

/// Which message a message answers or forwards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageReference {
    /// 0 = a reply, 1 = a forward.
    #[serde(default, rename = "type", deserialize_with = "null_as_default")]
    pub kind: u8,
    /// The message.
    #[serde(default)]
    pub message_id: Option<MessageId>,
    /// Its channel.
    #[serde(default)]
    pub channel_id: Option<ChannelId>,
}

/// The message that a reply answers, as far as it is sent along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferencedMessage {
    /// The message.
    pub id: MessageId,
    /// Who wrote it.
    pub author: User,
    /// What it says.
    #[serde(default, deserialize_with = "null_as_default")]
    pub content: String,
}

/// A forwarded message's text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MessageSnapshot {
    /// The message as it was when it was forwarded.
    #[serde(default, deserialize_with = "null_as_default")]
    pub message: SnapshotMessage,
}

/// The part of a forwarded message that we read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SnapshotMessage {
    /// What it says.
    #[serde(default, deserialize_with = "null_as_default")]
    pub content: String,
}

/// A file beside a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub filename: String,
    /// Its size in bytes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub size: u64,
    /// Its media type, where known.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// A message as it is created or, whole, edited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Which message.
    pub id: MessageId,
    /// Where.
    pub channel_id: ChannelId,
    /// In which guild; none in direct messages.
    #[serde(default)]
    pub guild_id: Option<GuildId>,
    /// Who wrote it.
    pub author: User,
    /// The author as a member of the guild.
    #[serde(default)]
    pub member: Option<Member>,
    /// What it says; empty without the message-content intent.
    #[serde(default, deserialize_with = "null_as_default")]
    pub content: String,
    /// Whom it mentions.
    #[serde(default, deserialize_with = "null_as_default")]
    pub mentions: Vec<User>,
    /// Which message it answers or forwards.
    #[serde(default)]
    pub message_reference: Option<MessageReference>,
    /// The message it answers, as far as Discord sent it along.
    #[serde(default)]
    pub referenced_message: Option<Box<ReferencedMessage>>,
    /// What it forwards.
    #[serde(default, deserialize_with = "null_as_default")]
    pub message_snapshots: Vec<MessageSnapshot>,
    /// Its files.
    #[serde(default, deserialize_with = "null_as_default")]
    pub attachments: Vec<Attachment>,
    /// When it was last edited, as ISO 8601.
    #[serde(default)]
    pub edited_timestamp: Option<String>,
    /// What the sender gave along to recognise it by.
    #[serde(default)]
    pub nonce: Option<serde_json::Value>,
    /// 0 = ordinary, 19 = reply; others are notes of Discord's own.
    #[serde(default, rename = "type", deserialize_with = "null_as_default")]
    pub kind: u8,
    /// Set where a webhook wrote it.
    #[serde(default)]
    pub webhook_id: Option<serde_json::Value>,
    /// The kind of its channel, where Discord says.
    #[serde(default)]
    pub channel_type: Option<u8>,
}

impl Message {
    /// The name to call the author by: the guild's, else the person's own, else the account's.
    pub fn author_name(&self) -> &str {
        let nick = self.member.as_ref().and_then(|member| member.nick.as_deref());
        nick.or(self.author.global_name.as_deref()).unwrap_or(&self.author.username)
    }
}

/// A message that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDelete {
    /// Which message.
    pub id: MessageId,
    /// Where.
    pub channel_id: ChannelId,
}

/// Messages that were deleted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDeleteBulk {
    /// Which messages.
    pub ids: Vec<MessageId>,
    /// Where.
    pub channel_id: ChannelId,
}

/// A channel or thread that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelGone {
    /// Which channel.
    pub id: ChannelId,
}
