//! Members of guilds.

use serde_json::Value;

use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::channels::text_length;
use crate::rest::error::{self, ApiError, FieldErrors, invalid};
use crate::rest::guilds::{own, require, require_below};
use crate::shape;
use crate::state::Core;
use crate::world::id::Id;
use crate::world::permissions::{CHANGE_NICKNAME, KICK_MEMBERS, MANAGE_NICKNAMES, MANAGE_ROLES};

pub(crate) fn get(core: &mut Core, call: &Call) -> Outcome {
    shown(core, call.id(0)?, call.id(1)?)
}

fn shown(core: &Core, guild_id: Id, user_id: Id) -> Outcome {
    let guild = own(&core.world, guild_id)?;
    let member = known(guild.members.get(&user_id), error::UNKNOWN_MEMBER)?;
    Ok(Answer::ok(shape::member(&core.world, member)))
}

pub(crate) fn list(core: &mut Core, call: &Call) -> Outcome {
    let guild = own(&core.world, call.id(0)?)?;
    if !core.gateway.config.member_intents_allowed {
        return Err(error::MISSING_ACCESS);
    }
    let limit = call.limit(1, 1, 1000)?;
    let after = call.query_id("after")?.unwrap_or(Id(0));
    let found = guild.members.values().filter(|member| member.user_id > after).take(limit);
    Ok(Answer::ok(found.map(|member| shape::member(&core.world, member)).collect()))
}

pub(crate) fn search(core: &mut Core, call: &Call) -> Outcome {
    let guild = own(&core.world, call.id(0)?)?;
    let limit = call.limit(1, 1, 1000)?;
    let Some(query) = call.query.get("query").map(|query| query.to_lowercase()) else {
        return Err(invalid(&["query"], "BASE_TYPE_REQUIRED", "This field is required"));
    };
    let found: Value = guild
        .members
        .values()
        .filter(|member| {
            let name = core.world.users.get(&member.user_id).map_or("", |user| &user.name);
            let nick = member.nick.as_deref().unwrap_or_default();
            [name, nick].iter().any(|one| one.to_lowercase().starts_with(&query))
        })
        .take(limit)
        .map(|member| shape::member(&core.world, member))
        .collect();
    Ok(Answer::ok(found))
}

fn check_nick(body: &Value) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    if text_length(&body["nick"]) > 32 {
        errors.too_long(&["nick"], 32);
    }
    errors.finish()
}

pub(crate) fn edit_me(core: &mut Core, call: &Call) -> Outcome {
    let guild = own(&core.world, call.id(0)?)?;
    require(&core.world, guild, CHANGE_NICKNAME)?;
    check_nick(&call.body)?;
    let (guild_id, bot_id) = (guild.id, core.world.bot_id);
    change(core, guild_id, bot_id, &call.body)
}

pub(crate) fn edit(core: &mut Core, call: &Call) -> Outcome {
    let (guild_id, user_id) = (call.id(0)?, call.id(1)?);
    let guild = own(&core.world, guild_id)?;
    known(guild.members.get(&user_id), error::UNKNOWN_MEMBER)?;
    check_nick(&call.body)?;
    if call.body.get("nick").is_some() {
        require(&core.world, guild, MANAGE_NICKNAMES)?;
    }
    if call.body.get("roles").is_some() {
        require(&core.world, guild, MANAGE_ROLES)?;
    }
    change(core, guild_id, user_id, &call.body)
}

fn change(core: &mut Core, guild_id: Id, user_id: Id, body: &Value) -> Outcome {
    let guild = known(core.world.guilds.get_mut(&guild_id), error::UNKNOWN_GUILD)?;
    let roles: Option<Vec<Id>> =
        body["roles"].as_array().map(|list| list.iter().filter_map(Id::from_value).collect());
    if roles.iter().flatten().any(|id| !guild.roles.contains_key(id)) {
        return Err(error::UNKNOWN_ROLE);
    }
    let member = known(guild.members.get_mut(&user_id), error::UNKNOWN_MEMBER)?;
    if body.get("nick").is_some() {
        member.nick = body["nick"].as_str().filter(|nick| !nick.is_empty()).map(str::to_owned);
    }
    member.roles = roles.unwrap_or_else(|| std::mem::take(&mut member.roles));
    core.world.note_member_update(guild_id, user_id);
    shown(core, guild_id, user_id)
}

pub(crate) fn kick(core: &mut Core, call: &Call) -> Outcome {
    let (guild_id, user_id) = (call.id(0)?, call.id(1)?);
    let guild = own(&core.world, guild_id)?;
    require(&core.world, guild, KICK_MEMBERS)?;
    known(guild.members.get(&user_id), error::UNKNOWN_MEMBER)?;
    if user_id == guild.owner_id {
        return Err(error::MISSING_PERMISSIONS);
    }
    core.world.remove_member(guild_id, user_id);
    Ok(Answer::empty())
}

pub(crate) fn add_role(core: &mut Core, call: &Call) -> Outcome {
    set_role(core, call, true)
}

pub(crate) fn remove_role(core: &mut Core, call: &Call) -> Outcome {
    set_role(core, call, false)
}

fn set_role(core: &mut Core, call: &Call, has: bool) -> Outcome {
    let (guild_id, user_id, role_id) = (call.id(0)?, call.id(1)?, call.id(2)?);
    require_below(core, guild_id, role_id)?;
    let guild = known(core.world.guilds.get_mut(&guild_id), error::UNKNOWN_GUILD)?;
    let member = known(guild.members.get_mut(&user_id), error::UNKNOWN_MEMBER)?;
    member.roles.retain(|id| *id != role_id);
    if has {
        member.roles.push(role_id);
    }
    core.world.note_member_update(guild_id, user_id);
    Ok(Answer::empty())
}
