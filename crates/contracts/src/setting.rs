//! The keys of the live switches in the `settings` bucket.

use crate::id::{ChannelId, GuildId};

/// What a switch that is on holds.
pub const ON: &str = "on";

const OWN_THREAD: &str = "thread.";
const LISTENING: &str = "listen.";
const LOCALE: &str = "locale.";

/// A key of the `settings` bucket, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// A thread that the bot opened; its value is [`ON`].
    OwnThread(ChannelId),
    /// A channel that someone switched on; its value is [`ON`].
    Listening(ChannelId),
    /// A guild's preferred locale, such as `ja`.
    Locale(GuildId),
}

impl Setting {
    /// The key under which it is kept.
    pub fn key(self) -> String {
        match self {
            Self::OwnThread(thread) => format!("{OWN_THREAD}{thread}"),
            Self::Listening(channel) => format!("{LISTENING}{channel}"),
            Self::Locale(guild) => format!("{LOCALE}{guild}"),
        }
    }

    /// Reads a key; none where it is the key of something else.
    pub fn from_key(key: &str) -> Option<Self> {
        if let Some(id) = key.strip_prefix(OWN_THREAD) {
            return id.parse().ok().map(Self::OwnThread);
        }
        if let Some(id) = key.strip_prefix(LISTENING) {
            return id.parse().ok().map(Self::Listening);
        }
        key.strip_prefix(LOCALE)?.parse().ok().map(Self::Locale)
    }
}
