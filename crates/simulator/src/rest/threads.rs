//! Threads: opening, joining, listing.

use serde_json::{Value, json};

use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::channels::{check_auto_archive, check_name, require, visible};
use crate::rest::error::{self, ApiError, FieldErrors};
use crate::rest::guilds;
use crate::shape;
use crate::state::Core;
use crate::world::entity::{Channel, channel_type};
use crate::world::id::{Id, timestamp};
use crate::world::permissions::{
    CREATE_PRIVATE_THREADS, CREATE_PUBLIC_THREADS, MANAGE_THREADS, READ_MESSAGE_HISTORY,
};
use crate::world::threads::NewThread;

/// Members of a thread.
const MEMBERS_MAX: usize = 1000;

pub(crate) fn create_from_message(core: &mut Core, call: &Call) -> Outcome {
    let (channel_id, message_id) = (call.id(0)?, call.id(1)?);
    let channel = visible(&core.world, channel_id)?;
    let kind = match channel.kind {
        channel_type::TEXT => channel_type::PUBLIC_THREAD,
        channel_type::ANNOUNCEMENT => channel_type::ANNOUNCEMENT_THREAD,
        _ => return Err(error::WRONG_CHANNEL_TYPE),
    };
    let new = new_thread(call, kind)?;
    require(&core.world, channel, CREATE_PUBLIC_THREADS | READ_MESSAGE_HISTORY)?;
    known(channel.messages.get(&message_id), error::UNKNOWN_MESSAGE)?;
    if core.world.channels.contains_key(&message_id) {
        return Err(error::THREAD_EXISTS);
    }
    open(core, channel_id, new, Some(message_id))
}

pub(crate) fn create(core: &mut Core, call: &Call) -> Outcome {
    let channel_id = call.id(0)?;
    let channel = visible(&core.world, channel_id)?;
    if !matches!(channel.kind, channel_type::TEXT | channel_type::ANNOUNCEMENT) {
        return Err(error::WRONG_CHANNEL_TYPE);
    }
    let kind = match call.body["type"].as_u64() {
        Some(10) => channel_type::ANNOUNCEMENT_THREAD,
        Some(11) => channel_type::PUBLIC_THREAD,
        // Discord documents private threads as the default of this route.
        _ => channel_type::PRIVATE_THREAD,
    };
    let new = new_thread(call, kind)?;
    let needed = match kind {
        channel_type::PRIVATE_THREAD => CREATE_PRIVATE_THREADS,
        _ => CREATE_PUBLIC_THREADS,
    };
    require(&core.world, channel, needed)?;
    open(core, channel_id, new, None)
}

fn new_thread(call: &Call, kind: u8) -> Result<NewThread, ApiError> {
    let mut errors = FieldErrors::default();
    if call.body["name"].is_null() {
        errors.required(&["name"]);
    }
    check_name(&call.body, &mut errors);
    check_auto_archive(&call.body, "auto_archive_duration", &mut errors);
    let slowmode_seconds = call.body["rate_limit_per_user"].as_u64().unwrap_or(0);
    if slowmode_seconds > 21_600 {
        let words = "int value should be less than or equal to 21600.";
        errors.add(&["rate_limit_per_user"], "NUMBER_TYPE_MAX", words);
    }
    errors.finish()?;
    let name = call.body["name"].as_str().unwrap_or_default();
    let public = NewThread::public(name);
    Ok(NewThread {
        kind,
        auto_archive_minutes: call.body["auto_archive_duration"]
            .as_u64()
            .unwrap_or(public.auto_archive_minutes),
        slowmode_seconds,
        invitable: call.body["invitable"].as_bool().unwrap_or(true),
        ..public
    })
}

fn open(core: &mut Core, parent_id: Id, new: NewThread, from: Option<Id>) -> Outcome {
    let guild_id = core.world.channels.get(&parent_id).and_then(|channel| channel.guild_id);
    let open = |one: &&Channel| {
        one.guild_id == guild_id && one.thread.as_ref().is_some_and(|thread| !thread.archived)
    };
    let limits = &core.limits.config;
    if limits.enabled
        && core.world.channels.values().filter(open).count() >= limits.active_threads_max
    {
        return Err(error::TOO_MANY_THREADS);
    }
    let bot_id = core.world.bot_id;
    let id = core.world.open_thread(parent_id, bot_id, new, from);
    let id = known(id, error::UNKNOWN_CHANNEL)?;
    let channel = known(core.world.channels.get(&id), error::UNKNOWN_CHANNEL)?;
    Ok(Answer::created(shape::channel(&core.world, channel)))
}

/// A thread the bot can see.
fn thread(core: &Core, id: Id) -> Result<&Channel, ApiError> {
    let channel = visible(&core.world, id)?;
    if channel.is_thread() { Ok(channel) } else { Err(error::WRONG_CHANNEL_TYPE) }
}

/// A thread that is open; members of an archived one cannot change.
fn open_thread(core: &Core, id: Id) -> Result<&Channel, ApiError> {
    let channel = thread(core, id)?;
    let archived = channel.thread.as_ref().is_some_and(|thread| thread.archived);
    if archived { Err(error::ARCHIVED_THREAD) } else { Ok(channel) }
}

pub(crate) fn join(core: &mut Core, call: &Call) -> Outcome {
    let bot_id = core.world.bot_id;
    add(core, call.id(0)?, bot_id)
}

pub(crate) fn add_member(core: &mut Core, call: &Call) -> Outcome {
    let user_id = call.id(1)?;
    known(core.world.users.get(&user_id), error::UNKNOWN_USER)?;
    add(core, call.id(0)?, user_id)
}

fn add(core: &mut Core, id: Id, user_id: Id) -> Outcome {
    let channel = open_thread(core, id)?;
    let members = channel.thread.as_ref().map_or(0, |thread| thread.members.len());
    if members >= MEMBERS_MAX {
        return Err(error::TOO_MANY_THREAD_MEMBERS);
    }
    core.world.join_thread(id, user_id);
    Ok(Answer::empty())
}

pub(crate) fn leave(core: &mut Core, call: &Call) -> Outcome {
    let id = call.id(0)?;
    open_thread(core, id)?;
    let bot_id = core.world.bot_id;
    core.world.leave_thread(id, bot_id);
    Ok(Answer::empty())
}

pub(crate) fn remove_member(core: &mut Core, call: &Call) -> Outcome {
    let (id, user_id) = (call.id(0)?, call.id(1)?);
    let channel = open_thread(core, id)?;
    require(&core.world, channel, MANAGE_THREADS)?;
    core.world.leave_thread(id, user_id);
    Ok(Answer::empty())
}

pub(crate) fn members(core: &mut Core, call: &Call) -> Outcome {
    let channel = thread(core, call.id(0)?)?;
    let members = channel.thread.iter().flat_map(|thread| thread.members.keys());
    let list = members.map(|user| member_json(core, channel, *user, call.flag("with_member")));
    Ok(Answer::ok(list.collect()))
}

pub(crate) fn member(core: &mut Core, call: &Call) -> Outcome {
    let channel = thread(core, call.id(0)?)?;
    let text = call.text(1);
    let user_id = if text == "@me" { core.world.bot_id } else { call.id(1)? };
    let joined =
        channel.thread.as_ref().is_some_and(|thread| thread.members.contains_key(&user_id));
    known(joined.then_some(()), error::UNKNOWN_MEMBER)?;
    Ok(Answer::ok(member_json(core, channel, user_id, call.flag("with_member"))))
}

fn member_json(core: &Core, channel: &Channel, user_id: Id, with_member: bool) -> Value {
    let mut data = shape::thread_member(&core.world, channel, user_id);
    let guild = channel.guild_id.and_then(|id| core.world.guilds.get(&id));
    if let Some(member) =
        guild.and_then(|guild| guild.members.get(&user_id)).filter(|_| with_member)
    {
        data["member"] = shape::member(&core.world, member);
    }
    data
}

pub(crate) fn active(core: &mut Core, call: &Call) -> Outcome {
    let guild = guilds::own(&core.world, call.id(0)?)?;
    let threads: Vec<&Channel> = core.world.active_threads(guild.id).collect();
    let mut answer = listed(core, &threads);
    answer["has_more"] = json!(false);
    Ok(Answer::ok(answer))
}

pub(crate) fn archived_public(core: &mut Core, call: &Call) -> Outcome {
    archived(core, call, |_, channel| channel.kind != channel_type::PRIVATE_THREAD)
}

pub(crate) fn archived_private(core: &mut Core, call: &Call) -> Outcome {
    let parent = visible(&core.world, call.id(0)?)?;
    require(&core.world, parent, MANAGE_THREADS)?;
    archived(core, call, |_, channel| channel.kind == channel_type::PRIVATE_THREAD)
}

pub(crate) fn archived_joined(core: &mut Core, call: &Call) -> Outcome {
    archived(core, call, |core, channel| {
        let joined =
            |bot: Id| channel.thread.as_ref().is_some_and(|one| one.members.contains_key(&bot));
        channel.kind == channel_type::PRIVATE_THREAD && joined(core.world.bot_id)
    })
}

fn archived(core: &Core, call: &Call, wanted: fn(&Core, &Channel) -> bool) -> Outcome {
    let parent = visible(&core.world, call.id(0)?)?;
    require(&core.world, parent, READ_MESSAGE_HISTORY)?;
    let limit = call.limit(50, 2, 100)?;
    let archive_ms = |channel: &Channel| channel.thread.as_ref().map_or(0, |one| one.archive_ms);
    let before = call.query.get("before");
    let mut found: Vec<&Channel> = core
        .world
        .channels
        .values()
        .filter(|one| one.parent_id == Some(parent.id))
        .filter(|one| one.thread.as_ref().is_some_and(|thread| thread.archived))
        .filter(|one| wanted(core, one))
        .filter(|one| before.is_none_or(|before| is_before(archive_ms(one), before)))
        .collect();
    found.sort_by_key(|one| std::cmp::Reverse(archive_ms(one)));
    let has_more = found.len() > limit;
    found.truncate(limit);
    let mut answer = listed(core, &found);
    answer["has_more"] = json!(has_more);
    Ok(Answer::ok(answer))
}

/// `before` is a time for some lists and an id for others.
fn is_before(archive_ms: u64, before: &str) -> bool {
    match before.parse::<Id>() {
        Ok(id) => archive_ms < id.time_ms(),
        Err(_) => *timestamp(archive_ms) < *before,
    }
}

fn listed(core: &Core, threads: &[&Channel]) -> Value {
    let bot_id = core.world.bot_id;
    let joined = |channel: &&&Channel| {
        channel.thread.as_ref().is_some_and(|thread| thread.members.contains_key(&bot_id))
    };
    let members: Vec<Value> = threads
        .iter()
        .filter(joined)
        .map(|channel| shape::thread_member(&core.world, channel, bot_id))
        .collect();
    let threads: Vec<Value> =
        threads.iter().map(|channel| shape::channel(&core.world, channel)).collect();
    json!({"threads": threads, "members": members})
}
