//! The daily caps of turns, counted where the turn is claimed, so that no two can share a place.

use contracts::id::{GuildId, UserId};
use sqlx::SqliteConnection;

use super::StoreError;

/// How many turns a day there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// For one person.
    pub user: u32,
    /// For one guild.
    pub guild: u32,
}

/// Whether a turn still has a place today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has, and it is taken.
    Counted,
    /// It has none; `tell` where the person has not heard so today.
    Reached { reason: &'static str, tell: bool },
}

/// Takes a place for one turn, in the guild and for the person, or none at all.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    day: &str,
    (user, guild): (UserId, Option<GuildId>),
    caps: Caps,
) -> Result<Verdict, StoreError> {
    let user = format!("user:{user}");
    let guild = guild.map(|guild| format!("guild:{guild}"));
    if turns(connection, day, &user).await? >= i64::from(caps.user) {
        let tell = tell_once(connection, day, &user).await?;
        return Ok(Verdict::Reached { reason: "cap of the person", tell });
    }
    if let Some(guild) = &guild {
        if turns(connection, day, guild).await? >= i64::from(caps.guild) {
            let tell = tell_once(connection, day, &user).await?;
            return Ok(Verdict::Reached { reason: "cap of the guild", tell });
        }
        add(connection, day, guild).await?;
    }
    add(connection, day, &user).await?;
    Ok(Verdict::Counted)
}

async fn turns(
    connection: &mut SqliteConnection,
    day: &str,
    scope: &str,
) -> Result<i64, StoreError> {
    let turns: Option<i64> =
        sqlx::query_scalar("SELECT turns FROM caps WHERE day = ? AND scope = ?")
            .bind(day)
            .bind(scope)
            .fetch_optional(connection)
            .await?;
    Ok(turns.unwrap_or_default())
}

async fn add(connection: &mut SqliteConnection, day: &str, scope: &str) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO caps (day, scope, turns) VALUES (?, ?, 1) \
         ON CONFLICT (day, scope) DO UPDATE SET turns = turns + 1",
    )
    .bind(day)
    .bind(scope)
    .execute(connection)
    .await?;
    Ok(())
}

async fn tell_once(
    connection: &mut SqliteConnection,
    day: &str,
    user: &str,
) -> Result<bool, StoreError> {
    let told = sqlx::query(
        "INSERT INTO caps (day, scope, noticed) VALUES (?, ?, 1) \
         ON CONFLICT (day, scope) DO UPDATE SET noticed = 1 WHERE noticed = 0",
    )
    .bind(day)
    .bind(user)
    .execute(connection)
    .await?;
    Ok(told.rows_affected() > 0)
}
