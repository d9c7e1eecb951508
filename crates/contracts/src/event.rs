//! What stands in the headers beside a Discord event, and how events are named.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::envelope::SCHEMA;
use crate::id::{MessageId, ParseIdError, UserId};

/// The schema version of the headers.
pub const HEADER_SCHEMA: &str = "Kotonoha-Schema";
/// The shard that received the event.
pub const HEADER_SHARD: &str = "Kotonoha-Shard";
/// The event's sequence in its Discord session; absent for what a scan found.
pub const HEADER_SEQUENCE: &str = "Kotonoha-Sequence";
/// When the gateway received it, in milliseconds since the Unix epoch.
pub const HEADER_RECEIVED: &str = "Kotonoha-Received";
/// Why the event concerns the bot; only on messages.
pub const HEADER_REASON: &str = "Kotonoha-Reason";
/// What kind of place the message stands in; only on messages.
pub const HEADER_PLACE: &str = "Kotonoha-Place";
/// The bot's own user.
pub const HEADER_BOT: &str = "Kotonoha-Bot";
/// The guild's preferred locale, such as `ja` or `en-US`, where known.
pub const HEADER_LOCALE: &str = "Kotonoha-Locale";

/// Why a message concerns the bot. Messages without a reason are not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It mentions the bot.
    Mention,
    /// It replies to one of the bot's messages.
    Reply,
    /// It stands in a thread that the bot opened.
    OwnThread,
    /// It was written to the bot alone.
    Direct,
    /// It stands in a channel that someone switched on.
    Listening,
    /// The bot wrote it itself: it tells the id of a sent message, and is never answered.
    Own,
    /// An edit after which the message no longer concerns the bot: its text was left out.
    Withdrawn,
}

/// What kind of place a message stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A channel in which a thread can be opened from a message.
    Channel,
    /// A thread, or a place that has no threads: answer where the question stands.
    InPlace,
    /// Direct messages.
    Direct,
}

macro_rules! words {
    ($name:ident, $expected:literal, $($variant:ident = $word:literal),+) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(ParseIdError::expected(text, $expected)),
                }
            }
        }
    };
}

words!(
    Reason,
    "a reason why a message concerns the bot",
    Mention = "mention",
    Reply = "reply",
    OwnThread = "own_thread",
    Direct = "direct",
    Listening = "listening",
    Own = "own",
    Withdrawn = "withdrawn"
);
words!(PlaceKind, "a kind of place", Channel = "channel", InPlace = "in_place", Direct = "direct");

/// What the gateway knows beside the raw event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventMeta {
    /// The shard that received it.
    pub shard: u32,
    /// Its sequence in the Discord session; none for what a scan found.
    pub sequence: Option<u64>,
    /// When the gateway received it, in milliseconds since the Unix epoch.
    pub received_unix_ms: u64,
    /// Why it concerns the bot; only on messages.
    pub reason: Option<Reason>,
    /// What kind of place it stands in; only on messages.
    pub place: Option<PlaceKind>,
    /// The bot's own user, once known.
    pub bot: Option<UserId>,
    /// The guild's preferred locale, where known.
    pub locale: Option<String>,
}

impl EventMeta {
    /// The headers, name and value.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (HEADER_SCHEMA, SCHEMA.to_string()),
            (HEADER_SHARD, self.shard.to_string()),
            (HEADER_RECEIVED, self.received_unix_ms.to_string()),
        ];
        let mut push = |name, value: Option<String>| {
            headers.extend(value.map(|value| (name, value)));
        };
        push(HEADER_SEQUENCE, self.sequence.map(|sequence| sequence.to_string()));
        push(HEADER_REASON, self.reason.map(|reason| reason.to_string()));
        push(HEADER_PLACE, self.place.map(|place| place.to_string()));
        push(HEADER_BOT, self.bot.map(|bot| bot.to_string()));
        push(HEADER_LOCALE, self.locale.clone());
        headers
    }

    /// Reads the headers through `lookup`. What is missing or unreadable is left at its default:
    /// a header must never keep a person's message from being taken in.
    pub fn from_headers<'a>(lookup: impl Fn(&str) -> Option<&'a str>) -> Self {
        fn read<T: FromStr>(text: Option<&str>) -> Option<T> {
            text.and_then(|text| text.parse().ok())
        }
        Self {
            shard: read(lookup(HEADER_SHARD)).unwrap_or_default(),
            sequence: read(lookup(HEADER_SEQUENCE)),
            received_unix_ms: read(lookup(HEADER_RECEIVED)).unwrap_or_default(),
            reason: read(lookup(HEADER_REASON)),
            place: read(lookup(HEADER_PLACE)),
            bot: read(lookup(HEADER_BOT)),
            locale: lookup(HEADER_LOCALE).map(str::to_owned),
        }
    }
}

/// The message id (`Nats-Msg-Id`) of an event, the same whether it came live, resumed or by a scan.
pub fn event_id(kind: &str, message: Option<MessageId>, session: &str, sequence: u64) -> String {
    match (kind, message) {
        ("MESSAGE_CREATE", Some(message)) => format!("create:{message}"),
        _ => format!("{session}:{sequence}"),
    }
}
