//! Sessions: who is connected, what they have been told, and what can be told again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use crate::gateway::config::{DropKind, GatewayConfig};
use crate::gateway::identify::IdentifyLimits;
use crate::gateway::intents;
use crate::ledger::{Kind, Ledger};
use crate::world::Change;
use crate::world::id::Id;

/// How many dispatches a session can be told again.
const REPLAY_MAX: usize = 50_000;

/// What a connection is told to do.
#[derive(Clone, Debug)]
pub(crate) enum Out {
    /// Send a dispatch.
    Dispatch { seq: u64, name: Arc<str>, data: Arc<RawValue> },
    /// Send this text.
    Raw(String),
    /// Close with a code and a reason.
    Close(u16, &'static str),
    /// Break the connection without a close frame.
    Abort,
}

#[derive(Clone, Debug)]
struct Told {
    seq: u64,
    name: Arc<str>,
    data: Arc<RawValue>,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) shard: (u64, u64),
    pub(crate) intents: u64,
    seq: u64,
    told: VecDeque<Told>,
    link: Option<(u64, UnboundedSender<Out>)>,
    lost_ms: u64,
    resumable: bool,
}

/// All sessions, connected or waiting to be resumed, and all connections.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Settings.
    pub config: GatewayConfig,
    /// How many sessions may still be started.
    pub identify: IdentifyLimits,
    /// How many of the next dispatches are sent twice.
    pub duplicate_next: u32,
    known: BTreeMap<String, Session>,
    connections: BTreeMap<u64, UnboundedSender<Out>>,
    connections_made: u64,
}

#[derive(Serialize)]
struct DispatchEntry<'a> {
    session: &'a str,
    connection: Option<u64>,
    replayed: bool,
    t: &'a str,
    s: u64,
    d: &'a RawValue,
}

impl Sessions {
    /// Registers a connection and returns its number.
    pub(crate) fn connect(&mut self, sender: UnboundedSender<Out>) -> u64 {
        self.connections_made += 1;
        self.connections.insert(self.connections_made, sender);
        self.connections_made
    }

    /// Forgets a connection. Its session waits to be resumed, unless the client said goodbye.
    pub(crate) fn disconnect(&mut self, connection: u64, goodbye: bool, now_ms: u64) {
        self.connections.remove(&connection);
        let held =
            |session: &Session| session.link.as_ref().is_some_and(|link| link.0 == connection);
        self.known.retain(|_, session| !held(session) || (session.resumable && !goodbye));
        for session in self.known.values_mut().filter(|session| held(session)) {
            session.link = None;
            session.lost_ms = now_ms;
        }
    }

    /// Starts a session on a connection.
    pub(crate) fn start(&mut self, id: &str, shard: (u64, u64), intents: u64, connection: u64) {
        let link = self.connections.get(&connection).map(|sender| (connection, sender.clone()));
        let told = VecDeque::new();
        let session = Session { shard, intents, seq: 0, told, link, lost_ms: 0, resumable: true };
        self.known.insert(id.into(), session);
    }

    /// Moves a session to a new connection and tells it again what came after `seq`.
    pub(crate) fn resume(
        &mut self,
        id: &str,
        seq: u64,
        connection: u64,
        (now_ms, ledger): (u64, &Ledger),
    ) -> Result<(), ResumeError> {
        self.expire(now_ms);
        let sender = self.connections.get(&connection).cloned().ok_or(ResumeError::Unknown)?;
        let session = self.known.get_mut(id).filter(|session| session.resumable);
        let session = session.ok_or(ResumeError::Unknown)?;
        if seq > session.seq {
            return Err(ResumeError::InvalidSeq);
        }
        let oldest = session.told.front().map_or(session.seq + 1, |told| told.seq);
        if seq + 1 < oldest {
            self.known.remove(id);
            return Err(ResumeError::Unknown);
        }
        if let Some((_, old)) = session.link.replace((connection, sender.clone())) {
            // A closed receiver means that the old connection ended by itself.
            drop(old.send(Out::Abort));
        }
        for told in session.told.iter().filter(|told| told.seq > seq) {
            record(ledger, id, Some(connection), told, true);
            send(&sender, told);
        }
        self.tell(id, "RESUMED", &json!({"_trace": ["simulator"]}), ledger);
        Ok(())
    }

    /// Sends one dispatch to one session.
    pub(crate) fn tell(&mut self, id: &str, name: &str, data: &Value, ledger: &Ledger) {
        let raw: Arc<RawValue> = raw(data);
        if let Some(session) = self.known.get_mut(id) {
            session.tell(id, name.into(), raw, (1, ledger));
        }
    }

    /// Sends a change to every session that asked for it.
    pub(crate) fn dispatch(&mut self, change: &Change, bot_id: Id, ledger: &Ledger) {
        if self.known.is_empty() {
            return;
        }
        let mut full: Option<Arc<RawValue>> = None;
        let mut bare: Option<Arc<RawValue>> = None;
        let mut times = 1;
        let is_message = matches!(change.name, "MESSAGE_CREATE" | "MESSAGE_UPDATE");
        let name: Arc<str> = change.name.into();
        for (id, session) in &mut self.known {
            if !session.serves(change.guild_id) || !intents::wants(session.intents, change, bot_id)
            {
                continue;
            }
            if self.duplicate_next > 0 {
                self.duplicate_next -= 1;
                times = 2;
            }
            let withheld = is_message
                && change.guild_id.is_some()
                && session.intents & intents::MESSAGE_CONTENT == 0;
            let data = if withheld {
                bare.get_or_insert_with(|| {
                    let mut data = change.data.clone();
                    intents::withhold(&mut data, bot_id);
                    raw(&data)
                })
            } else {
                full.get_or_insert_with(|| raw(&change.data))
            };
            session.tell(id, name.clone(), data.clone(), (times, ledger));
        }
    }

    /// Sends a dispatch as it is to every session, for tests of what Discord never sends.
    pub fn tell_all(&mut self, name: &str, data: &Value, ledger: &Ledger) {
        let raw = raw(data);
        for (id, session) in &mut self.known {
            session.tell(id, name.into(), raw.clone(), (1, ledger));
        }
    }

    /// Sends a text frame as it is on every connection.
    pub fn send_raw(&mut self, text: &str) -> usize {
        self.connections.values().filter(|one| one.send(Out::Raw(text.into())).is_ok()).count()
    }

    /// Ends all connections in one way; sessions survive when `resumable`.
    pub fn drop_all(&mut self, kind: DropKind, resumable: bool) -> usize {
        match (kind, resumable) {
            (DropKind::InvalidSession, false) => self.known.clear(),
            (_, false) => self.forget(),
            (_, true) => {}
        }
        let out = match kind {
            DropKind::Abort => Out::Abort,
            DropKind::Close(code) => Out::Close(code, "closed by the control API"),
            DropKind::Reconnect => Out::Raw(r#"{"t":null,"s":null,"op":7,"d":null}"#.into()),
            DropKind::InvalidSession => {
                Out::Raw(format!(r#"{{"t":null,"s":null,"op":9,"d":{resumable}}}"#))
            }
        };
        self.connections.values().filter(|one| one.send(out.clone()).is_ok()).count()
    }

    /// Forgets all sessions without a connection; the others go on, and end with theirs.
    pub fn forget(&mut self) {
        self.known.retain(|_, session| session.link.is_some());
        for session in self.known.values_mut() {
            session.resumable = false;
        }
    }

    /// Whether a session is still valid.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    /// Ends one session.
    pub(crate) fn end(&mut self, id: &str) {
        self.known.remove(id);
    }

    /// Forgets sessions that nobody resumed in time.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        let window_ms = self.config.resume_window_ms;
        self.known
            .retain(|_, session| session.link.is_some() || now_ms <= session.lost_ms + window_ms);
    }

    /// Sessions as the control API lists them.
    pub fn list(&self) -> Value {
        let sessions = self.known.iter().map(|(id, session)| {
            json!({
                "id": id,
                "shard": [session.shard.0, session.shard.1],
                "intents": session.intents,
                "seq": session.seq,
                "connection": session.link.as_ref().map(|link| link.0),
            })
        });
        sessions.collect()
    }
}

/// Why a session cannot be resumed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResumeError {
    #[error("the session is unknown or over")]
    Unknown,
    #[error("the sequence never was")]
    InvalidSeq,
}

impl Session {
    /// Whether this shard is responsible for a guild; direct messages go to shard 0.
    pub(crate) fn serves(&self, guild_id: Option<Id>) -> bool {
        let (id, count) = self.shard;
        guild_id.map_or(id == 0, |guild| (guild.0 >> 22) % count == id)
    }

    fn tell(&mut self, id: &str, name: Arc<str>, data: Arc<RawValue>, how: (u32, &Ledger)) {
        let (times, ledger) = how;
        self.seq += 1;
        let told = Told { seq: self.seq, name, data };
        for _ in 0..times {
            record(ledger, id, self.link.as_ref().map(|link| link.0), &told, false);
            if let Some((_, sender)) = &self.link {
                send(sender, &told);
            }
        }
        self.told.push_back(told);
        if self.told.len() > REPLAY_MAX {
            self.told.pop_front();
        }
    }
}

fn send(sender: &UnboundedSender<Out>, told: &Told) {
    let out = Out::Dispatch { seq: told.seq, name: told.name.clone(), data: told.data.clone() };
    // A closed receiver means that the connection is ending; the session keeps the dispatch.
    drop(sender.send(out));
}

fn record(ledger: &Ledger, session: &str, connection: Option<u64>, told: &Told, replayed: bool) {
    let (t, s, d) = (&*told.name, told.seq, &*told.data);
    ledger.push(Kind::Dispatch, &DispatchEntry { session, connection, replayed, t, s, d });
}

fn raw(data: &Value) -> Arc<RawValue> {
    serde_json::value::to_raw_value(data).expect("a JSON value serialises").into()
}
