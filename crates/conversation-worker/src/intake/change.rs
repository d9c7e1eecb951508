//! What an event changes for us, read from a dispatch and the headers beside it.

use contracts::discord::{self, Frame, Message, ReferencedMessage};
use contracts::event::{EventMeta, PlaceKind, Reason};
use contracts::id::{ChannelId, GuildId, MessageId, UserId};
use contracts::subject::{EventSubject, Scope};
use serde::de::DeserializeOwned;

use crate::conversation::{Key, Spot};

/// More than Discord lets anyone write; a longer text is not from Discord.
const TEXT_CHARACTERS_MAX: usize = 16_000;
const ATTACHMENTS_MAX: usize = 10;
const NAME_CHARACTERS_MAX: usize = 100;
/// The kinds of messages that people write: ordinary ones and replies.
const WRITTEN_KINDS: [u8; 2] = [0, 19];

/// What an event changes for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody wrote something that wants an answer.
    Asked(Box<Asked>),
    /// Such a message was edited.
    Edited(Box<Asked>),
    /// A message was edited so that it no longer concerns the bot.
    Withdrawn {
        /// Which message.
        message: MessageId,
        /// When, in microseconds since the Unix epoch.
        edited_unix_us: i64,
    },
    /// Messages were deleted.
    Deleted(Vec<MessageId>),
    /// A channel or thread is gone with all that stood in it.
    ChannelGone(ChannelId),
    /// Our own message as Discord tells everybody of it.
    Echo {
        /// Which message.
        message: MessageId,
        /// The message it replies to, whose text stands in the event too.
        quoted: Option<MessageId>,
    },
    /// Nothing.
    None,
}

impl Change {
    /// Whether it only adds to what is known, and takes nothing back.
    pub fn only_adds(&self) -> bool {
        matches!(self, Self::Asked(_) | Self::Echo { .. } | Self::None)
    }
}

/// A message that wants an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The message.
    pub id: MessageId,
    /// Its guild; none in direct messages.
    pub guild: Option<GuildId>,
    /// Its channel.
    pub channel: ChannelId,
    /// Who wrote it.
    pub author: UserId,
    /// The name to call them by, as they chose it.
    pub author_name: String,
    /// The bot's own user, once known.
    pub bot: Option<UserId>,
    /// Why it concerns the bot.
    pub reason: Reason,
    /// What kind of place it stands in.
    pub place: PlaceKind,
    /// The guild's preferred locale, where known.
    pub locale: Option<String>,
    /// What it says.
    pub content: String,
    /// The names of its files, one a line.
    pub attachments: String,
    /// What it forwards.
    pub forwarded: String,
    /// What it answers.
    pub reference: Reference,
    /// When it was last edited, in microseconds since the Unix epoch; 0 = never.
    pub edited_unix_us: i64,
    /// When the gateway received it, in milliseconds since the Unix epoch.
    pub received_unix_ms: u64,
    /// Its conversation, as far as the place tells.
    pub key: Key,
    /// Whether the answer goes into a thread opened from it.
    pub opens_thread: bool,
}

/// The message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reference {
    /// Which.
    pub id: Option<MessageId>,
    /// Who wrote it, where Discord sent it along.
    pub author: Option<UserId>,
    /// Their name.
    pub name: String,
    /// What it says.
    pub content: String,
}

/// An event that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The subject is none of an event.
    #[error("the subject is not one of an event: {0}")]
    Subject(#[from] contracts::id::ParseIdError),
    /// The data is not what Discord sends. The parser's own words may quote the message.
    #[error(
        "the event cannot be read ({:?} error in line {}, column {})",
        .0.classify(), .0.line(), .0.column()
    )]
    Data(#[from] serde_json::Error),
}

/// The event types that matter here, for the consumer's filter.
pub const KINDS: [&str; 6] = [
    discord::MESSAGE_CREATE,
    discord::MESSAGE_UPDATE,
    discord::MESSAGE_DELETE,
    discord::MESSAGE_DELETE_BULK,
    discord::THREAD_DELETE,
    discord::CHANNEL_DELETE,
];

/// Reads an event.
pub fn read(subject: &str, meta: &EventMeta, payload: &[u8]) -> Result<Change, Unreadable> {
    let subject: EventSubject = subject.parse()?;
    Ok(match subject.kind.as_str() {
        discord::MESSAGE_CREATE => match message(&subject, meta, &data(payload)?) {
            Heard::Asked(asked) => Change::Asked(asked),
            Heard::Echo { message, quoted } => Change::Echo { message, quoted },
            Heard::Withdrawn { .. } | Heard::Nothing => Change::None,
        },
        discord::MESSAGE_UPDATE => match message(&subject, meta, &data(payload)?) {
            Heard::Asked(asked) => Change::Edited(asked),
            Heard::Echo { message, quoted } => Change::Echo { message, quoted },
            Heard::Withdrawn { message, edited_unix_us } => {
                Change::Withdrawn { message, edited_unix_us }
            }
            Heard::Nothing => Change::None,
        },
        discord::MESSAGE_DELETE => {
            Change::Deleted(vec![data::<discord::MessageDelete>(payload)?.id])
        }
        discord::MESSAGE_DELETE_BULK => {
            Change::Deleted(data::<discord::MessageDeleteBulk>(payload)?.ids)
        }
        discord::THREAD_DELETE | discord::CHANNEL_DELETE => {
            Change::ChannelGone(data::<discord::ChannelGone>(payload)?.id)
        }
        _ => Change::None,
    })
}

fn data<T: DeserializeOwned>(payload: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<Frame<T>>(payload).map(|frame| frame.d)
}

enum Heard {
    Asked(Box<Asked>),
    Withdrawn { message: MessageId, edited_unix_us: i64 },
    Echo { message: MessageId, quoted: Option<MessageId> },
    Nothing,
}

fn message(subject: &EventSubject, meta: &EventMeta, message: &Message) -> Heard {
    let guild = match subject.scope {
        Scope::Guild(guild) => Some(guild),
        Scope::Direct => message.guild_id,
    };
    let own = Some(message.author.id) == meta.bot;
    let reason = meta.reason.or_else(|| guess_reason(guild, meta, message));
    let edited_unix_us = message.edited_timestamp.as_deref().map_or(0, unix_us);
    let reason = match reason {
        reason if own || reason == Some(Reason::Own) => {
            let quoted = message.referenced_message.as_ref().map(|quoted| quoted.id);
            return Heard::Echo { message: message.id, quoted };
        }
        Some(Reason::Withdrawn) => {
            return Heard::Withdrawn { message: message.id, edited_unix_us };
        }
        // Listening in on a channel answers nobody by itself.
        Some(Reason::Listening) | None => return Heard::Nothing,
        Some(reason) => reason,
    };
    // Bots that answer each other never stop.
    if message.author.bot
        || message.webhook_id.as_ref().is_some_and(|id| !id.is_null())
        || !WRITTEN_KINDS.contains(&message.kind)
    {
        return Heard::Nothing;
    }
    let spot = Spot {
        message: message.id,
        guild,
        channel: message.channel_id,
        channel_type: message.channel_type,
        author: message.author.id,
        reason,
        place: meta.place.unwrap_or(if guild.is_some() {
            PlaceKind::InPlace
        } else {
            PlaceKind::Direct
        }),
    };
    Heard::Asked(Box::new(asked(&spot, meta, edited_unix_us, message)))
}

fn asked(spot: &Spot, meta: &EventMeta, edited_unix_us: i64, message: &Message) -> Asked {
    let attachments: Vec<String> = message
        .attachments
        .iter()
        .take(ATTACHMENTS_MAX)
        .map(|file| one_line(&file.filename))
        .filter(|name| !name.is_empty())
        .collect();
    let forwarded: Vec<&str> = message
        .message_snapshots
        .iter()
        .map(|snapshot| snapshot.message.content.as_str())
        .filter(|text| !text.trim().is_empty())
        .collect();
    Asked {
        id: spot.message,
        guild: spot.guild,
        channel: spot.channel,
        author: spot.author,
        author_name: shortened(message.author_name(), NAME_CHARACTERS_MAX),
        bot: meta.bot,
        reason: spot.reason,
        place: spot.place,
        locale: meta.locale.clone(),
        content: shortened(&message.content, TEXT_CHARACTERS_MAX),
        attachments: attachments.join("\n"),
        forwarded: shortened(&forwarded.join("\n\n"), TEXT_CHARACTERS_MAX),
        reference: reference(message),
        edited_unix_us,
        received_unix_ms: meta.received_unix_ms,
        key: spot.key(),
        opens_thread: spot.opens_thread(),
    }
}

fn reference(message: &Message) -> Reference {
    let named = message.message_reference.as_ref().filter(|reference| reference.kind == 0);
    let id = named.and_then(|reference| reference.message_id);
    match message.referenced_message.as_deref() {
        Some(ReferencedMessage { id, author, content }) => Reference {
            id: Some(*id),
            author: Some(author.id),
            name: shortened(
                author.global_name.as_deref().unwrap_or(&author.username),
                NAME_CHARACTERS_MAX,
            ),
            content: shortened(content, TEXT_CHARACTERS_MAX),
        },
        None => Reference { id, ..Reference::default() },
    }
}

/// A missing header must not keep a person's message from being taken in.
fn guess_reason(guild: Option<GuildId>, meta: &EventMeta, message: &Message) -> Option<Reason> {
    if guild.is_none() {
        return Some(Reason::Direct);
    }
    let bot = meta.bot?;
    message.mentions.iter().any(|user| user.id == bot).then_some(Reason::Mention)
}

fn unix_us(timestamp: &str) -> i64 {
    timestamp.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_microsecond)
}

fn one_line(text: &str) -> String {
    let line: String = text.chars().filter(|c| !c.is_control()).collect();
    shortened(&line, NAME_CHARACTERS_MAX)
}

fn shortened(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}
