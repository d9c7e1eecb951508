//! Channels of guilds and direct message channels.

use std::collections::BTreeMap;

use serde_json::json;

use crate::shape;
use crate::world::World;
use crate::world::entity::{Channel, Overwrite, OverwriteKind, channel_type};
use crate::world::id::Id;

impl World {
    /// Adds a channel to a guild.
    pub fn create_channel(&mut self, guild_id: Id, name: &str, kind: u8) -> Id {
        let id = self.next_id();
        let position = self.channels_of(guild_id).count();
        let mut channel = blank(id, kind);
        channel.guild_id = Some(guild_id);
        channel.name = name.into();
        channel.position = u32::try_from(position).unwrap_or(u32::MAX);
        self.channels.insert(id, channel);
        if let Some(channel) = self.channels.get(&id) {
            let data = shape::channel(self, channel);
            self.note_in_channel("CHANNEL_CREATE", id, data);
        }
        id
    }

    /// The direct message channel of the bot and `user_id`, opened when there is none.
    pub fn direct_channel(&mut self, user_id: Id) -> Id {
        let wanted = [user_id, self.bot_id];
        let known = self.channels.values().find(|channel| channel.recipients == wanted);
        if let Some(channel) = known {
            return channel.id;
        }
        let id = self.next_id();
        let mut channel = blank(id, channel_type::DM);
        channel.recipients = wanted.to_vec();
        self.channels.insert(id, channel);
        if let Some(channel) = self.channels.get(&id) {
            let data = shape::channel(self, channel);
            self.note_in_channel("CHANNEL_CREATE", id, data);
        }
        id
    }

    /// Notes that a channel is other than it was.
    pub fn note_channel_update(&mut self, id: Id) {
        if let Some(channel) = self.channels.get(&id) {
            let data = shape::channel(self, channel);
            self.note_in_channel("CHANNEL_UPDATE", id, data);
        }
    }

    /// Deletes a channel or thread with everything in it.
    pub fn delete_channel(&mut self, id: Id) {
        let Some(channel) = self.channels.get(&id) else { return };
        let data = if channel.is_thread() {
            json!({
                "id": id,
                "guild_id": channel.guild_id,
                "parent_id": channel.parent_id,
                "type": channel.kind,
            })
        } else {
            shape::channel(self, channel)
        };
        let name = if channel.is_thread() { "THREAD_DELETE" } else { "CHANNEL_DELETE" };
        self.note_in_channel(name, id, data);
        self.channels
            .retain(|_, one| one.id != id && !(one.is_thread() && one.parent_id == Some(id)));
    }

    /// Sets a channel's exception for a role or member, replacing the one there was.
    pub fn set_overwrite(&mut self, channel_id: Id, overwrite: Overwrite) {
        let Some(channel) = self.channels.get_mut(&channel_id) else { return };
        channel.overwrites.retain(|one| one.id != overwrite.id);
        if overwrite.allow != 0 || overwrite.deny != 0 {
            channel.overwrites.push(overwrite);
        }
        self.note_channel_update(channel_id);
    }

    /// Sets what the bot lacks in a channel, whatever its roles say.
    pub fn deny_bot(&mut self, channel_id: Id, deny: u64) {
        let id = self.bot_id;
        let overwrite = Overwrite { id, kind: OverwriteKind::Member, allow: 0, deny };
        self.set_overwrite(channel_id, overwrite);
    }

    /// A guild's channels without threads, in order.
    pub fn channels_of(&self, guild_id: Id) -> impl Iterator<Item = &Channel> {
        self.channels.values().filter(move |one| one.guild_id == Some(guild_id) && !one.is_thread())
    }

    /// A guild's threads that are open and that the bot can see.
    pub fn active_threads(&self, guild_id: Id) -> impl Iterator<Item = &Channel> {
        self.channels.values().filter(move |one| {
            one.guild_id == Some(guild_id)
                && one.thread.as_ref().is_some_and(|thread| !thread.archived)
                && self.bot_sees(one)
        })
    }
}

fn blank(id: Id, kind: u8) -> Channel {
    Channel {
        id,
        kind,
        guild_id: None,
        name: String::new(),
        topic: None,
        parent_id: None,
        position: 0,
        nsfw: false,
        slowmode_seconds: 0,
        overwrites: Vec::new(),
        last_message_id: None,
        last_pin_ms: None,
        recipients: Vec::new(),
        thread: None,
        messages: BTreeMap::new(),
    }
}
