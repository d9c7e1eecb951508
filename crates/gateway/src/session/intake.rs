//! Takes in one dispatch: its session, its place in order, what it teaches, and where it goes.

use std::sync::Arc;

use bus::Bucket;
use contracts::discord;
use contracts::id::{ChannelId, GuildId};
use contracts::setting::Setting;
use metrics::Counter;

use crate::clock;
use crate::directory::Directory;
use crate::forward::{Checkpoint, Forwarder};
use crate::frame::{self, ChannelHead, GuildHead, Ready, ThreadList};
use crate::session::saver::ResumeUrls;
use crate::sort::{self, Received};

/// The types that are counted by name, so that there are not more than these whatever a server may
/// send; the most frequent first.
const KNOWN: [&str; 18] = [
    discord::MESSAGE_CREATE,
    discord::MESSAGE_UPDATE,
    discord::MESSAGE_DELETE,
    discord::MESSAGE_DELETE_BULK,
    discord::THREAD_DELETE,
    discord::CHANNEL_DELETE,
    "READY",
    "RESUMED",
    "GUILD_CREATE",
    "GUILD_UPDATE",
    "GUILD_DELETE",
    "CHANNEL_CREATE",
    "CHANNEL_UPDATE",
    "CHANNEL_PINS_UPDATE",
    "THREAD_CREATE",
    "THREAD_UPDATE",
    "THREAD_LIST_SYNC",
    "THREAD_MEMBERS_UPDATE",
];

/// The session that is being received.
#[derive(Debug, Clone)]
pub(super) struct Position {
    /// Its id.
    pub(super) session: Arc<str>,
    /// The last sequence received.
    pub(super) sequence: u64,
    /// Where to resume it; none = at the usual address.
    pub(super) resume_url: Option<String>,
}

/// What a dispatch did to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// A session stands from now on.
    Established,
    /// Nothing new.
    Continued,
}

/// Takes in the dispatches of one shard.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    pub(super) shard: u32,
    pub(super) directory: Arc<Directory>,
    pub(super) forwarder: Forwarder,
    pub(super) checkpoint: Checkpoint,
    pub(super) urls: ResumeUrls,
    pub(super) settings: Bucket,
    pub(super) kinds: Kinds,
}

impl Intake {
    /// Takes in one dispatch. Never waits.
    pub(super) fn dispatch(
        &self,
        position: &mut Option<Position>,
        text: String,
        kind: String,
        sequence: u64,
    ) -> Taken {
        self.kinds.count(&kind);
        if kind == "READY" {
            return self.ready(position, &text, sequence);
        }
        // Only after READY or within a resume is there a session to speak of.
        let Some(position) = position else { return Taken::Continued };
        position.sequence = sequence;
        let ticket = self.checkpoint.begin(&position.session, sequence);
        self.learn(&kind, &text);
        if sort::is_forwarded(&kind) {
            let received = Received {
                text,
                kind,
                sequence,
                session: Arc::clone(&position.session),
                shard: self.shard,
                at_unix_ms: clock::unix_ms(),
            };
            self.forwarder.accept(received, ticket);
            return Taken::Continued;
        }
        ticket.done();
        self.forwarder.figures().filtered("type");
        if kind == "RESUMED" { Taken::Established } else { Taken::Continued }
    }

    /// Keeps what remains of a frame that could not be read at all.
    pub(super) fn unreadable(&self, position: Option<&Position>, text: String, error: &str) {
        let header = frame::Header::scan(&text);
        let sequence = header.as_ref().and_then(|header| header.sequence);
        let kind = header.and_then(|header| header.kind).unwrap_or_default().into_owned();
        let received = Received {
            kind,
            text,
            sequence: sequence.unwrap_or_default(),
            session: position.map_or_else(|| "none".into(), |at| Arc::clone(&at.session)),
            shard: self.shard,
            at_unix_ms: clock::unix_ms(),
        };
        self.forwarder.bury(received, error.to_owned());
    }

    fn ready(&self, position: &mut Option<Position>, text: &str, sequence: u64) -> Taken {
        let ready: Ready = match frame::data(text) {
            Ok(ready) => ready,
            Err(error) => {
                tracing::error!(shard.id = self.shard, %error, "READY cannot be read");
                return Taken::Continued;
            }
        };
        let session: Arc<str> = ready.session_id.into();
        self.directory.note_bot(ready.user.id.into());
        self.urls.note(&session, &ready.resume_gateway_url);
        *position = Some(Position {
            session: Arc::clone(&session),
            sequence,
            resume_url: Some(ready.resume_gateway_url),
        });
        self.checkpoint.begin(&session, sequence).done();
        Taken::Established
    }

    fn learn(&self, kind: &str, text: &str) {
        let learnt = match kind {
            "GUILD_CREATE" | "GUILD_UPDATE" => frame::data(text).map(|guild| self.guild(&guild)),
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
                frame::data(text).map(|channel: ChannelHead| self.channel(&channel))
            }
            "THREAD_LIST_SYNC" => frame::data(text).map(|list: ThreadList| {
                if self.directory.is_allowed(list.guild_id.into()) {
                    list.threads.iter().flatten().for_each(|thread| {
                        self.directory.note_channel(thread);
                    });
                }
            }),
            discord::CHANNEL_DELETE | discord::THREAD_DELETE => {
                frame::data(text).map(|gone: frame::WithId| self.gone(gone.id.into()))
            }
            _ => Ok(()),
        };
        if let Err(error) = learnt {
            tracing::warn!(event.kind = kind, %error, "nothing could be learnt from an event");
        }
    }

    fn guild(&self, guild: &GuildHead<'_>) {
        if let Some((id, locale)) = self.directory.note_guild(guild) {
            self.remember(Setting::Locale(id).key(), Some(locale));
        }
    }

    fn channel(&self, channel: &ChannelHead) {
        if channel.guild_id.is_some_and(|guild| self.directory.is_allowed(GuildId::from(guild))) {
            self.directory.note_channel(channel);
        }
    }

    fn gone(&self, channel: ChannelId) {
        if self.directory.forget_channel(channel) {
            self.remember(Setting::OwnThread(channel).key(), None);
            self.remember(Setting::Listening(channel).key(), None);
        }
    }

    /// Keeps or drops a setting in the background: losing it costs a look-up, not a message.
    fn remember(&self, key: String, value: Option<String>) {
        let settings = self.settings.clone();
        tokio::spawn(async move {
            let done = match value {
                Some(value) => settings.put(&key, value.into_bytes()).await.map(drop),
                None => settings.delete(&key).await,
            };
            if let Err(error) = done {
                tracing::warn!(key, %error, "a setting was not saved; it will be learnt again");
            }
        });
    }
}

/// How many dispatches came, by their type.
#[derive(Debug, Clone)]
pub(super) struct Kinds {
    known: Vec<(&'static str, Counter)>,
    other: Counter,
}

impl Kinds {
    /// Finds the counters in the process' recorder, which must stand by then.
    pub(super) fn find() -> Self {
        let counter =
            |kind: &'static str| metrics::counter!("gateway_events_total", "type" => kind);
        Self {
            known: KNOWN.into_iter().map(|kind| (kind, counter(kind))).collect(),
            other: counter("other"),
        }
    }

    fn count(&self, kind: &str) {
        let known = self.known.iter().find(|(known, _)| *known == kind);
        known.map_or(&self.other, |(_, counter)| counter).increment(1);
    }
}
