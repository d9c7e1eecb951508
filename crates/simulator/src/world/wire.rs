//! Discord's numbers for kinds of channels and messages.

/// Channel types, by the numbers of the wire.
pub mod channel_type {
    /// A text channel of a guild.
    pub const TEXT: u8 = 0;
    /// A direct message channel.
    pub const DM: u8 = 1;
    /// A voice channel.
    pub const VOICE: u8 = 2;
    /// A category of channels.
    pub const CATEGORY: u8 = 4;
    /// An announcement channel.
    pub const ANNOUNCEMENT: u8 = 5;
    /// A thread in an announcement channel.
    pub const ANNOUNCEMENT_THREAD: u8 = 10;
    /// A public thread.
    pub const PUBLIC_THREAD: u8 = 11;
    /// A private thread.
    pub const PRIVATE_THREAD: u8 = 12;
    /// A stage channel.
    pub const STAGE: u8 = 13;
    /// A forum channel.
    pub const FORUM: u8 = 15;
}

/// Message types, by the numbers of the wire.
pub mod message_type {
    /// An ordinary message.
    pub const DEFAULT: u8 = 0;
    /// Somebody pinned a message.
    pub const PINNED: u8 = 6;
    /// A thread was opened without a starting message of its own.
    pub const THREAD_CREATED: u8 = 18;
    /// A reply.
    pub const REPLY: u8 = 19;
    /// The first entry of a thread, which points at the message it was opened from.
    pub const THREAD_STARTER: u8 = 21;
}

/// Message flags, by the bits of the wire.
pub mod message_flag {
    /// Embeds are hidden.
    pub const SUPPRESS_EMBEDS: u64 = 1 << 2;
    /// The message has a thread.
    pub const HAS_THREAD: u64 = 1 << 5;
    /// The message made no sound.
    pub const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;
    /// The message is made of components alone.
    pub const IS_COMPONENTS_V2: u64 = 1 << 15;
}
