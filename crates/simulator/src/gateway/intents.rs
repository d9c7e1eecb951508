//! Which dispatches a session asked for, and what is withheld from those it gets.

use serde_json::{Value, json};

use crate::world::Change;
use crate::world::id::Id;

/// Guilds, roles, channels and threads.
pub const GUILDS: u64 = 1;
/// Members (privileged).
pub const GUILD_MEMBERS: u64 = 1 << 1;
/// Presences (privileged).
pub const GUILD_PRESENCES: u64 = 1 << 8;
/// Messages of guilds.
pub const GUILD_MESSAGES: u64 = 1 << 9;
/// Reactions in guilds.
pub const GUILD_MESSAGE_REACTIONS: u64 = 1 << 10;
/// Typing in guilds.
pub const GUILD_MESSAGE_TYPING: u64 = 1 << 11;
/// Direct messages.
pub const DIRECT_MESSAGES: u64 = 1 << 12;
/// Reactions in direct messages.
pub const DIRECT_MESSAGE_REACTIONS: u64 = 1 << 13;
/// Typing in direct messages.
pub const DIRECT_MESSAGE_TYPING: u64 = 1 << 14;
/// What people wrote (privileged).
pub const MESSAGE_CONTENT: u64 = 1 << 15;

/// Every bit Discord knows: 0–16, 20, 21, 24 and 25.
pub const KNOWN: u64 = 0x1_ffff | (0b11 << 20) | (0b11 << 24);

/// Whether a session with `intents` hears of `change`.
pub fn wants(intents: u64, change: &Change, bot_id: Id) -> bool {
    let in_guild = change.guild_id.is_some();
    let either = |guild: u64, direct: u64| intents & if in_guild { guild } else { direct } != 0;
    match change.name {
        "MESSAGE_REACTION_ADD"
        | "MESSAGE_REACTION_REMOVE"
        | "MESSAGE_REACTION_REMOVE_ALL"
        | "MESSAGE_REACTION_REMOVE_EMOJI" => {
            either(GUILD_MESSAGE_REACTIONS, DIRECT_MESSAGE_REACTIONS)
        }
        "TYPING_START" => either(GUILD_MESSAGE_TYPING, DIRECT_MESSAGE_TYPING),
        "CHANNEL_PINS_UPDATE" => either(GUILDS, DIRECT_MESSAGES),
        name if name.starts_with("MESSAGE_") => either(GUILD_MESSAGES, DIRECT_MESSAGES),
        "GUILD_MEMBER_UPDATE" => {
            intents & GUILD_MEMBERS != 0
                || Id::from_value(&change.data["user"]["id"]) == Some(bot_id)
        }
        name if name.starts_with("GUILD_MEMBER_") => intents & GUILD_MEMBERS != 0,
        "THREAD_MEMBERS_UPDATE" => {
            intents & GUILDS != 0
                && (intents & GUILD_MEMBERS != 0 || concerns_member(&change.data, bot_id))
        }
        // Bots have not been told of new direct message channels since version 8.
        "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "CHANNEL_DELETE" if !in_guild => false,
        name if name.starts_with("CHANNEL_")
            || name.starts_with("THREAD_")
            || name.starts_with("GUILD_") =>
        {
            intents & GUILDS != 0
        }
        _ => true,
    }
}

fn concerns_member(data: &Value, bot_id: Id) -> bool {
    let list = |key: &str| data[key].as_array().map_or(&[][..], Vec::as_slice);
    let added =
        list("added_members").iter().any(|one| Id::from_value(&one["user_id"]) == Some(bot_id));
    added || list("removed_member_ids").iter().any(|id| Id::from_value(id) == Some(bot_id))
}

/// Whether `message` must lose its words for a bot without the message content intent.
pub fn is_withheld(message: &Value, bot_id: Id) -> bool {
    let own = Id::from_value(&message["author"]["id"]) == Some(bot_id);
    let mentions = message["mentions"].as_array().map_or(&[][..], Vec::as_slice);
    !own && !mentions.iter().any(|one| Id::from_value(&one["id"]) == Some(bot_id))
}

/// Takes the words out of a message of a guild, and of the message it answers, where a bot
/// without the message content intent may not read them.
pub fn withhold(message: &mut Value, bot_id: Id) {
    if is_withheld(message, bot_id) {
        message["content"] = json!("");
        for key in ["embeds", "attachments", "components"] {
            message[key] = json!([]);
        }
    }
    if message["referenced_message"].is_object() {
        withhold(&mut message["referenced_message"], bot_id);
    }
}
