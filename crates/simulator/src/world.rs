//! The state Discord would keep: users, guilds, channels and messages, without any I/O.
//!
//! Operations change the state and note what Discord would dispatch in [`World::changes`]; who
//! hears of it is decided by the gateway. They trust their caller: permissions and validation
//! belong to the REST edge.

pub mod channels;
pub mod entity;
pub mod guilds;
pub mod id;
pub mod mentions;
pub mod messages;
pub mod permissions;
pub mod preset;
pub mod reactions;
#[cfg(test)]
mod tests;
pub mod threads;
pub mod wire;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::shape;
use crate::world::entity::{Channel, Guild, Message, User};
use crate::world::id::{Id, Snowflakes};

/// Something that happened, as Discord would dispatch it.
#[derive(Clone, Debug)]
pub struct Change {
    /// The dispatch's name, such as `MESSAGE_CREATE`.
    pub name: &'static str,
    /// The dispatch's data with everything in it; the gateway withholds what intents demand.
    pub data: Value,
    /// The guild it happened in.
    pub guild_id: Option<Id>,
    /// The channel it happened in.
    pub channel_id: Option<Id>,
    /// Whether the bot may see that channel.
    pub visible: bool,
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// The bot's user, whose id is also its application's.
    pub bot_id: Id,
    /// Where files are served, such as `http://127.0.0.1:4000`.
    pub base_url: String,
    /// Users by id.
    pub users: BTreeMap<Id, User>,
    /// Guilds by id.
    pub guilds: BTreeMap<Id, Guild>,
    /// Channels, direct message channels and threads by id.
    pub channels: BTreeMap<Id, Channel>,
    /// What happened since the gateway last looked, oldest first.
    pub changes: Vec<Change>,
    /// The clock, Unix milliseconds; set by the caller before each operation.
    pub now_ms: u64,
    ids: Snowflakes,
}

impl World {
    /// A world with nothing in it but a bot.
    pub fn new(base_url: String, bot_name: &str, now_ms: u64) -> Self {
        let mut world = Self {
            bot_id: Id(0),
            base_url,
            users: BTreeMap::new(),
            guilds: BTreeMap::new(),
            channels: BTreeMap::new(),
            changes: Vec::new(),
            now_ms,
            ids: Snowflakes::default(),
        };
        world.bot_id = world.create_user(bot_name, None, true);
        world
    }

    /// A new id at the world's time.
    pub fn next_id(&mut self) -> Id {
        self.ids.next(self.now_ms)
    }

    /// Adds a user.
    pub fn create_user(&mut self, name: &str, global_name: Option<&str>, bot: bool) -> Id {
        let id = self.next_id();
        let user = User { id, name: name.into(), global_name: global_name.map(Into::into), bot };
        self.users.insert(id, user);
        id
    }

    /// A message by channel and id.
    pub fn message(&self, channel_id: Id, message_id: Id) -> Option<&Message> {
        self.channels.get(&channel_id)?.messages.get(&message_id)
    }

    pub(crate) fn message_mut(&mut self, channel_id: Id, message_id: Id) -> Option<&mut Message> {
        self.channels.get_mut(&channel_id)?.messages.get_mut(&message_id)
    }

    /// Whether the bot may see `channel`.
    pub fn bot_sees(&self, channel: &Channel) -> bool {
        self.bot_permissions(channel) & permissions::VIEW_CHANNEL != 0
    }

    /// Notes a change in a channel.
    pub(crate) fn note_in_channel(&mut self, name: &'static str, channel_id: Id, data: Value) {
        let channel = self.channels.get(&channel_id);
        let visible = channel.is_some_and(|channel| self.bot_sees(channel));
        let guild_id = channel.and_then(|channel| channel.guild_id);
        self.changes.push(Change { name, data, guild_id, channel_id: Some(channel_id), visible });
    }

    /// Notes a change of a guild as a whole.
    pub(crate) fn note_in_guild(&mut self, name: &'static str, guild_id: Id, data: Value) {
        let visible = self
            .guilds
            .get(&guild_id)
            .is_some_and(|guild| guild.members.contains_key(&self.bot_id));
        self.changes.push(Change {
            name,
            data,
            guild_id: Some(guild_id),
            channel_id: None,
            visible,
        });
    }

    /// Notes that the bot came to see or no longer sees `guild_id`.
    pub(crate) fn note_guild_for_bot(&mut self, name: &'static str, guild_id: Id, data: Value) {
        self.changes.push(Change {
            name,
            data,
            guild_id: Some(guild_id),
            channel_id: None,
            visible: true,
        });
    }

    /// Shows that `user_id` writes in `channel_id`.
    pub fn type_in(&mut self, channel_id: Id, user_id: Id) {
        let Some(channel) = self.channels.get(&channel_id) else { return };
        let mut data = json!({
            "channel_id": channel_id,
            "user_id": user_id,
            "timestamp": self.now_ms / 1000,
        });
        if let Some(guild) = channel.guild_id.and_then(|id| self.guilds.get(&id)) {
            data["guild_id"] = json!(guild.id);
            if let Some(member) = guild.members.get(&user_id) {
                data["member"] = shape::member(self, member);
            }
        }
        self.note_in_channel("TYPING_START", channel_id, data);
    }
}
