//! Guilds, their members and roles.

use std::collections::BTreeMap;

use serde_json::json;

use crate::shape;
use crate::world::World;
use crate::world::entity::{Guild, Member, Role};
use crate::world::id::Id;
use crate::world::permissions;

impl World {
    /// Adds a guild with `@everyone`, its owner as the only member, and no channel.
    pub fn create_guild(&mut self, name: &str, owner_id: Id, preferred_locale: &str) -> Id {
        let id = self.next_id();
        let everyone = Role {
            id,
            name: "@everyone".into(),
            permissions: permissions::DEFAULT,
            position: 0,
            color: 0,
            hoist: false,
            mentionable: false,
            bot_id: None,
        };
        let guild = Guild {
            id,
            name: name.into(),
            owner_id,
            preferred_locale: preferred_locale.into(),
            roles: BTreeMap::from([(id, everyone)]),
            members: BTreeMap::new(),
        };
        self.guilds.insert(id, guild);
        self.add_member(id, owner_id);
        id
    }

    /// Adds a member. The bot gets a role of its own, and the guild appears to it.
    pub fn add_member(&mut self, guild_id: Id, user_id: Id) -> Option<()> {
        let role = (user_id == self.bot_id).then(|| self.bot_role());
        let now_ms = self.now_ms;
        let guild = self.guilds.get_mut(&guild_id)?;
        if guild.members.contains_key(&user_id) {
            return Some(());
        }
        let mut member = Member { user_id, nick: None, roles: Vec::new(), joined_ms: now_ms };
        let is_bot = role.is_some();
        if let Some(role) = role {
            member.roles.push(role.id);
            guild.roles.insert(role.id, role);
        }
        guild.members.insert(user_id, member);
        if is_bot {
            let data = shape::guild_create(self, self.guilds.get(&guild_id)?, false);
            self.note_guild_for_bot("GUILD_CREATE", guild_id, data);
        } else {
            let mut data = shape::member(self, self.guilds.get(&guild_id)?.members.get(&user_id)?);
            data["guild_id"] = json!(guild_id);
            self.note_in_guild("GUILD_MEMBER_ADD", guild_id, data);
        }
        Some(())
    }

    /// Takes a member out of a guild.
    pub fn remove_member(&mut self, guild_id: Id, user_id: Id) -> Option<()> {
        let guild = self.guilds.get_mut(&guild_id)?;
        guild.members.remove(&user_id)?;
        if user_id == self.bot_id {
            let data = json!({"id": guild_id});
            self.note_guild_for_bot("GUILD_DELETE", guild_id, data);
        } else {
            let data =
                json!({"guild_id": guild_id, "user": shape::user(self.users.get(&user_id)?)});
            self.note_in_guild("GUILD_MEMBER_REMOVE", guild_id, data);
        }
        Some(())
    }

    /// Notes that a member is other than they were.
    pub fn note_member_update(&mut self, guild_id: Id, user_id: Id) -> Option<()> {
        let mut data = shape::member(self, self.guilds.get(&guild_id)?.members.get(&user_id)?);
        data["guild_id"] = json!(guild_id);
        self.note_in_guild("GUILD_MEMBER_UPDATE", guild_id, data);
        Some(())
    }

    /// Notes that a role is new or other than it was.
    pub fn note_role(&mut self, name: &'static str, guild_id: Id, role_id: Id) -> Option<()> {
        let role = self.guilds.get(&guild_id)?.roles.get(&role_id)?;
        let data = json!({"guild_id": guild_id, "role": shape::role(role)});
        self.note_in_guild(name, guild_id, data);
        Some(())
    }

    /// Deletes a role and takes it from every member.
    pub fn delete_role(&mut self, guild_id: Id, role_id: Id) -> Option<()> {
        let guild = self.guilds.get_mut(&guild_id)?;
        guild.roles.remove(&role_id)?;
        for member in guild.members.values_mut() {
            member.roles.retain(|id| *id != role_id);
        }
        let data = json!({"guild_id": guild_id, "role_id": role_id});
        self.note_in_guild("GUILD_ROLE_DELETE", guild_id, data);
        Some(())
    }

    fn bot_role(&mut self) -> Role {
        let name = self.users.get(&self.bot_id).map_or_else(String::new, |bot| bot.name.clone());
        Role {
            id: self.next_id(),
            name,
            permissions: permissions::DEFAULT
                | permissions::MANAGE_MESSAGES
                | permissions::MANAGE_THREADS
                | permissions::PIN_MESSAGES,
            position: 1,
            color: 0,
            hoist: false,
            mentionable: false,
            bot_id: Some(self.bot_id),
        }
    }
}
