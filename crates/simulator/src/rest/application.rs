//! The application: the gateway's address, its own description, its commands.

use serde_json::{Value, json};

use crate::commands::Commands;
use crate::rest::call::{Answer, Call, Outcome, known};
use crate::rest::command_body;
use crate::rest::error::{self, ApiError};
use crate::rest::guilds;
use crate::shape;
use crate::state::Core;
use crate::world::id::Id;

/// Command creations a scope and day.
const CREATES_A_DAY_MAX: usize = 200;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[expect(clippy::unnecessary_wraps, reason = "every handler has the same signature")]
pub(crate) fn gateway(core: &mut Core, _call: &Call) -> Outcome {
    Ok(Answer::ok(json!({"url": gateway_url(core)})))
}

#[expect(clippy::unnecessary_wraps, reason = "every handler has the same signature")]
pub(crate) fn gateway_bot(core: &mut Core, _call: &Call) -> Outcome {
    let now_ms = core.world.now_ms;
    Ok(Answer::ok(json!({
        "url": gateway_url(core),
        "shards": core.gateway.config.shards,
        "session_start_limit": core.gateway.identify.session_start_limit(now_ms),
    })))
}

fn gateway_url(core: &Core) -> String {
    format!("{}/", core.world.base_url.replacen("http://", "ws://", 1))
}

#[expect(clippy::unnecessary_wraps, reason = "every handler has the same signature")]
pub(crate) fn me(core: &mut Core, _call: &Call) -> Outcome {
    Ok(Answer::ok(shape::application(&core.world)))
}

/// Which commands a route is about: global ones, or those of a guild the bot is in.
fn scope(core: &Core, call: &Call) -> Result<(Option<Id>, usize), ApiError> {
    if call.id(0)? != core.world.bot_id {
        return Err(error::UNKNOWN_APPLICATION);
    }
    if call.route.contains("/guilds/") {
        let guild = guilds::own(&core.world, call.id(1)?)?;
        return Ok((Some(guild.id), 2));
    }
    Ok((None, 1))
}

pub(crate) fn list_commands(core: &mut Core, call: &Call) -> Outcome {
    let (scope, _) = scope(core, call)?;
    let list = core.commands.scopes.get(&scope).map(|all| all.values().cloned().collect());
    Ok(Answer::ok(list.unwrap_or_else(|| json!([]))))
}

pub(crate) fn get_command(core: &mut Core, call: &Call) -> Outcome {
    let (scope, place) = scope(core, call)?;
    let id = call.id(place)?;
    let found = core.commands.scopes.get(&scope).and_then(|all| all.get(&id));
    Ok(Answer::ok(known(found, error::UNKNOWN_COMMAND)?.clone()))
}

pub(crate) fn create_command(core: &mut Core, call: &Call) -> Outcome {
    let (scope, _) = scope(core, call)?;
    command_body::check(&call.body)?;
    let old = core.commands.find(scope, &call.body);
    let is_new = old.is_none();
    if is_new {
        core.count_create(scope, 1)?;
        let mut bodies: Vec<Value> = core
            .commands
            .scopes
            .get(&scope)
            .into_iter()
            .flat_map(|all| all.values().cloned())
            .collect();
        bodies.push(call.body.clone());
        command_body::check_caps(&bodies)?;
    }
    let id = old.unwrap_or_else(|| core.world.next_id());
    let command = core.command(scope, id, &call.body);
    core.commands.scopes.entry(scope).or_default().insert(id, command.clone());
    Ok(if is_new { Answer::created(command) } else { Answer::ok(command) })
}

/// Replaces all commands of a scope at once; what has the same type and name keeps its id.
pub(crate) fn replace_commands(core: &mut Core, call: &Call) -> Outcome {
    let (scope, _) = scope(core, call)?;
    let bodies = command_body::check_all(&call.body)?;
    command_body::check_caps(bodies)?;
    let olds: Vec<Option<Id>> = bodies.iter().map(|body| core.commands.find(scope, body)).collect();
    core.count_create(scope, olds.iter().filter(|old| old.is_none()).count())?;
    let mut all = std::collections::BTreeMap::new();
    for (body, old) in bodies.iter().zip(olds) {
        let id = old.unwrap_or_else(|| core.world.next_id());
        all.insert(id, core.command(scope, id, body));
    }
    let answer: Value = all.values().cloned().collect();
    core.commands.scopes.insert(scope, all);
    Ok(Answer::ok(answer))
}

pub(crate) fn edit_command(core: &mut Core, call: &Call) -> Outcome {
    let (scope, place) = scope(core, call)?;
    let id = call.id(place)?;
    let found = core.commands.scopes.get(&scope).and_then(|all| all.get(&id));
    let mut merged = known(found, error::UNKNOWN_COMMAND)?.clone();
    for (key, value) in call.body.as_object().into_iter().flatten() {
        merged[key] = value.clone();
    }
    command_body::check(&merged)?;
    let command = core.command(scope, id, &merged);
    core.commands.scopes.entry(scope).or_default().insert(id, command.clone());
    Ok(Answer::ok(command))
}

pub(crate) fn delete_command(core: &mut Core, call: &Call) -> Outcome {
    let (scope, place) = scope(core, call)?;
    let id = call.id(place)?;
    let removed = core.commands.scopes.get_mut(&scope).and_then(|all| all.remove(&id));
    known(removed, error::UNKNOWN_COMMAND)?;
    Ok(Answer::empty())
}

impl Commands {
    /// The command of the same type and name.
    fn find(&self, scope: Option<Id>, body: &Value) -> Option<Id> {
        let kind = command_body::kind(body);
        let same = |(_, one): &(&Id, &Value)| {
            one["name"] == body["name"] && command_body::kind(one) == kind
        };
        self.scopes.get(&scope)?.iter().find(same).map(|(id, _)| *id)
    }
}

impl Core {
    /// Counts creations against the daily cap.
    fn count_create(&mut self, scope: Option<Id>, new: usize) -> Result<(), ApiError> {
        let now_ms = self.world.now_ms;
        let created = self.commands.created_ms.entry(scope).or_default();
        created.retain(|at_ms| now_ms < at_ms + DAY_MS);
        if created.len() + new > CREATES_A_DAY_MAX {
            return Err(error::TOO_MANY_COMMAND_CREATES);
        }
        created.extend(std::iter::repeat_n(now_ms, new));
        Ok(())
    }

    /// A command as Discord answers it.
    fn command(&mut self, scope: Option<Id>, id: Id, body: &Value) -> Value {
        let mut command = json!({
            "id": id,
            "application_id": self.world.bot_id,
            "version": self.world.next_id(),
            "default_member_permissions": body["default_member_permissions"],
            "type": command_body::kind(body),
            "name": body["name"],
            "name_localizations": body["name_localizations"],
            "description": body["description"].as_str().unwrap_or_default(),
            "description_localizations": body["description_localizations"],
            "nsfw": body["nsfw"].as_bool().unwrap_or(false),
        });
        let options = body["options"].as_array().filter(|options| !options.is_empty());
        if let Some(options) = options {
            let shown: Vec<Value> = options.iter().map(command_body::shown_option).collect();
            command["options"] = json!(shown);
        }
        if let Some(guild_id) = scope {
            command["guild_id"] = json!(guild_id);
        } else {
            command["dm_permission"] = json!(body["dm_permission"].as_bool().unwrap_or(true));
            command["contexts"] = body["contexts"].clone();
            let types = &body["integration_types"];
            command["integration_types"] =
                if types.is_array() { types.clone() } else { json!([0]) };
        }
        if command["contexts"].is_null()
            && let Some(object) = command.as_object_mut()
        {
            object.remove("contexts");
        }
        command
    }
}
