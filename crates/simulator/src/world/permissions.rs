//! Who may do what where, by Discord's own algorithm.

use crate::world::World;
use crate::world::entity::{Channel, Guild, OverwriteKind, channel_type};
use crate::world::id::Id;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        $($(#[$doc])* pub const $name: u64 = 1 << $bit;)*
        /// Every permission by the name of Discord's documentation.
        pub const NAMES: &[(&str, u64)] = &[$((stringify!($name), $name)),*];
    };
}

permissions! {
    /// Make invites.
    CREATE_INSTANT_INVITE = 0;
    /// Remove members.
    KICK_MEMBERS = 1;
    /// Ban members.
    BAN_MEMBERS = 2;
    /// Everything, whatever the overwrites say.
    ADMINISTRATOR = 3;
    /// Change channels.
    MANAGE_CHANNELS = 4;
    /// Change the guild.
    MANAGE_GUILD = 5;
    /// React with an emoji nobody used yet.
    ADD_REACTIONS = 6;
    /// Read the audit log.
    VIEW_AUDIT_LOG = 7;
    /// Speak over others.
    PRIORITY_SPEAKER = 8;
    /// Share a screen.
    STREAM = 9;
    /// See a channel at all.
    VIEW_CHANNEL = 10;
    /// Send messages in channels.
    SEND_MESSAGES = 11;
    /// Send messages that are read aloud.
    SEND_TTS_MESSAGES = 12;
    /// Delete, pin and edit others' messages.
    MANAGE_MESSAGES = 13;
    /// Have links and embeds shown.
    EMBED_LINKS = 14;
    /// Send files.
    ATTACH_FILES = 15;
    /// Read messages that were sent before.
    READ_MESSAGE_HISTORY = 16;
    /// Ping everyone, here and any role.
    MENTION_EVERYONE = 17;
    /// Use emoji of other guilds.
    USE_EXTERNAL_EMOJIS = 18;
    /// See the guild's insights.
    VIEW_GUILD_INSIGHTS = 19;
    /// Join voice channels.
    CONNECT = 20;
    /// Speak in voice channels.
    SPEAK = 21;
    /// Change one's own nickname.
    CHANGE_NICKNAME = 26;
    /// Change others' nicknames.
    MANAGE_NICKNAMES = 27;
    /// Change roles below one's own.
    MANAGE_ROLES = 28;
    /// Change webhooks.
    MANAGE_WEBHOOKS = 29;
    /// Use application commands.
    USE_APPLICATION_COMMANDS = 31;
    /// Delete, lock and archive threads, and see private ones.
    MANAGE_THREADS = 34;
    /// Open public threads.
    CREATE_PUBLIC_THREADS = 35;
    /// Open private threads.
    CREATE_PRIVATE_THREADS = 36;
    /// Use stickers of other guilds.
    USE_EXTERNAL_STICKERS = 37;
    /// Send messages in threads.
    SEND_MESSAGES_IN_THREADS = 38;
    /// Put members in time-out.
    MODERATE_MEMBERS = 40;
    /// Send voice messages.
    SEND_VOICE_MESSAGES = 46;
    /// Send polls.
    SEND_POLLS = 49;
    /// Pin and unpin messages.
    PIN_MESSAGES = 51;
    /// Ignore slow mode.
    BYPASS_SLOWMODE = 52;
}

/// Every bit that has a name.
pub const ALL: u64 = {
    let mut all = 0;
    let mut index = 0;
    while index < NAMES.len() {
        all |= NAMES[index].1;
        index += 1;
    }
    all
};

/// What `@everyone` may do in a new guild.
pub const DEFAULT: u64 = CREATE_INSTANT_INVITE
    | ADD_REACTIONS
    | STREAM
    | VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | MENTION_EVERYONE
    | USE_EXTERNAL_EMOJIS
    | CONNECT
    | SPEAK
    | CHANGE_NICKNAME
    | USE_APPLICATION_COMMANDS
    | CREATE_PUBLIC_THREADS
    | CREATE_PRIVATE_THREADS
    | USE_EXTERNAL_STICKERS
    | SEND_MESSAGES_IN_THREADS
    | SEND_VOICE_MESSAGES
    | SEND_POLLS;

/// What both sides may do in direct messages.
const DIRECT: u64 = ADD_REACTIONS
    | VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | MENTION_EVERYONE
    | USE_EXTERNAL_EMOJIS
    | USE_APPLICATION_COMMANDS
    | PIN_MESSAGES;

/// What is lost with `SEND_MESSAGES`, because it means nothing without it.
const NEEDS_SEND: u64 = MENTION_EVERYONE | SEND_TTS_MESSAGES | ATTACH_FILES | EMBED_LINKS;

/// The bits of a list of names; the error is the first name that Discord does not know.
pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<u64, String> {
    names.into_iter().try_fold(0, |bits, name| {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, bit)| bits | bit).ok_or_else(|| name.to_owned())
    })
}

/// What a member may do in the guild before channels have their say; 0 for strangers.
pub fn in_guild(guild: &Guild, user_id: Id) -> u64 {
    let Some(member) = guild.members.get(&user_id) else { return 0 };
    if guild.owner_id == user_id {
        return ALL;
    }
    let everyone = guild.roles.get(&guild.id).map_or(0, |role| role.permissions);
    let bits = member
        .roles
        .iter()
        .filter_map(|id| guild.roles.get(id))
        .fold(everyone, |bits, role| bits | role.permissions);
    if bits & ADMINISTRATOR == 0 { bits } else { ALL }
}

/// Applies a channel's overwrites to what the guild grants.
fn overwritten(guild: &Guild, channel: &Channel, user_id: Id, base: u64) -> u64 {
    if base & ADMINISTRATOR != 0 {
        return ALL;
    }
    let roles = guild.members.get(&user_id).map_or(&[][..], |member| &member.roles);
    let mut bits = base;
    let of_role = |id: Id| {
        channel.overwrites.iter().find(move |one| one.kind == OverwriteKind::Role && one.id == id)
    };
    if let Some(everyone) = of_role(guild.id) {
        bits = bits & !everyone.deny | everyone.allow;
    }
    let (mut allow, mut deny) = (0, 0);
    for overwrite in roles.iter().filter_map(|id| of_role(*id)) {
        allow |= overwrite.allow;
        deny |= overwrite.deny;
    }
    bits = bits & !deny | allow;
    let of_member = |one: &&crate::world::entity::Overwrite| {
        one.kind == OverwriteKind::Member && one.id == user_id
    };
    if let Some(own) = channel.overwrites.iter().find(of_member) {
        bits = bits & !own.deny | own.allow;
    }
    bits
}

impl World {
    /// What `user_id` may do in `channel`, implied losses included; 0 when they cannot see it.
    pub fn permissions(&self, user_id: Id, channel: &Channel) -> u64 {
        let Some(guild) = channel.guild_id.and_then(|id| self.guilds.get(&id)) else {
            return if channel.recipients.contains(&user_id) { DIRECT } else { 0 };
        };
        let base = in_guild(guild, user_id);
        if let Some(thread) = &channel.thread {
            let parent = channel.parent_id.and_then(|id| self.channels.get(&id));
            let bits = parent.map_or(0, |parent| overwritten(guild, parent, user_id, base));
            let hidden = channel.kind == channel_type::PRIVATE_THREAD
                && bits & MANAGE_THREADS == 0
                && !thread.members.contains_key(&user_id);
            return if hidden { 0 } else { without_implied(bits, SEND_MESSAGES_IN_THREADS) };
        }
        without_implied(overwritten(guild, channel, user_id, base), SEND_MESSAGES)
    }

    /// What the bot may do in `channel`.
    pub fn bot_permissions(&self, channel: &Channel) -> u64 {
        self.permissions(self.bot_id, channel)
    }
}

fn without_implied(bits: u64, send: u64) -> u64 {
    if bits & VIEW_CHANNEL == 0 {
        0
    } else if bits & send == 0 {
        bits & !NEEDS_SEND
    } else {
        bits
    }
}
