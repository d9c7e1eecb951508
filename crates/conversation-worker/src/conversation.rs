//! Which conversation a message belongs to: a key that never mixes guilds, channels or users.

use std::fmt;

use contracts::event::{PlaceKind, Reason};
use contracts::id::{ChannelId, GuildId, MessageId, UserId};

/// Discord's channel types of threads (announcement, public, private).
const THREAD_TYPES: std::ops::RangeInclusive<u8> = 10..=12;

/// A conversation's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A thread, everyone in it: one of ours, one about to be opened, or one we were called into.
    Thread {
        /// Its guild.
        guild: GuildId,
        /// The thread.
        thread: ChannelId,
        /// The channel in which it is to be opened, where it is about to be.
        opened_in: Option<ChannelId>,
    },
    /// Direct messages with one person.
    Direct {
        /// Their channel.
        channel: ChannelId,
    },
    /// One person in a channel without a thread.
    Person {
        /// The guild.
        guild: GuildId,
        /// The channel.
        channel: ChannelId,
        /// The person.
        user: UserId,
    },
}

/// Where a message stands, as far as its conversation depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    /// The message.
    pub message: MessageId,
    /// Its guild; none in direct messages.
    pub guild: Option<GuildId>,
    /// Its channel.
    pub channel: ChannelId,
    /// The channel's kind, where Discord said so.
    pub channel_type: Option<u8>,
    /// Its author.
    pub author: UserId,
    /// Why it concerns the bot.
    pub reason: Reason,
    /// What kind of place it stands in.
    pub place: PlaceKind,
}

impl Spot {
    /// Whether the answer goes into a thread opened from this message.
    pub fn opens_thread(&self) -> bool {
        self.guild.is_some() && self.place == PlaceKind::Channel && self.reason == Reason::Mention
    }

    /// The conversation, as far as the place alone tells. A reply to a message of ours goes on
    /// with that message's conversation instead.
    pub fn key(&self) -> Key {
        let Some(guild) = self.guild else { return Key::Direct { channel: self.channel } };
        if self.opens_thread() {
            let thread = self.message.into();
            return Key::Thread { guild, thread, opened_in: Some(self.channel) };
        }
        let in_thread = match self.place {
            PlaceKind::Channel | PlaceKind::Direct => false,
            PlaceKind::InPlace => {
                self.reason == Reason::OwnThread
                    || self.channel_type.is_none_or(|kind| THREAD_TYPES.contains(&kind))
            }
        };
        if in_thread {
            Key::Thread { guild, thread: self.channel, opened_in: None }
        } else {
            Key::Person { guild, channel: self.channel, user: self.author }
        }
    }
}

impl Key {
    /// The guild, if it is in one.
    pub fn guild(&self) -> Option<GuildId> {
        match self {
            Self::Thread { guild, .. } | Self::Person { guild, .. } => Some(*guild),
            Self::Direct { .. } => None,
        }
    }

    /// Where the conversation goes on.
    pub fn channel(&self) -> ChannelId {
        match self {
            Self::Thread { thread, .. } => *thread,
            Self::Direct { channel } | Self::Person { channel, .. } => *channel,
        }
    }

    /// The channel in which its thread is to be opened.
    pub fn opened_in(&self) -> Option<ChannelId> {
        match self {
            Self::Thread { opened_in, .. } => *opened_in,
            Self::Direct { .. } | Self::Person { .. } => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread { guild, thread, .. } => write!(formatter, "thread:{guild}:{thread}"),
            Self::Direct { channel } => write!(formatter, "direct:{channel}"),
            Self::Person { guild, channel, user } => {
                write!(formatter, "person:{guild}:{channel}:{user}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spot(reason: Reason, place: PlaceKind) -> Spot {
        Spot {
            message: MessageId(900),
            guild: Some(GuildId(1)),
            channel: ChannelId(20),
            channel_type: None,
            author: UserId(300),
            reason,
            place,
        }
    }

    #[test]
    fn a_mention_in_a_channel_belongs_to_the_thread_that_it_opens() {
        let question = spot(Reason::Mention, PlaceKind::Channel);
        let follow_up = Spot {
            message: MessageId(901),
            channel: ChannelId(900),
            author: UserId(301),
            ..spot(Reason::OwnThread, PlaceKind::InPlace)
        };
        assert!(question.opens_thread());
        assert!(!follow_up.opens_thread());
        assert_eq!(question.key().to_string(), follow_up.key().to_string());
    }

    #[test]
    fn two_people_in_a_channel_without_threads_are_kept_apart() {
        let voice = Spot { channel_type: Some(2), ..spot(Reason::Mention, PlaceKind::InPlace) };
        let other = Spot { author: UserId(301), ..voice };
        assert_ne!(voice.key(), other.key());
        let thread = Spot { channel_type: Some(11), ..voice };
        let other = Spot { author: UserId(301), ..thread };
        assert_eq!(thread.key(), other.key());
    }

    #[test]
    fn a_direct_message_has_the_key_of_its_channel() {
        let direct = Spot { guild: None, ..spot(Reason::Direct, PlaceKind::Direct) };
        assert_eq!(direct.key().to_string(), "direct:20");
    }

    proptest! {
        #[test]
        fn keys_of_different_guilds_or_channels_are_never_equal(
            guilds in (1_u64..9, 1_u64..9), channels in (1_u64..9, 1_u64..9),
            users in (1_u64..9, 1_u64..9), kinds in (0_u8..6, 0_u8..6),
        ) {
            let make = |guild, channel, user, kind: u8| {
                let reason = if kind.is_multiple_of(2) { Reason::Mention } else { Reason::Reply };
                let place = [PlaceKind::Channel, PlaceKind::InPlace, PlaceKind::InPlace]
                    [usize::from(kind / 2)];
                Spot {
                    // No thread is opened here: its id would be the message's own.
                    reason: if place == PlaceKind::Channel { Reason::Reply } else { reason },
                    guild: Some(GuildId(guild)),
                    channel: ChannelId(channel),
                    author: UserId(user),
                    channel_type: (kind == 4).then_some(2),
                    ..spot(reason, place)
                }
            };
            let left = make(guilds.0, channels.0, users.0, kinds.0);
            let right = make(guilds.1, channels.1, users.1, kinds.1);
            if guilds.0 != guilds.1 || channels.0 != channels.1 {
                prop_assert_ne!(left.key().to_string(), right.key().to_string());
            }
        }
    }
}
