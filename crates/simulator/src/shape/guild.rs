//! Guilds and roles.

use serde_json::{Value, json};

use crate::shape;
use crate::world::World;
use crate::world::entity::{Guild, Role};
use crate::world::id::timestamp;
use crate::world::permissions;

/// A role.
pub fn role(role: &Role) -> Value {
    let mut data = json!({
        "id": role.id,
        "name": role.name,
        "description": null,
        "permissions": role.permissions.to_string(),
        "position": role.position,
        "color": role.color,
        "colors": {"primary_color": role.color, "secondary_color": null, "tertiary_color": null},
        "hoist": role.hoist,
        "managed": role.bot_id.is_some(),
        "mentionable": role.mentionable,
        "icon": null,
        "unicode_emoji": null,
        "flags": 0,
    });
    if let Some(bot_id) = role.bot_id {
        data["tags"] = json!({"bot_id": bot_id});
    }
    data
}

/// A guild as REST answers it.
pub fn guild(guild: &Guild) -> Value {
    json!({
        "id": guild.id,
        "name": guild.name,
        "icon": null,
        "description": null,
        "home_header": null,
        "splash": null,
        "discovery_splash": null,
        "features": [],
        "banner": null,
        "owner_id": guild.owner_id,
        "application_id": null,
        "region": "japan",
        "afk_channel_id": null,
        "afk_timeout": 300,
        "system_channel_id": null,
        "system_channel_flags": 0,
        "widget_enabled": false,
        "widget_channel_id": null,
        "verification_level": 0,
        "roles": guild.roles.values().map(role).collect::<Vec<_>>(),
        "default_message_notifications": 0,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_presences": null,
        "max_members": 500_000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "vanity_url_code": null,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": guild.preferred_locale,
        "rules_channel_id": null,
        "safety_alerts_channel_id": null,
        "public_updates_channel_id": null,
        "premium_progress_bar_enabled": false,
        "nsfw": false,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
        "incidents_data": null,
    })
}

/// A guild as the gateway introduces it. All members are listed only with `all_members`, the
/// bot alone otherwise.
pub fn guild_create(world: &World, one: &Guild, all_members: bool) -> Value {
    let mut data = guild(one);
    let members: Vec<Value> = one
        .members
        .values()
        .filter(|member| all_members || member.user_id == world.bot_id)
        .map(|member| shape::member(world, member))
        .collect();
    let channels: Vec<Value> =
        world.channels_of(one.id).map(|channel| shape::channel(world, channel)).collect();
    let threads: Vec<Value> =
        world.active_threads(one.id).map(|channel| shape::channel(world, channel)).collect();
    let joined_ms = one.members.get(&world.bot_id).map_or(0, |member| member.joined_ms);
    data["joined_at"] = json!(timestamp(joined_ms));
    data["large"] = json!(one.members.len() > 250);
    data["unavailable"] = json!(false);
    data["member_count"] = json!(one.members.len());
    data["voice_states"] = json!([]);
    data["members"] = json!(members);
    data["channels"] = json!(channels);
    data["threads"] = json!(threads);
    data["presences"] = json!([]);
    data["stage_instances"] = json!([]);
    data["guild_scheduled_events"] = json!([]);
    data["soundboard_sounds"] = json!([]);
    data
}

/// A guild as the bot lists its own.
pub fn my_guild(world: &World, guild: &Guild) -> Value {
    json!({
        "id": guild.id,
        "name": guild.name,
        "icon": null,
        "banner": null,
        "owner": guild.owner_id == world.bot_id,
        "permissions": permissions::in_guild(guild, world.bot_id).to_string(),
        "features": [],
    })
}
