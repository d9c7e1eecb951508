//! Sorts a dispatch: what to publish of it and where, what to find out first, what to leave.

use std::time::Instant;

use bus::Outgoing;
use bytes::Bytes;
use contracts::discord;
use contracts::event::{EventMeta, PlaceKind, Reason, event_id};
use contracts::id::{ChannelId, GuildId, MessageId, UserId};
use contracts::subject::{EventSubject, Scope};
use contracts::trace;

use crate::directory::Directory;
use crate::filter::{self, Change, Facts, Question, Verdict};
use crate::frame::{self, ChannelHead, DeletionHead, MessageHead};

/// A dispatch as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The frame.
    pub text: String,
    /// The event's type.
    pub kind: String,
    /// Its sequence in the session.
    pub sequence: u64,
    /// The session.
    pub session: std::sync::Arc<str>,
    /// The shard.
    pub shard: u32,
    /// When it came, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
}

/// What is to become of a dispatch.
#[derive(Debug)]
pub(crate) enum Sorted {
    /// Publish this.
    Publish {
        /// The message for the bus, without its payload.
        outgoing: Outgoing,
        /// A payload without text; none = the frame as it came.
        payload: Option<Vec<u8>>,
        /// The channel whose order it must keep.
        channel: ChannelId,
    },
    /// Find this out, then sort again.
    Ask {
        /// What is to be found out.
        question: Question,
        /// Of which channel.
        channel: ChannelId,
        /// Of whom.
        author: Option<UserId>,
    },
    /// Leave it alone; the word is for metrics.
    Leave(&'static str),
    /// It could not be read.
    Undecodable(String),
}

/// Whether events of this type are ever published.
pub(crate) fn is_forwarded(kind: &str) -> bool {
    matches!(
        kind,
        discord::MESSAGE_CREATE
            | discord::MESSAGE_UPDATE
            | discord::MESSAGE_DELETE
            | discord::MESSAGE_DELETE_BULK
            | discord::THREAD_DELETE
            | discord::CHANNEL_DELETE
    )
}

/// Sorts a dispatch with what the directory knows now.
pub(crate) fn sort(received: &Received, directory: &Directory) -> Sorted {
    let sorted = match received.kind.as_str() {
        discord::MESSAGE_CREATE => message(received, directory, Change::Create),
        discord::MESSAGE_UPDATE => message(received, directory, Change::Update),
        discord::MESSAGE_DELETE | discord::MESSAGE_DELETE_BULK => deletion(received, directory),
        discord::THREAD_DELETE | discord::CHANNEL_DELETE => channel_gone(received, directory),
        _ => Ok(Sorted::Leave("type")),
    };
    sorted.unwrap_or_else(|error| Sorted::Undecodable(error.to_string()))
}

fn message(
    received: &Received,
    directory: &Directory,
    change: Change,
) -> Result<Sorted, serde_json::Error> {
    let head: MessageHead<'_> = frame::data(&received.text)?;
    if change == Change::Create && head.author.is_none() {
        return Err(serde::de::Error::missing_field("author"));
    }
    let Some(bot) = directory.bot() else { return Ok(Sorted::Leave("no_session")) };
    let now = Instant::now();
    let channel = ChannelId::from(head.channel_id);
    let guild = head.guild_id.map(GuildId::from);
    let author = head.author.map(|author| UserId::from(author.id));
    let facts = Facts {
        bot,
        guild_allowed: guild.is_some_and(|guild| directory.is_allowed(guild)),
        channel: directory.channel(channel, head.channel_type),
        listening: directory.is_listening(channel),
        member: author.filter(|_| guild.is_none()).and_then(|who| directory.member(who, now)),
    };
    if let Some(author) = author.filter(|_| facts.guild_allowed && head.webhook_id.is_none()) {
        directory.note_member(author, true, now);
    }
    Ok(match filter::judge(change, &head, &facts) {
        Verdict::Forward { reason, place } => Sorted::Publish {
            outgoing: outgoing(received, directory, &Labels::of(&head, Some(reason), place)),
            payload: None,
            channel,
        },
        Verdict::Withdraw => Sorted::Publish {
            outgoing: outgoing(
                received,
                directory,
                &Labels::of(&head, Some(Reason::Withdrawn), None),
            ),
            payload: Some(frame::withdrawn(&received.kind, received.sequence, &head)),
            channel,
        },
        Verdict::Ignore(why) => Sorted::Leave(why.word()),
        Verdict::Ask(question) => Sorted::Ask { question, channel, author },
    })
}

fn deletion(received: &Received, directory: &Directory) -> Result<Sorted, serde_json::Error> {
    let head: DeletionHead = frame::data(&received.text)?;
    let guild = head.guild_id.map(GuildId::from);
    if guild.is_some_and(|guild| !directory.is_allowed(guild)) {
        return Ok(Sorted::Leave("guild"));
    }
    let channel = ChannelId::from(head.channel_id);
    let labels = Labels { guild, channel: Some(channel), ..Labels::default() };
    Ok(Sorted::Publish { outgoing: outgoing(received, directory, &labels), payload: None, channel })
}

fn channel_gone(received: &Received, directory: &Directory) -> Result<Sorted, serde_json::Error> {
    let head: ChannelHead = frame::data(&received.text)?;
    let guild = head.guild_id.map(GuildId::from);
    if guild.is_some_and(|guild| !directory.is_allowed(guild)) {
        return Ok(Sorted::Leave("guild"));
    }
    let channel = ChannelId::from(head.id);
    let labels = Labels { guild, channel: Some(channel), ..Labels::default() };
    Ok(Sorted::Publish {
        outgoing: outgoing(received, directory, &labels),
        payload: Some(frame::channel_gone(&received.kind, received.sequence, &head)),
        channel,
    })
}

#[derive(Default)]
struct Labels {
    guild: Option<GuildId>,
    channel: Option<ChannelId>,
    message: Option<MessageId>,
    reason: Option<Reason>,
    place: Option<PlaceKind>,
}

impl Labels {
    fn of(head: &MessageHead<'_>, reason: Option<Reason>, place: Option<PlaceKind>) -> Self {
        Self {
            guild: head.guild_id.map(GuildId::from),
            channel: Some(head.channel_id.into()),
            message: Some(head.id.into()),
            reason,
            place,
        }
    }
}

fn outgoing(received: &Received, directory: &Directory, labels: &Labels) -> Outgoing {
    let scope = labels.guild.map_or(Scope::Direct, Scope::Guild);
    let subject = EventSubject { kind: received.kind.clone(), scope, channel: labels.channel };
    let meta = EventMeta {
        shard: received.shard,
        sequence: Some(received.sequence),
        received_unix_ms: received.at_unix_ms,
        reason: labels.reason,
        place: labels.place,
        bot: directory.bot(),
        locale: labels.guild.and_then(|guild| directory.locale(guild)),
    };
    let id = event_id(&received.kind, labels.message, &received.session, received.sequence);
    let mut headers = meta.headers();
    headers.extend(labels.message.map(|message| (trace::HEADER, trace::of_message(message))));
    Outgoing { subject: subject.to_string(), id: Some(id), headers, payload: Bytes::new() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn directory() -> Directory {
        let directory = Directory::new(HashSet::from([GuildId(3)]));
        directory.note_bot(UserId(99));
        directory.apply_setting("locale.3", Some(b"ja"));
        directory
    }

    fn received(kind: &str, data: &str) -> Received {
        Received {
            text: format!(r#"{{"t":"{kind}","s":5,"op":0,"d":{data}}}"#),
            kind: kind.to_owned(),
            sequence: 5,
            session: "abc".into(),
            shard: 0,
            at_unix_ms: 1000,
        }
    }

    fn published(sorted: Sorted) -> (Outgoing, Option<String>) {
        match sorted {
            Sorted::Publish { outgoing, payload, .. } => {
                (outgoing, payload.map(|bytes| String::from_utf8(bytes).unwrap()))
            }
            other => panic!("not published: {other:?}"),
        }
    }

    #[test]
    fn a_mention_is_published_under_its_own_name_with_its_headers() {
        let data = r#"{"id":"1","channel_id":"2","channel_type":0,"guild_id":"3","author":{"id":"7"},
            "mentions":[{"id":"99"}],"content":"hi"}"#;
        let (outgoing, payload) = published(sort(&received("MESSAGE_CREATE", data), &directory()));
        assert_eq!(outgoing.subject, "discord.event.MESSAGE_CREATE.3.2");
        assert_eq!(outgoing.id.as_deref(), Some("create:1"));
        assert_eq!(payload, None);
        let meta = EventMeta::from_headers(|name| {
            outgoing.headers.iter().find(|(key, _)| *key == name).map(|(_, v)| v.as_str())
        });
        assert_eq!(meta.reason, Some(Reason::Mention));
        assert_eq!(meta.place, Some(PlaceKind::Channel));
        assert_eq!((meta.bot, meta.locale.as_deref()), (Some(UserId(99)), Some("ja")));
    }

    #[test]
    fn an_edit_that_no_longer_concerns_the_bot_leaves_its_text_behind() {
        let data = r#"{"id":"1","channel_id":"2","channel_type":0,"guild_id":"3","author":{"id":"7"},
            "content":"private","embeds":[{"title":"private"}],"attachments":[{"filename":"private"}],
            "edited_timestamp":"2026-11-22T00:00:00Z"}"#;
        let (outgoing, payload) = published(sort(&received("MESSAGE_UPDATE", data), &directory()));
        assert_eq!(outgoing.id.as_deref(), Some("abc:5"));
        let payload = payload.unwrap();
        assert!(!payload.contains("private"), "{payload}");
        let frame: discord::Frame<discord::Message> = serde_json::from_str(&payload).unwrap();
        assert_eq!(frame.d.edited_timestamp.as_deref(), Some("2026-11-22T00:00:00Z"));
        assert_eq!(frame.d.author.id, UserId(7));
    }

    #[test]
    fn deletions_are_always_forwarded_from_allowed_guilds_and_direct_messages() {
        let directory = directory();
        let sorted = |kind, data| sort(&received(kind, data), &directory);
        let (deleted, _) =
            published(sorted("MESSAGE_DELETE", r#"{"id":"1","channel_id":"2","guild_id":"3"}"#));
        assert_eq!(deleted.subject, "discord.event.MESSAGE_DELETE.3.2");
        let (direct, _) = published(sorted("MESSAGE_DELETE", r#"{"id":"1","channel_id":"2"}"#));
        assert_eq!(direct.subject, "discord.event.MESSAGE_DELETE.dm.2");
        published(sorted(
            "MESSAGE_DELETE_BULK",
            r#"{"ids":["1"],"channel_id":"2","guild_id":"3"}"#,
        ));
        let (gone, payload) = published(sorted(
            "CHANNEL_DELETE",
            r#"{"id":"2","guild_id":"3","type":0,"name":"private","topic":"private"}"#,
        ));
        assert_eq!(gone.subject, "discord.event.CHANNEL_DELETE.3.2");
        assert!(!payload.unwrap().contains("private"));
        published(sorted("THREAD_DELETE", r#"{"id":"2","guild_id":"3","type":11}"#));
        let elsewhere = sorted("MESSAGE_DELETE", r#"{"id":"1","channel_id":"2","guild_id":"4"}"#);
        assert!(matches!(elsewhere, Sorted::Leave("guild")));
    }

    #[test]
    fn what_cannot_be_read_says_so_and_what_nobody_needs_is_left() {
        let directory = directory();
        let broken = received("MESSAGE_CREATE", r#"{"id":"1","channel_id":{}}"#);
        assert!(matches!(sort(&broken, &directory), Sorted::Undecodable(_)));
        let nobody = received("MESSAGE_CREATE", r#"{"id":"1","channel_id":"2"}"#);
        assert!(matches!(sort(&nobody, &directory), Sorted::Undecodable(_)));
        let typing = received("TYPING_START", r#"{"channel_id":"2"}"#);
        assert!(matches!(sort(&typing, &directory), Sorted::Leave("type")));
    }
}
