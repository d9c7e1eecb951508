//! Making users, guilds, channels and members.

use axum::Json;
use axum::extract::{Path, State as Shared};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Input, Outcome, Refusal};
use crate::ledger::Kind;
use crate::shape;
use crate::state::{Core, State};
use crate::world::entity::{Channel, User, channel_type};
use crate::world::id::Id;
use crate::world::permissions;

/// The world as the ready line, the page and tests read it.
pub(crate) fn snapshot(core: &Core) -> Value {
    let world = &core.world;
    let guilds: Vec<Value> = world
        .guilds
        .values()
        .map(|guild| {
            let channels: Vec<Value> = world
                .channels
                .values()
                .filter(|one| one.guild_id == Some(guild.id))
                .map(channel_json)
                .collect();
            json!({
                "id": guild.id,
                "name": guild.name,
                "preferred_locale": guild.preferred_locale,
                "owner_id": guild.owner_id,
                "members": guild.members.keys().collect::<Vec<_>>(),
                "channels": channels,
            })
        })
        .collect();
    let dms: Vec<Value> = world
        .channels
        .values()
        .filter(|channel| channel.guild_id.is_none())
        .map(|channel| json!({"id": channel.id, "user_id": channel.recipients.first()}))
        .collect();
    json!({
        "bot": world.users.get(&world.bot_id).map(user_json),
        "users": world.users.values().map(user_json).collect::<Vec<_>>(),
        "guilds": guilds,
        "dms": dms,
    })
}

fn user_json(user: &User) -> Value {
    json!({"id": user.id, "name": user.name, "global_name": user.global_name, "bot": user.bot})
}

fn channel_json(channel: &Channel) -> Value {
    let mut data = json!({
        "id": channel.id,
        "name": channel.name,
        "type": channel.kind,
        "topic": channel.topic,
        "parent_id": channel.parent_id,
        "last_message_id": channel.last_message_id,
    });
    if let Some(thread) = &channel.thread {
        data["owner_id"] = json!(thread.owner_id);
        data["archived"] = json!(thread.archived);
        data["locked"] = json!(thread.locked);
    }
    data
}

pub(crate) async fn read(Shared(state): Shared<State>) -> Json<Value> {
    Json(state.with(|core| snapshot(core)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    name: String,
    global_name: Option<String>,
    #[serde(default)]
    bot: bool,
}

pub(crate) async fn create_user(
    Shared(state): Shared<State>,
    Input(new): Input<NewUser>,
) -> Outcome {
    if new.name.is_empty() {
        return Err(Refusal::bad("give the user a name"));
    }
    let user = state.with(|core| {
        let id = core.world.create_user(&new.name, new.global_name.as_deref(), new.bot);
        core.world.users.get(&id).map(user_json)
    });
    note(&state, "create_user", user.as_ref());
    Ok(Json(json!(user)))
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGuild {
    name: String,
    preferred_locale: Option<String>,
    #[serde(default)]
    member_ids: Vec<Id>,
    #[serde(default = "yes")]
    with_bot: bool,
}

pub(crate) async fn create_guild(
    Shared(state): Shared<State>,
    Input(new): Input<NewGuild>,
) -> Outcome {
    let guild = state.with(|core| {
        let world = &mut core.world;
        for id in &new.member_ids {
            known_user(world, *id)?;
        }
        let owner = new.member_ids.iter().find(|id| **id != world.bot_id).copied();
        let owner = owner.unwrap_or_else(|| world.create_user("owner", None, false));
        let locale = new.preferred_locale.as_deref().unwrap_or("ja");
        let id = world.create_guild(&new.name, owner, locale);
        let bot_id = world.bot_id;
        for member in new.member_ids.iter().filter(|id| **id != bot_id) {
            world.add_member(id, *member);
        }
        if new.with_bot || new.member_ids.contains(&bot_id) {
            world.add_member(id, bot_id);
        }
        let members: Vec<Id> =
            world.guilds.get(&id).into_iter().flat_map(|one| one.members.keys().copied()).collect();
        Ok(json!({
            "id": id,
            "name": new.name,
            "preferred_locale": locale,
            "owner_id": owner,
            "members": members,
            "channels": [],
        }))
    })?;
    note(&state, "create_guild", Some(&guild));
    Ok(Json(guild))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewChannel {
    name: String,
    #[serde(rename = "type", default)]
    kind: u8,
    topic: Option<String>,
    parent_id: Option<Id>,
}

pub(crate) async fn create_channel(
    Shared(state): Shared<State>,
    Path(guild_id): Path<Id>,
    Input(new): Input<NewChannel>,
) -> Outcome {
    const KINDS: [u8; 4] = [
        channel_type::TEXT,
        channel_type::VOICE,
        channel_type::CATEGORY,
        channel_type::ANNOUNCEMENT,
    ];
    if !KINDS.contains(&new.kind) {
        return Err(Refusal::bad(
            "use a channel type of 0, 2, 4 or 5; threads have their own route",
        ));
    }
    let channel = state.with(|core| {
        known_guild(core, guild_id)?;
        let id = core.world.create_channel(guild_id, &new.name, new.kind);
        if let Some(channel) = core.world.channels.get_mut(&id) {
            channel.topic = new.topic;
            channel.parent_id = new.parent_id;
        }
        Ok(json!(core.world.channels.get(&id).map(channel_json)))
    })?;
    note(&state, "create_channel", Some(&channel));
    Ok(Json(channel))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserRef {
    user_id: Id,
}

pub(crate) async fn add_member(
    Shared(state): Shared<State>,
    Path(guild_id): Path<Id>,
    Input(who): Input<UserRef>,
) -> Outcome {
    let member = state.with(|core| {
        known_guild(core, guild_id)?;
        known_user(&core.world, who.user_id)?;
        core.world.add_member(guild_id, who.user_id);
        let member = core.world.guilds.get(&guild_id).and_then(|one| one.members.get(&who.user_id));
        Ok(json!(member.map(|member| shape::member(&core.world, member))))
    })?;
    note(&state, "add_member", Some(&member));
    Ok(Json(member))
}

pub(crate) async fn remove_member(
    Shared(state): Shared<State>,
    Path((guild_id, user_id)): Path<(Id, Id)>,
) -> Outcome {
    state.with(|core| {
        known_guild(core, guild_id)?;
        let removed = core.world.remove_member(guild_id, user_id);
        removed.ok_or_else(|| Refusal::not_found("name a member of the guild"))
    })?;
    let answer = json!({"guild_id": guild_id, "user_id": user_id});
    note(&state, "remove_member", Some(&answer));
    Ok(Json(answer))
}

pub(crate) async fn open_direct(
    Shared(state): Shared<State>,
    Input(who): Input<UserRef>,
) -> Outcome {
    let channel = state.with(|core| {
        known_user(&core.world, who.user_id)?;
        if who.user_id == core.world.bot_id {
            return Err(Refusal::bad("name a user other than the bot"));
        }
        let id = core.world.direct_channel(who.user_id);
        Ok(json!({"id": id, "user_id": who.user_id}))
    })?;
    note(&state, "open_dm", Some(&channel));
    Ok(Json(channel))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deny {
    permissions: Vec<String>,
}

pub(crate) async fn deny(
    Shared(state): Shared<State>,
    Path((guild_id, channel_id)): Path<(Id, Id)>,
    Input(deny): Input<Deny>,
) -> Outcome {
    let bits =
        permissions::from_names(deny.permissions.iter().map(String::as_str)).map_err(|name| {
            Refusal::bad(format!("{name} is no permission; use names such as SEND_MESSAGES"))
        })?;
    state.with(|core| {
        let channel = core.world.channels.get(&channel_id);
        if channel.is_none_or(|channel| channel.guild_id != Some(guild_id)) {
            return Err(Refusal::not_found("name a channel of this guild; see GET /control/world"));
        }
        core.world.deny_bot(channel_id, bits);
        Ok(())
    })?;
    let answer = json!({"channel_id": channel_id, "denied": deny.permissions});
    note(&state, "deny", Some(&answer));
    Ok(Json(answer))
}

pub(crate) fn known_user(world: &crate::world::World, id: Id) -> Result<(), Refusal> {
    let known = world.users.contains_key(&id);
    if known {
        Ok(())
    } else {
        Err(Refusal::not_found(format!("user {id} is unknown; create it with POST /control/users")))
    }
}

fn known_guild(core: &Core, id: Id) -> Result<(), Refusal> {
    let known = core.world.guilds.contains_key(&id);
    if known {
        Ok(())
    } else {
        Err(Refusal::not_found(format!(
            "guild {id} is unknown; create it with POST /control/guilds"
        )))
    }
}

/// Records a control call that changed something.
pub(crate) fn note(state: &State, action: &str, detail: Option<&Value>) {
    state.ledger().push(Kind::Control, &json!({"action": action, "detail": detail}));
}
