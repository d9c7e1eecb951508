//! What the gateway reads of a frame: its header by a scan, and the few fields that filters need.

use std::borrow::Cow;

use contracts::id::{ChannelId, GuildId, MessageId, UserId};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use twilight_model::gateway::event::GatewayEventDeserializer;

/// The op of a dispatch.
pub(crate) const DISPATCH: u8 = 0;
/// The op by which Discord says that a session cannot go on.
pub(crate) const INVALID_SESSION: u8 = 9;

/// The head of a frame, found without parsing its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// What the frame is.
    pub op: u8,
    /// Its sequence, where it is a dispatch.
    pub sequence: Option<u64>,
    /// Its type, where it is a dispatch.
    pub kind: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// Scans for the head; none where there is no op.
    pub(crate) fn scan(text: &'a str) -> Option<Self> {
        let (op, sequence, kind) = GatewayEventDeserializer::from_json(text)?.into_parts();
        Some(Self { op, sequence, kind })
    }
}

/// Reads the data of a frame.
pub(crate) fn data<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    #[derive(Deserialize)]
    struct Frame<T> {
        d: T,
    }
    serde_json::from_str::<Frame<T>>(text).map(|frame| frame.d)
}

/// A snowflake, read without a detour over an owned string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snowflake(pub u64);

impl<'de> Deserialize<'de> for Snowflake {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Snowflake;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a Discord id")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Snowflake, E> {
                match text.parse::<u64>() {
                    Ok(number) if number > 0 => Ok(Snowflake(number)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Snowflake, E> {
                Ok(Snowflake(number))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

macro_rules! snowflake_into {
    ($($name:ident),+) => {$(
        impl From<Snowflake> for $name {
            fn from(id: Snowflake) -> Self {
                Self(id.0)
            }
        }
    )+};
}
snowflake_into!(ChannelId, GuildId, MessageId, UserId);

/// Something of which only the id is read.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct WithId {
    /// Its id.
    pub id: Snowflake,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Author {
    /// Who.
    pub id: Snowflake,
    /// Whether it is a bot.
    #[serde(default)]
    pub bot: Option<bool>,
}

/// Which message a message answers or forwards.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Reference {
    /// 0 or none = a reply, 1 = a forward.
    #[serde(default, rename = "type")]
    pub kind: Option<u8>,
}

/// The message that a reply answers.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Referenced {
    /// Who wrote it.
    pub author: WithId,
}

/// The fields of a message that decide where it goes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MessageHead<'a> {
    /// Which message.
    pub id: Snowflake,
    /// Where.
    pub channel_id: Snowflake,
    /// In which guild.
    #[serde(default)]
    pub guild_id: Option<Snowflake>,
    /// Who wrote it; partial updates leave it out.
    #[serde(default)]
    pub author: Option<Author>,
    /// Whom it mentions by name. `@everyone` does not stand here.
    #[serde(default)]
    pub mentions: Option<Vec<WithId>>,
    /// Which message it answers or forwards.
    #[serde(default)]
    pub message_reference: Option<Reference>,
    /// The message it answers.
    #[serde(default)]
    pub referenced_message: Option<Referenced>,
    /// 0 = ordinary, 19 = reply.
    #[serde(default, rename = "type")]
    pub kind: Option<u8>,
    /// Set where a webhook wrote it.
    #[serde(default)]
    pub webhook_id: Option<Snowflake>,
    /// The kind of its channel, where Discord says.
    #[serde(default)]
    pub channel_type: Option<u8>,
    /// When a person last edited it.
    #[serde(default, borrow)]
    pub edited_timestamp: Option<Cow<'a, str>>,
}

/// A deletion of a message, or of several.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct DeletionHead {
    /// Where.
    pub channel_id: Snowflake,
    /// In which guild.
    #[serde(default)]
    pub guild_id: Option<Snowflake>,
}

/// A channel or thread.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct ChannelHead {
    /// Which.
    pub id: Snowflake,
    /// In which guild; channels inside a guild's own event leave it out.
    #[serde(default)]
    pub guild_id: Option<Snowflake>,
    /// Its kind.
    #[serde(default, rename = "type")]
    pub kind: Option<u8>,
    /// Who opened it, where it is a thread.
    #[serde(default)]
    pub owner_id: Option<Snowflake>,
    /// The channel that a thread stands in.
    #[serde(default)]
    pub parent_id: Option<Snowflake>,
}

/// A guild as far as the directory keeps it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GuildHead<'a> {
    /// Which.
    pub id: Snowflake,
    /// Its preferred locale.
    #[serde(default, borrow)]
    pub preferred_locale: Option<Cow<'a, str>>,
    /// Its channels.
    #[serde(default)]
    pub channels: Option<Vec<ChannelHead>>,
    /// Its active threads.
    #[serde(default)]
    pub threads: Option<Vec<ChannelHead>>,
}

/// Active threads, sent when access to a channel is gained.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ThreadList {
    /// In which guild.
    pub guild_id: Snowflake,
    /// The threads.
    #[serde(default)]
    pub threads: Option<Vec<ChannelHead>>,
}

/// What a new session begins with.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ready {
    /// Our own user.
    pub user: WithId,
    /// The session's id.
    pub session_id: String,
    /// Where to resume it.
    pub resume_gateway_url: String,
}

/// A frame of our own making, for what is forwarded without its text.
#[derive(Debug, Serialize)]
struct Written<'a, T> {
    t: &'a str,
    s: u64,
    op: u8,
    d: T,
}

fn write<T: Serialize>(kind: &str, sequence: u64, data: T) -> Vec<u8> {
    serde_json::to_vec(&Written { t: kind, s: sequence, op: DISPATCH, d: data })
        .expect("strings, numbers and nulls always serialise")
}

/// An edit without its text: only which message, whose, and when.
pub(crate) fn withdrawn(kind: &str, sequence: u64, head: &MessageHead<'_>) -> Vec<u8> {
    let data = serde_json::json!({
        "id": head.id.0.to_string(),
        "channel_id": head.channel_id.0.to_string(),
        "guild_id": head.guild_id.map(|id| id.0.to_string()),
        "author": head.author.map(|author| serde_json::json!({"id": author.id.0.to_string()})),
        "edited_timestamp": head.edited_timestamp,
    });
    write(kind, sequence, data)
}

/// A channel's or thread's end without its name and topic.
pub(crate) fn channel_gone(kind: &str, sequence: u64, head: &ChannelHead) -> Vec<u8> {
    let data = serde_json::json!({
        "id": head.id.0.to_string(),
        "guild_id": head.guild_id.map(|id| id.0.to_string()),
        "parent_id": head.parent_id.map(|id| id.0.to_string()),
        "type": head.kind,
    });
    write(kind, sequence, data)
}

/// What may be kept of a frame that nobody could read or that is too large: its head, the ids in
/// its data where it is JSON, and never its text, for whose keeping nobody gave a reason.
pub(crate) fn remains(text: &str) -> Vec<u8> {
    const KEPT: [&str; 8] =
        ["id", "ids", "channel_id", "guild_id", "type", "edited_timestamp", "nonce", "webhook_id"];
    let header = Header::scan(text);
    let (kind, sequence) = header.map_or((None, None), |header| (header.kind, header.sequence));
    let mut kept = serde_json::Map::new();
    if let Ok(serde_json::Value::Object(fields)) = data::<serde_json::Value>(text) {
        kept.extend(fields.into_iter().filter(|(name, _)| KEPT.contains(&name.as_str())));
    }
    let frame = serde_json::json!({"t": kind, "s": sequence, "op": DISPATCH, "d": kept});
    frame.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_found_without_reading_the_data() {
        let text = r#"{"t":"MESSAGE_CREATE","s":42,"op":0,"d":{"broken"#;
        let header = Header::scan(text).unwrap();
        assert_eq!(
            (header.op, header.sequence, header.kind.as_deref()),
            (0, Some(42), Some("MESSAGE_CREATE"))
        );
    }

    #[test]
    fn a_message_with_unknown_null_and_missing_fields_is_read() {
        let text = r#"{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{"id":"5","channel_id":6,"mentions":null,
            "author":{"id":"7","bot":null},"surprise":[{}],"webhook_id":null,"type":null}}"#;
        let head: MessageHead<'_> = data(text).unwrap();
        assert_eq!((head.id.0, head.channel_id.0, head.author.unwrap().id.0), (5, 6, 7));
        assert!(head.mentions.is_none() && head.kind.is_none());
    }

    #[test]
    fn what_is_kept_of_an_unreadable_frame_holds_no_text() {
        let text = r#"{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{"id":[],"channel_id":"6",
            "content":"private words","embeds":[{"title":"private"}]}}"#;
        let kept = String::from_utf8(remains(text)).unwrap();
        assert!(kept.contains("channel_id") && !kept.contains("private"), "{kept}");
        let broken = r#"{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{"content":"private"#;
        assert!(!String::from_utf8(remains(broken)).unwrap().contains("private"));
    }
}
