//! Reactions under messages.

use serde_json::json;

use crate::shape;
use crate::world::World;
use crate::world::entity::{Emoji, Reaction};
use crate::world::id::Id;

/// Where and with what somebody reacts.
#[derive(Clone, Debug)]
pub struct Target {
    /// The channel.
    pub channel_id: Id,
    /// The message.
    pub message_id: Id,
    /// The emoji.
    pub emoji: Emoji,
}

impl World {
    /// Adds `user_id`'s reaction; twice is once.
    pub fn react(&mut self, target: &Target, user_id: Id) -> Option<()> {
        let message = self.message_mut(target.channel_id, target.message_id)?;
        let author_id = message.author_id;
        let known = message.reactions.iter_mut().find(|one| one.emoji == target.emoji);
        match known {
            Some(reaction) if reaction.users.contains(&user_id) => return Some(()),
            Some(reaction) => reaction.users.push(user_id),
            None => {
                let users = vec![user_id];
                message.reactions.push(Reaction { emoji: target.emoji.clone(), users });
            }
        }
        let mut data = self.reaction_data(target, user_id);
        data["message_author_id"] = json!(author_id);
        let guild = self.channels.get(&target.channel_id).and_then(|channel| channel.guild_id);
        let member = guild.and_then(|id| self.guilds.get(&id)?.members.get(&user_id));
        if let Some(member) = member {
            data["member"] = shape::member(self, member);
        }
        self.note_in_channel("MESSAGE_REACTION_ADD", target.channel_id, data);
        Some(())
    }

    /// Takes `user_id`'s reaction away.
    pub fn unreact(&mut self, target: &Target, user_id: Id) -> Option<()> {
        let message = self.message_mut(target.channel_id, target.message_id)?;
        let reaction = message.reactions.iter_mut().find(|one| one.emoji == target.emoji)?;
        let place = reaction.users.iter().position(|one| *one == user_id)?;
        reaction.users.remove(place);
        message.reactions.retain(|one| !one.users.is_empty());
        let data = self.reaction_data(target, user_id);
        self.note_in_channel("MESSAGE_REACTION_REMOVE", target.channel_id, data);
        Some(())
    }

    /// Takes all reactions away, or all of one emoji.
    pub fn clear_reactions(
        &mut self,
        channel_id: Id,
        message_id: Id,
        emoji: Option<&Emoji>,
    ) -> Option<()> {
        let message = self.message_mut(channel_id, message_id)?;
        message.reactions.retain(|one| emoji.is_some_and(|emoji| one.emoji != *emoji));
        let guild_id = self.channels.get(&channel_id)?.guild_id;
        let mut data = json!({"channel_id": channel_id, "message_id": message_id});
        if let Some(guild_id) = guild_id {
            data["guild_id"] = json!(guild_id);
        }
        let name = match emoji {
            Some(emoji) => {
                data["emoji"] = shape::emoji(emoji);
                "MESSAGE_REACTION_REMOVE_EMOJI"
            }
            None => "MESSAGE_REACTION_REMOVE_ALL",
        };
        self.note_in_channel(name, channel_id, data);
        Some(())
    }

    fn reaction_data(&self, target: &Target, user_id: Id) -> serde_json::Value {
        let mut data = json!({
            "user_id": user_id,
            "channel_id": target.channel_id,
            "message_id": target.message_id,
            "emoji": shape::emoji(&target.emoji),
            "burst": false,
            "type": 0,
        });
        if let Some(guild_id) = self.channels.get(&target.channel_id).and_then(|one| one.guild_id) {
            data["guild_id"] = json!(guild_id);
        }
        data
    }
}
