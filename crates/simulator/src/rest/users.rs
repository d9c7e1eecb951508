//! The bot itself, other users, and direct messages with them.

use serde_json::Value;

use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::error::{self, FieldErrors};
use crate::rest::{channels::text_length, guilds};
use crate::shape;
use crate::state::Core;
use crate::world::id::Id;

pub(crate) fn me(core: &mut Core, _call: &Call) -> Outcome {
    let bot = known(core.world.users.get(&core.world.bot_id), error::UNKNOWN_USER)?;
    Ok(Answer::ok(shape::private_user(bot)))
}

pub(crate) fn edit_me(core: &mut Core, call: &Call) -> Outcome {
    let name = &call.body["username"];
    if !name.is_null() && !(2..=32).contains(&text_length(name)) {
        let mut errors = FieldErrors::default();
        errors.bad_length(&["username"], 2, 32);
        errors.finish()?;
    }
    let bot = known(core.world.users.get_mut(&core.world.bot_id), error::UNKNOWN_USER)?;
    if let Some(name) = name.as_str() {
        name.clone_into(&mut bot.name);
    }
    me(core, call)
}

pub(crate) fn get(core: &mut Core, call: &Call) -> Outcome {
    let user = known(core.world.users.get(&call.id(0)?), error::UNKNOWN_USER)?;
    Ok(Answer::ok(shape::user(user)))
}

pub(crate) fn my_guilds(core: &mut Core, call: &Call) -> Outcome {
    let limit = call.limit(200, 1, 200)?;
    let (before, after) = (call.query_id("before")?, call.query_id("after")?);
    let with_counts = call.flag("with_counts");
    let list: Value = core
        .world
        .guilds
        .values()
        .filter(|guild| guild.members.contains_key(&core.world.bot_id))
        .filter(|guild| before.is_none_or(|id| guild.id < id))
        .filter(|guild| after.is_none_or(|id| guild.id > id))
        .take(limit)
        .map(|guild| {
            let mut data = shape::my_guild(&core.world, guild);
            if with_counts {
                data["approximate_member_count"] = guild.members.len().into();
                data["approximate_presence_count"] = 0.into();
            }
            data
        })
        .collect();
    Ok(Answer::ok(list))
}

pub(crate) fn my_member(core: &mut Core, call: &Call) -> Outcome {
    let guild = guilds::own(&core.world, call.id(0)?)?;
    let member = known(guild.members.get(&core.world.bot_id), error::UNKNOWN_MEMBER)?;
    Ok(Answer::ok(shape::member(&core.world, member)))
}

pub(crate) fn leave_guild(core: &mut Core, call: &Call) -> Outcome {
    let guild_id = guilds::own(&core.world, call.id(0)?)?.id;
    let bot_id = core.world.bot_id;
    core.world.remove_member(guild_id, bot_id);
    Ok(Answer::empty())
}

pub(crate) fn open_direct(core: &mut Core, call: &Call) -> Outcome {
    let recipient = &call.body["recipient_id"];
    let Some(user_id) = Id::from_value(recipient) else {
        let mut errors = FieldErrors::default();
        errors.required(&["recipient_id"]);
        return errors.finish().map(|()| Answer::empty());
    };
    let user = known(core.world.users.get(&user_id), error::UNKNOWN_USER)?;
    if user.bot {
        return Err(error::CANNOT_DM_USER);
    }
    let id = core.world.direct_channel(user_id);
    let channel = known(core.world.channels.get(&id), error::UNKNOWN_CHANNEL)?;
    Ok(Answer::ok(shape::channel(&core.world, channel)))
}
