//! Ids as newtypes: Discord's snowflakes, and the names of commands derived from their causes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds from the Unix epoch to the first second of 2015, where snowflakes start counting.
///
/// Source: Discord's reference, "Snowflakes".
pub const DISCORD_EPOCH_MS: u64 = 1_420_070_400_000;

/// A text that is not the id it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

impl ParseIdError {
    pub(crate) fn expected(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(64).collect(), expected }
    }
}

/// A snowflake on the wire: Discord sends strings, a few libraries send numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum WireSnowflake<'a> {
    Text(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Number(u64),
}

macro_rules! snowflake {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// When Discord made this id, in milliseconds since the Unix epoch.
            pub const fn created_unix_ms(self) -> u64 {
                (self.0 >> 22) + DISCORD_EPOCH_MS
            }

            /// The smallest id that Discord could have made at `unix_ms` milliseconds.
            pub const fn at_unix_ms(unix_ms: u64) -> Self {
                Self(unix_ms.saturating_sub(DISCORD_EPOCH_MS) << 22)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text.parse::<u64>() {
                    Ok(number) if number > 0 => Ok(Self(number)),
                    _ => Err(ParseIdError::expected(text, "a Discord id (a positive whole number)")),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match WireSnowflake::deserialize(deserializer)? {
                    WireSnowflake::Text(text) => text.parse().map_err(serde::de::Error::custom),
                    WireSnowflake::Number(number) => Ok(Self(number)),
                }
            }
        }
    )+};
}

snowflake! {
    /// A guild (server) in Discord.
    GuildId,
    /// A channel, thread or direct-message channel in Discord.
    ChannelId,
    /// A message in Discord.
    MessageId,
    /// A person or a bot in Discord.
    UserId,
    /// A turn: named after the oldest message it answers, so that its name follows its cause.
    TurnId,
}

impl From<MessageId> for TurnId {
    fn from(message: MessageId) -> Self {
        Self(message.0)
    }
}

impl From<MessageId> for ChannelId {
    /// The thread that a message opens has the message's own id (Discord's reference, "Threads").
    fn from(message: MessageId) -> Self {
        Self(message.0)
    }
}

/// What a command is for; the last part of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Opens the thread in which a turn is answered.
    Thread,
    /// Opens the reply with its first text.
    Open,
    /// Completes the reply.
    Finish,
    /// Tells something apart from the reply (an apology, a limit reached).
    Notice,
    /// Adds a reaction.
    React,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::Thread, Self::Open, Self::Finish, Self::Notice, Self::React];

    /// The word that stands for it in ids and subjects.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Open => "open",
            Self::Finish => "finish",
            Self::Notice => "notice",
            Self::React => "react",
        }
    }
}

impl FromStr for Purpose {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.word() == text)
            .ok_or_else(|| ParseIdError::expected(text, "a command's purpose"))
    }
}

/// The name of a command, `turn.generation.part.purpose`: the same cause gives the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId {
    /// The turn that the command serves.
    pub turn: TurnId,
    /// 0 for the first answer, one more for each regeneration.
    pub generation: u32,
    /// Which of the turn's commands of this purpose, from 0.
    pub part: u16,
    /// What the command is for.
    pub purpose: Purpose,
}

impl fmt::Display for CommandId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turn, generation, part, purpose } = self;
        write!(formatter, "{turn}.{generation}.{part}.{}", purpose.word())
    }
}

impl FromStr for CommandId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseIdError::expected(text, "a command id (turn.generation.part.purpose)");
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or_else(wrong);
        let id = Self {
            turn: next()?.parse()?,
            generation: next()?.parse().map_err(|_not_a_number| wrong())?,
            part: next()?.parse().map_err(|_not_a_number| wrong())?,
            purpose: next()?.parse()?,
        };
        if parts.next().is_some() { Err(wrong()) } else { Ok(id) }
    }
}

impl Serialize for CommandId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommandId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
