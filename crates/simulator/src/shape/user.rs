//! Users, members and the application.

use serde_json::{Value, json};

use crate::world::World;
use crate::world::entity::{Member, User};
use crate::world::id::timestamp;

/// A user as everyone sees them.
pub fn user(user: &User) -> Value {
    let mut data = json!({
        "id": user.id,
        "username": user.name,
        "avatar": null,
        "discriminator": if user.bot { discriminator(user) } else { "0".into() },
        "public_flags": 0,
        "flags": 0,
        "banner": null,
        "accent_color": null,
        "global_name": user.global_name,
        "avatar_decoration_data": null,
        "collectibles": null,
        "primary_guild": null,
    });
    if user.bot {
        data["bot"] = json!(true);
    }
    data
}

/// Bots still carry the four digits that people lost.
fn discriminator(user: &User) -> String {
    format!("{:04}", user.id.0 % 9999 + 1)
}

/// The bot's own user as it sees itself.
pub fn private_user(one: &User) -> Value {
    let mut data = user(one);
    data["mfa_enabled"] = json!(true);
    data["locale"] = json!("en-US");
    data["premium_type"] = json!(0);
    data["email"] = Value::Null;
    data["verified"] = json!(true);
    data["bio"] = json!("");
    data
}

/// A member without their user, as messages carry it.
pub fn partial_member(member: &Member) -> Value {
    json!({
        "avatar": null,
        "avatar_decoration_data": null,
        "banner": null,
        "collectibles": null,
        "communication_disabled_until": null,
        "flags": 0,
        "joined_at": timestamp(member.joined_ms),
        "nick": member.nick,
        "pending": false,
        "premium_since": null,
        "roles": member.roles,
        "mute": false,
        "deaf": false,
    })
}

/// A member with their user.
pub fn member(world: &World, member: &Member) -> Value {
    let mut data = partial_member(member);
    data["user"] = world.users.get(&member.user_id).map_or(Value::Null, user);
    data
}

/// The bot's application as its owner sees it.
pub fn application(world: &World) -> Value {
    let Some(bot) = world.users.get(&world.bot_id) else { return Value::Null };
    let owner = world.users.values().find(|one| !one.bot).unwrap_or(bot);
    json!({
        "id": bot.id,
        "name": bot.name,
        "icon": null,
        "description": "",
        "type": null,
        "bot": user(bot),
        "bot_public": false,
        "bot_require_code_grant": false,
        "verify_key": "0".repeat(64),
        "flags": APPLICATION_FLAGS,
        "flags_new": APPLICATION_FLAGS.to_string(),
        "hook": true,
        "summary": "",
        "redirect_uris": [],
        "interactions_endpoint_url": null,
        "role_connections_verification_url": null,
        "owner": user(owner),
        "approximate_guild_count": world.guilds.len(),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": null,
        "eligible_oauth2_scopes": [],
        "integration_types_config": {"0": {}},
    })
}

/// Small bots with all three privileged intents switched on.
pub const APPLICATION_FLAGS: u64 = 1 << 13 | 1 << 15 | 1 << 19;
