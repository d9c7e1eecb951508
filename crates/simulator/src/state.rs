//! The one handle that every edge of the simulator shares.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::commands::Commands;
use crate::config::{Config, Preset};
use crate::events::Events;
use crate::faults::Faults;
use crate::gateway::Sessions;
use crate::ledger::{Ledger, now_ms};
use crate::limits::Limits;
use crate::nonce::Nonces;
use crate::world::{Change, World};

/// A cheap handle on the whole simulator; clones share everything.
#[derive(Clone)]
pub struct State {
    inner: Arc<Inner>,
}

struct Inner {
    address: SocketAddr,
    seed: u64,
    core: Mutex<Core>,
    ledger: Ledger,
    faults: Faults,
    events: Events,
    shutdown: CancellationToken,
}

/// What changes under one lock: the world, and what Discord remembers of its clients.
#[derive(Debug)]
pub struct Core {
    /// Users, guilds, channels and messages.
    pub world: World,
    /// Gateway sessions.
    pub gateway: Sessions,
    /// Rate limits.
    pub limits: Limits,
    /// Nonces used lately.
    pub nonces: Nonces,
    /// Application commands.
    pub commands: Commands,
    /// The bot's token.
    pub token: String,
    /// Whether the token still opens anything.
    pub token_valid: bool,
    random: StdRng,
}

impl Core {
    fn new(config: &Config, address: SocketAddr) -> Self {
        let public = config.public_address.clone().unwrap_or_else(|| address.to_string());
        let made_at_ms = config.world_made_at_ms.unwrap_or_else(now_ms);
        let mut world = World::new(format!("http://{public}"), "kotonoha", made_at_ms);
        if config.world == Preset::Demo {
            world.add_demo();
        }
        world.changes.clear();
        let mut core = Self {
            world,
            gateway: Sessions::default(),
            limits: Limits::default(),
            nonces: Nonces::default(),
            commands: Commands::default(),
            token: String::new(),
            token_valid: true,
            random: StdRng::seed_from_u64(config.seed),
        };
        core.token = config.bot_token.clone().unwrap_or_else(|| core.draw_token());
        core
    }

    /// A token of the shape real ones have.
    fn draw_token(&mut self) -> String {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD_NO_PAD;
        let id = STANDARD_NO_PAD.encode(self.world.bot_id.to_string());
        format!("{id}.{}.{}", self.random_hex(6), self.random_hex(38))
    }

    /// Random lower-case hexadecimal digits.
    pub(crate) fn random_hex(&mut self, length: usize) -> String {
        const DIGITS: &[u8] = b"0123456789abcdef";
        let random = &mut self.random;
        (0..length).map(|_| char::from(DIGITS[(random.next_u32() % 16) as usize])).collect()
    }
}

impl State {
    pub(crate) fn new(config: &Config, address: SocketAddr) -> Self {
        Self {
            inner: Arc::new(Inner {
                address,
                seed: config.seed,
                core: Mutex::new(Core::new(config, address)),
                ledger: Ledger::new(config.ledger_bytes_max),
                faults: Faults::default(),
                events: Events::default(),
                shutdown: CancellationToken::new(),
            }),
        }
    }

    /// Runs `action` on the world at the present time, then dispatches what changed. Changes are
    /// dispatched in the order in which they happen, whoever makes them.
    pub fn with<T>(&self, action: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.inner.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.world.now_ms = now_ms();
        let answer = action(&mut core);
        let changes = std::mem::take(&mut core.world.changes);
        let (bot_id, now_ms) = (core.world.bot_id, core.world.now_ms);
        if !changes.is_empty() {
            core.gateway.expire(now_ms);
        }
        for change in changes.iter().filter(|change| change.visible) {
            core.gateway.dispatch(change, bot_id, self.ledger());
        }
        if self.events().is_watched() {
            for change in changes {
                let (kind, event) = to_event(change);
                self.events().send(&kind, event);
            }
        }
        drop(core);
        answer
    }

    /// The address the simulator listens on.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// The seed everything random is drawn from.
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// The record of everything that crossed the wire.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The faults that wait to strike.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// The stream of changes for the page and tests.
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    /// Cancelled when the simulator stops; long answers must end then.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.inner.shutdown
    }
}

/// A change as watchers are told it; see [`crate::events`].
fn to_event(change: Change) -> (String, Value) {
    let Change { name, data, guild_id, channel_id, .. } = change;
    let mut event = json!({"guild_id": guild_id, "channel_id": channel_id});
    let kind = match name {
        "MESSAGE_CREATE" | "MESSAGE_UPDATE" => {
            event["message"] = data;
            name.to_lowercase()
        }
        "MESSAGE_DELETE" => {
            event["message_id"] = data["id"].clone();
            event["message_ids"] = json!([data["id"]]);
            "message_delete".into()
        }
        "MESSAGE_DELETE_BULK" => {
            event["message_ids"] = data["ids"].clone();
            "message_delete".into()
        }
        "TYPING_START" => {
            event["user_id"] = data["user_id"].clone();
            "typing".into()
        }
        "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE" => {
            for key in ["message_id", "user_id", "emoji"] {
                event[key] = data[key].clone();
            }
            event["added"] = json!(name == "MESSAGE_REACTION_ADD");
            "reaction".into()
        }
        "THREAD_CREATE" | "THREAD_UPDATE" | "THREAD_DELETE" | "CHANNEL_CREATE"
        | "CHANNEL_UPDATE" | "CHANNEL_DELETE" => {
            event["channel"] = data;
            name.to_lowercase()
        }
        _ => {
            event["data"] = data;
            name.to_lowercase()
        }
    };
    (kind, event)
}
