//! What a gateway client asks for, and what it is answered.

use serde_json::{Value, json};

use crate::gateway::identify::Verdict;
use crate::gateway::session::ResumeError;
use crate::gateway::{DropKind, close, intents, op};
use crate::ledger::Ledger;
use crate::shape;
use crate::state::Core;
use crate::world::entity::Member;
use crate::world::id::Id;

/// How a frame is answered, apart from dispatches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Not at all.
    Nothing,
    /// With a frame of this operation and data.
    Frame(u64, Value),
    /// The connection is closed.
    Close(u16, &'static str),
}

/// What an IDENTIFY asks for.
struct Wanted {
    shard: (u64, u64),
    intents: u64,
}

/// The connection a frame came in on.
pub(crate) struct Caller<'a> {
    pub(crate) connection: u64,
    pub(crate) session: &'a mut Option<String>,
    pub(crate) ledger: &'a Ledger,
}

impl Core {
    /// Answers one frame.
    pub(crate) fn gateway_frame(&mut self, caller: &mut Caller<'_>, frame: &Value) -> Reply {
        let Some(operation) = frame["op"].as_u64() else {
            return Reply::Close(close::DECODE_ERROR, "Error while decoding payload.");
        };
        let data = &frame["d"];
        // After INVALID_SESSION a client may identify on the same connection.
        if caller.session.as_ref().is_some_and(|id| !self.gateway.knows(id)) {
            *caller.session = None;
        }
        match operation {
            op::HEARTBEAT if self.gateway.config.withhold_heartbeat_acks => Reply::Nothing,
            op::HEARTBEAT => Reply::Frame(op::HEARTBEAT_ACK, Value::Null),
            op::IDENTIFY => self.identify(caller, data),
            op::RESUME => self.resume(caller, data),
            op::PRESENCE_UPDATE
            | op::VOICE_STATE_UPDATE
            | op::REQUEST_GUILD_MEMBERS
            | op::REQUEST_SOUNDBOARD_SOUNDS
            | op::REQUEST_CHANNEL_INFO
                if caller.session.is_none() =>
            {
                Reply::Close(close::NOT_AUTHENTICATED, "Not authenticated.")
            }
            op::REQUEST_GUILD_MEMBERS => self.list_members(caller, data),
            op::PRESENCE_UPDATE
            | op::VOICE_STATE_UPDATE
            | op::REQUEST_SOUNDBOARD_SOUNDS
            | op::REQUEST_CHANNEL_INFO => Reply::Nothing,
            _ => Reply::Close(close::UNKNOWN_OPCODE, "Unknown opcode."),
        }
    }

    fn knows_token(&self, token: &Value) -> bool {
        let token = token.as_str().unwrap_or_default();
        self.token_valid && token.strip_prefix("Bot ").unwrap_or(token) == self.token
    }

    fn identify(&mut self, caller: &mut Caller<'_>, data: &Value) -> Reply {
        if caller.session.is_some() {
            return Reply::Close(close::ALREADY_AUTHENTICATED, "Already authenticated.");
        }
        if !data.is_object() || !data["properties"].is_object() {
            return Reply::Close(close::DECODE_ERROR, "Error while decoding payload.");
        }
        if !self.knows_token(&data["token"]) {
            return Reply::Close(close::AUTHENTICATION_FAILED, "Authentication failed.");
        }
        let Wanted { shard, intents } = match self.check_identify(data) {
            Ok(wanted) => wanted,
            Err((code, reason)) => return Reply::Close(code, reason),
        };
        match self.gateway.identify.take(shard.0, self.world.now_ms) {
            Verdict::Allowed => {}
            Verdict::Exhausted if self.gateway.identify.resets_token => {
                self.token_valid = false;
                self.gateway.drop_all(DropKind::Close(close::AUTHENTICATION_FAILED), false);
                return Reply::Close(close::AUTHENTICATION_FAILED, "Authentication failed.");
            }
            Verdict::TooSoon | Verdict::Exhausted => {
                return Reply::Frame(op::INVALID_SESSION, json!(false));
            }
        }
        self.start_session(caller, shard, intents);
        Reply::Nothing
    }

    fn check_identify(&self, data: &Value) -> Result<Wanted, (u16, &'static str)> {
        let shard = match &data["shard"] {
            Value::Null => (0, 1),
            given => match (given[0].as_u64(), given[1].as_u64()) {
                (Some(id), Some(count)) if id < count => (id, count),
                _ => return Err((close::INVALID_SHARD, "Invalid shard.")),
            },
        };
        let guilds_max = 2500 * usize::try_from(shard.1).unwrap_or(usize::MAX / 2500);
        let too_many = self.world.guilds.len() > guilds_max;
        if too_many || (self.gateway.config.sharding_required && data["shard"].is_null()) {
            return Err((close::SHARDING_REQUIRED, "Sharding required."));
        }
        let wanted = data["intents"].as_u64().filter(|bits| bits & !intents::KNOWN == 0);
        let wanted = wanted.ok_or((close::INVALID_INTENTS, "Invalid intent(s)."))?;
        let mut disallowed = 0;
        if !self.gateway.config.content_intent_allowed {
            disallowed |= intents::MESSAGE_CONTENT;
        }
        if !self.gateway.config.member_intents_allowed {
            disallowed |= intents::GUILD_MEMBERS | intents::GUILD_PRESENCES;
        }
        if wanted & disallowed != 0 {
            return Err((close::DISALLOWED_INTENTS, "Disallowed intent(s)."));
        }
        Ok(Wanted { shard, intents: wanted })
    }

    fn start_session(&mut self, caller: &mut Caller<'_>, shard: (u64, u64), intents: u64) {
        let id = self.random_hex(32);
        self.gateway.start(&id, shard, intents, caller.connection);
        *caller.session = Some(id.clone());
        let serves = |guild: Id| (guild.0 >> 22) % shard.1 == shard.0;
        let own: Vec<Id> = self
            .world
            .guilds
            .values()
            .filter(|one| serves(one.id) && one.members.contains_key(&self.world.bot_id))
            .map(|one| one.id)
            .collect();
        let ready = self.ready(&id, shard, &own);
        self.gateway.tell(&id, "READY", &ready, caller.ledger);
        if intents & intents::GUILDS == 0 {
            return;
        }
        let all_members = intents & intents::GUILD_PRESENCES != 0;
        for guild_id in own {
            if let Some(guild) = self.world.guilds.get(&guild_id) {
                let data = shape::guild_create(&self.world, guild, all_members);
                self.gateway.tell(&id, "GUILD_CREATE", &data, caller.ledger);
            }
        }
    }

    fn ready(&self, session: &str, shard: (u64, u64), guilds: &[Id]) -> Value {
        let guilds: Vec<Value> =
            guilds.iter().map(|id| json!({"id": id, "unavailable": true})).collect();
        let bot = self.world.users.get(&self.world.bot_id);
        let address = self.world.base_url.replacen("http://", "ws://", 1);
        json!({
            "v": 10,
            "user_settings": {},
            "user": bot.map_or(Value::Null, shape::private_user),
            "session_type": "normal",
            "session_id": session,
            "resume_gateway_url": format!("{address}/resume-{}", &session[..8]),
            "relationships": [],
            "private_channels": [],
            "presences": [],
            "guilds": guilds,
            "guild_join_requests": [],
            "geo_ordered_rtc_regions": ["japan"],
            "application": {"id": self.world.bot_id, "flags": shape::APPLICATION_FLAGS},
            "shard": [shard.0, shard.1],
            "auth": {},
            "_trace": ["[\"simulator\",{\"micros\":0.0}]"],
        })
    }

    fn resume(&mut self, caller: &mut Caller<'_>, data: &Value) -> Reply {
        if caller.session.is_some() {
            return Reply::Close(close::ALREADY_AUTHENTICATED, "Already authenticated.");
        }
        let (Some(id), Some(seq)) = (data["session_id"].as_str(), data["seq"].as_u64()) else {
            return Reply::Close(close::DECODE_ERROR, "Error while decoding payload.");
        };
        if !self.knows_token(&data["token"]) {
            return Reply::Close(close::AUTHENTICATION_FAILED, "Authentication failed.");
        }
        let time = (self.world.now_ms, caller.ledger);
        match self.gateway.resume(id, seq, caller.connection, time) {
            Ok(()) => {
                *caller.session = Some(id.to_owned());
                Reply::Nothing
            }
            Err(ResumeError::Unknown) => Reply::Frame(op::INVALID_SESSION, json!(false)),
            Err(ResumeError::InvalidSeq) => Reply::Close(close::INVALID_SEQ, "Invalid seq."),
        }
    }

    /// Sends the members of a guild in chunks of 1000.
    fn list_members(&mut self, caller: &mut Caller<'_>, data: &Value) -> Reply {
        let guild = Id::from_value(&data["guild_id"]).and_then(|id| self.world.guilds.get(&id));
        let (Some(guild), Some(session)) = (guild, caller.session.as_deref()) else {
            return Reply::Nothing;
        };
        let wanted = |member: &&Member| wants_member(data, member, &self.world);
        let limit = data["limit"].as_u64().filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        let found: Vec<Value> = guild
            .members
            .values()
            .filter(wanted)
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|member| shape::member(&self.world, member))
            .collect();
        let chunks: Vec<&[Value]> =
            if found.is_empty() { vec![&[]] } else { found.chunks(1000).collect() };
        for (index, members) in chunks.iter().enumerate() {
            let mut chunk = json!({
                "guild_id": guild.id,
                "members": members,
                "chunk_index": index,
                "chunk_count": chunks.len(),
                "not_found": [],
            });
            if data["presences"] == true {
                chunk["presences"] = json!([]);
            }
            if !data["nonce"].is_null() {
                chunk["nonce"] = data["nonce"].clone();
            }
            self.gateway.tell(session, "GUILD_MEMBERS_CHUNK", &chunk, caller.ledger);
        }
        Reply::Nothing
    }
}

fn wants_member(data: &Value, member: &Member, world: &crate::world::World) -> bool {
    let ids = &data["user_ids"];
    if let Some(list) = ids.as_array() {
        return list.iter().any(|id| Id::from_value(id) == Some(member.user_id));
    }
    if !ids.is_null() {
        return Id::from_value(ids) == Some(member.user_id);
    }
    let query = data["query"].as_str().unwrap_or_default().to_lowercase();
    let name = world.users.get(&member.user_id).map_or("", |user| &user.name);
    let nick = member.nick.as_deref().unwrap_or_default();
    name.to_lowercase().starts_with(&query) || nick.to_lowercase().starts_with(&query)
}
