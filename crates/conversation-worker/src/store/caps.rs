//! The daily caps of turns, counted where the turn is claimed, so that no two can share a place.

use contracts::id::{GuildId, UserId};

use super::script::Script;

/// How many turns a day there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// For one person.
    pub user: u32,
    /// For one guild.
    pub guild: u32,
}

/// Why there is no place left today for a turn, where so many of the person and of the guild
/// were answered already.
pub(super) fn reached(
    (user_turns, guild_turns): (i64, i64),
    guild: Option<GuildId>,
    caps: Caps,
) -> Option<&'static str> {
    if user_turns >= i64::from(caps.user) {
        return Some("cap of the person");
    }
    (guild.is_some() && guild_turns >= i64::from(caps.guild)).then_some("cap of the guild")
}

/// Takes a place for one turn, in the guild and for the person.
pub(super) fn count(script: &mut Script, day: &str, (user, guild): (UserId, Option<GuildId>)) {
    let mut add = |scope: String| {
        script
            .add(
                "INSERT INTO caps (day, scope, turns) VALUES (?, ?, 1) \
                 ON CONFLICT (day, scope) DO UPDATE SET turns = turns + 1",
            )
            .bind(day.to_owned())
            .bind(scope);
    };
    add(format!("user:{user}"));
    if let Some(guild) = guild {
        add(format!("guild:{guild}"));
    }
}

/// The person is told today, and not again.
pub(super) fn tell(script: &mut Script, day: &str, user: UserId) {
    script
        .add(
            "INSERT INTO caps (day, scope, noticed) VALUES (?, ?, 1) \
             ON CONFLICT (day, scope) DO UPDATE SET noticed = 1",
        )
        .bind(day.to_owned())
        .bind(format!("user:{user}"));
}
