//! Guilds, their channels and roles.

use serde_json::{Value, json};

use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::channels::{bits, check_name};
use crate::rest::error::{self, ApiError, FieldErrors};
use crate::shape;
use crate::state::Core;
use crate::world::World;
use crate::world::entity::{Guild, Role, channel_type};
use crate::world::id::Id;
use crate::world::permissions::{self, MANAGE_CHANNELS, MANAGE_ROLES};

/// A guild the bot is a member of.
pub(crate) fn own(world: &World, id: Id) -> Result<&Guild, ApiError> {
    let guild = known(world.guilds.get(&id), error::UNKNOWN_GUILD)?;
    let member = guild.members.contains_key(&world.bot_id);
    if member { Ok(guild) } else { Err(error::MISSING_ACCESS) }
}

/// Refuses unless the bot has `needed` in the guild as a whole.
pub(crate) fn require(world: &World, guild: &Guild, needed: u64) -> Result<(), ApiError> {
    let held = permissions::in_guild(guild, world.bot_id);
    if held & needed == needed { Ok(()) } else { Err(error::MISSING_PERMISSIONS) }
}

pub(crate) fn get(core: &mut Core, call: &Call) -> Outcome {
    let guild = own(&core.world, call.id(0)?)?;
    let mut data = shape::guild(guild);
    if call.flag("with_counts") {
        data["approximate_member_count"] = json!(guild.members.len());
        data["approximate_presence_count"] = json!(0);
    }
    Ok(Answer::ok(data))
}

pub(crate) fn channels(core: &mut Core, call: &Call) -> Outcome {
    let guild = own(&core.world, call.id(0)?)?;
    let list = core.world.channels_of(guild.id).filter(|channel| core.world.bot_sees(channel));
    Ok(Answer::ok(list.map(|channel| shape::channel(&core.world, channel)).collect()))
}

pub(crate) fn create_channel(core: &mut Core, call: &Call) -> Outcome {
    let guild = own(&core.world, call.id(0)?)?;
    require(&core.world, guild, MANAGE_CHANNELS)?;
    let mut errors = FieldErrors::default();
    if call.body["name"].is_null() {
        errors.required(&["name"]);
    }
    check_name(&call.body, &mut errors);
    let kind = match call.body["type"].as_u64() {
        None | Some(0) => channel_type::TEXT,
        Some(2) => channel_type::VOICE,
        Some(4) => channel_type::CATEGORY,
        Some(5) => channel_type::ANNOUNCEMENT,
        Some(_) => {
            errors.not_a_choice(&["type"], "0, 2, 4, 5");
            channel_type::TEXT
        }
    };
    errors.finish()?;
    let guild_id = guild.id;
    let name = call.body["name"].as_str().unwrap_or_default();
    let id = core.world.create_channel(guild_id, name, kind);
    let channel = known(core.world.channels.get_mut(&id), error::UNKNOWN_CHANNEL)?;
    channel.topic = call.body["topic"].as_str().map(str::to_owned);
    channel.parent_id = Id::from_value(&call.body["parent_id"]);
    channel.nsfw = call.body["nsfw"].as_bool().unwrap_or(false);
    let channel = known(core.world.channels.get(&id), error::UNKNOWN_CHANNEL)?;
    Ok(Answer::created(shape::channel(&core.world, channel)))
}

pub(crate) fn roles(core: &mut Core, call: &Call) -> Outcome {
    let guild = own(&core.world, call.id(0)?)?;
    Ok(Answer::ok(guild.roles.values().map(shape::role).collect()))
}

pub(crate) fn role(core: &mut Core, call: &Call) -> Outcome {
    let guild = own(&core.world, call.id(0)?)?;
    let role = known(guild.roles.get(&call.id(1)?), error::UNKNOWN_ROLE)?;
    Ok(Answer::ok(shape::role(role)))
}

pub(crate) fn create_role(core: &mut Core, call: &Call) -> Outcome {
    let guild_id = call.id(0)?;
    let guild = own(&core.world, guild_id)?;
    require(&core.world, guild, MANAGE_ROLES)?;
    check_role(&call.body)?;
    let everyone = guild.roles.get(&guild_id).map_or(0, |role| role.permissions);
    let id = core.world.next_id();
    let mut role = Role {
        id,
        name: "new role".into(),
        permissions: everyone,
        position: 1,
        color: 0,
        hoist: false,
        mentionable: false,
        bot_id: None,
    };
    change_role(&mut role, &call.body);
    let answer = shape::role(&role);
    let guild = known(core.world.guilds.get_mut(&guild_id), error::UNKNOWN_GUILD)?;
    guild.roles.insert(id, role);
    core.world.note_role("GUILD_ROLE_CREATE", guild_id, id);
    Ok(Answer::ok(answer))
}

pub(crate) fn edit_role(core: &mut Core, call: &Call) -> Outcome {
    let (guild_id, id) = (call.id(0)?, call.id(1)?);
    require_below(core, guild_id, id)?;
    check_role(&call.body)?;
    let guild = known(core.world.guilds.get_mut(&guild_id), error::UNKNOWN_GUILD)?;
    let role = known(guild.roles.get_mut(&id), error::UNKNOWN_ROLE)?;
    change_role(role, &call.body);
    let answer = shape::role(role);
    core.world.note_role("GUILD_ROLE_UPDATE", guild_id, id);
    Ok(Answer::ok(answer))
}

pub(crate) fn delete_role(core: &mut Core, call: &Call) -> Outcome {
    let (guild_id, id) = (call.id(0)?, call.id(1)?);
    require_below(core, guild_id, id)?;
    core.world.delete_role(guild_id, id);
    Ok(Answer::empty())
}

/// A bot changes only roles below its own highest, and never those of other bots.
pub(crate) fn require_below(core: &Core, guild_id: Id, role_id: Id) -> Result<(), ApiError> {
    let guild = own(&core.world, guild_id)?;
    require(&core.world, guild, MANAGE_ROLES)?;
    let role = known(guild.roles.get(&role_id), error::UNKNOWN_ROLE)?;
    let bot_id = core.world.bot_id;
    let own_roles = guild.members.get(&bot_id).map_or(&[][..], |member| &member.roles);
    let highest = own_roles
        .iter()
        .filter_map(|id| guild.roles.get(id))
        .map(|role| (role.position, std::cmp::Reverse(role.id)))
        .max();
    let below = highest.is_some_and(|top| (role.position, std::cmp::Reverse(role.id)) < top);
    if guild.owner_id == bot_id || below { Ok(()) } else { Err(error::MISSING_PERMISSIONS) }
}

fn check_role(body: &Value) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    check_name(body, &mut errors);
    errors.finish()
}

fn change_role(role: &mut Role, body: &Value) {
    if let Some(name) = body["name"].as_str() {
        name.clone_into(&mut role.name);
    }
    if !body["permissions"].is_null() {
        role.permissions = bits(&body["permissions"]);
    }
    let color = body["colors"]["primary_color"].as_u64().or_else(|| body["color"].as_u64());
    role.color = color.and_then(|color| u32::try_from(color).ok()).unwrap_or(role.color);
    role.hoist = body["hoist"].as_bool().unwrap_or(role.hoist);
    role.mentionable = body["mentionable"].as_bool().unwrap_or(role.mentionable);
}
