//! Which messages concern the bot, and why: a pure rule over a message's head and known facts.

use contracts::event::{PlaceKind, Reason};
use contracts::id::UserId;

use crate::frame::MessageHead;

/// What is known of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelFact {
    /// Its kind, as Discord numbers them; none where Discord will not tell us.
    pub kind: Option<u8>,
    /// Whether it is a thread that the bot opened.
    pub own: bool,
}

/// What is known beside the message itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The bot's own user.
    pub bot: UserId,
    /// Whether the guild is one that the owner allowed; false in direct messages.
    pub guild_allowed: bool,
    /// The message's channel, where known.
    pub channel: Option<ChannelFact>,
    /// Whether someone switched the channel on.
    pub listening: bool,
    /// Whether the author is a member of an allowed guild, where known.
    pub member: Option<bool>,
}

/// Whether a message is new or edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// `MESSAGE_CREATE`.
    Create,
    /// `MESSAGE_UPDATE`.
    Update,
}

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Publish it whole.
    Forward {
        /// Why it concerns the bot.
        reason: Reason,
        /// Where it stands, where known.
        place: Option<PlaceKind>,
    },
    /// Publish that it was edited, without its text.
    Withdraw,
    /// Leave it alone.
    Ignore(Ignored),
    /// Find this out and ask again.
    Ask(Question),
}

/// Why a message is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// Its guild is not one that the owner allowed.
    Guild,
    /// Another bot wrote it.
    Bot,
    /// A webhook wrote it.
    Webhook,
    /// Discord wrote it (a member joined, a message was pinned).
    System,
    /// The bot edited its own message.
    OwnEdit,
    /// The author of a direct message is in no allowed guild.
    Stranger,
    /// It is not meant for the bot.
    NotAddressed,
    /// Nobody edited it: Discord added a preview.
    Unedited,
    /// An update that leaves out who wrote the message.
    Partial,
}

impl Ignored {
    /// Every reason there is.
    pub(crate) const ALL: [Self; 9] = [
        Self::Guild,
        Self::Bot,
        Self::Webhook,
        Self::System,
        Self::OwnEdit,
        Self::Stranger,
        Self::NotAddressed,
        Self::Unedited,
        Self::Partial,
    ];

    /// The word for it in metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Guild => "guild",
            Self::Bot => "bot",
            Self::Webhook => "webhook",
            Self::System => "system",
            Self::OwnEdit => "own_edit",
            Self::Stranger => "stranger",
            Self::NotAddressed => "not_addressed",
            Self::Unedited => "unedited",
            Self::Partial => "partial",
        }
    }
}

/// What must be known before a message can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// What kind of channel it stands in, and who opened it.
    Channel,
    /// Whether its author is a member of an allowed guild.
    Member,
}

/// Source: Discord's reference, "Message Types": 0 = default, 19 = reply.
const fn is_ordinary(kind: Option<u8>) -> bool {
    matches!(kind, None | Some(0 | 19))
}

/// Whether this kind of channel is a thread. Source: Discord's reference, "Channel Types".
pub(crate) const fn is_thread(kind: u8) -> bool {
    matches!(kind, 10..=12)
}

/// The place that a channel of this kind is: only text and announcement channels have threads
/// that are opened from a message.
const fn place(kind: Option<u8>) -> PlaceKind {
    match kind {
        Some(0 | 5) => PlaceKind::Channel,
        Some(1 | 3) => PlaceKind::Direct,
        _ => PlaceKind::InPlace,
    }
}

/// Judges a message.
pub(crate) fn judge(change: Change, head: &MessageHead<'_>, facts: &Facts) -> Verdict {
    let in_guild = head.guild_id.is_some();
    if in_guild && !facts.guild_allowed {
        return Verdict::Ignore(Ignored::Guild);
    }
    let Some(author) = head.author else { return Verdict::Ignore(Ignored::Partial) };
    if UserId::from(author.id) == facts.bot {
        return own(change, head, facts);
    }
    if head.webhook_id.is_some() {
        return Verdict::Ignore(Ignored::Webhook);
    }
    if author.bot == Some(true) {
        return Verdict::Ignore(Ignored::Bot);
    }
    if !is_ordinary(head.kind) {
        return Verdict::Ignore(Ignored::System);
    }
    if in_guild { in_a_guild(change, head, facts) } else { direct(facts) }
}

fn own(change: Change, head: &MessageHead<'_>, facts: &Facts) -> Verdict {
    if change == Change::Update {
        return Verdict::Ignore(Ignored::OwnEdit);
    }
    if !is_ordinary(head.kind) {
        return Verdict::Ignore(Ignored::System);
    }
    let place = match (head.guild_id, facts.channel) {
        (None, _) => Some(PlaceKind::Direct),
        (Some(_), channel) => channel.map(|channel| place(channel.kind)),
    };
    Verdict::Forward { reason: Reason::Own, place }
}

fn direct(facts: &Facts) -> Verdict {
    match facts.member {
        Some(true) => Verdict::Forward { reason: Reason::Direct, place: Some(PlaceKind::Direct) },
        Some(false) => Verdict::Ignore(Ignored::Stranger),
        None => Verdict::Ask(Question::Member),
    }
}

fn in_a_guild(change: Change, head: &MessageHead<'_>, facts: &Facts) -> Verdict {
    let Some(channel) = facts.channel else { return Verdict::Ask(Question::Channel) };
    match reason(head, facts, channel) {
        Some(reason) => Verdict::Forward { reason, place: Some(place(channel.kind)) },
        None if change == Change::Create => Verdict::Ignore(Ignored::NotAddressed),
        None if head.edited_timestamp.is_none() => Verdict::Ignore(Ignored::Unedited),
        None => Verdict::Withdraw,
    }
}

fn reason(head: &MessageHead<'_>, facts: &Facts, channel: ChannelFact) -> Option<Reason> {
    let is_bot = |id| UserId::from(id) == facts.bot;
    // A forward names a message too, and must not count as an answer to it.
    let is_reply = head.message_reference.is_some_and(|r| matches!(r.kind, None | Some(0)))
        && head.referenced_message.is_some_and(|referenced| is_bot(referenced.author.id));
    let is_mention =
        head.mentions.as_ref().is_some_and(|mentions| mentions.iter().any(|who| is_bot(who.id)));
    if channel.own {
        Some(Reason::OwnThread)
    } else if is_reply {
        Some(Reason::Reply)
    } else if is_mention {
        Some(Reason::Mention)
    } else if facts.listening {
        Some(Reason::Listening)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BOT: u64 = 99;
    const TEXT: ChannelFact = ChannelFact { kind: Some(0), own: false };

    fn facts() -> Facts {
        Facts {
            bot: UserId(BOT),
            guild_allowed: true,
            channel: Some(TEXT),
            listening: false,
            member: None,
        }
    }

    fn judged_as(change: Change, extra: &Value, facts: &Facts) -> Verdict {
        let mut message = json!({"id": "1", "channel_id": "2", "guild_id": "3",
            "author": {"id": "7"}, "type": 0});
        for (name, value) in extra.as_object().unwrap() {
            message[name] = value.clone();
        }
        let text = message.to_string();
        judge(change, &serde_json::from_str::<MessageHead<'_>>(&text).unwrap(), facts)
    }

    fn created(extra: impl Into<Value>, facts: &Facts) -> Verdict {
        judged_as(Change::Create, &extra.into(), facts)
    }

    fn forward(reason: Reason, place: PlaceKind) -> Verdict {
        Verdict::Forward { reason, place: Some(place) }
    }

    fn mention() -> Value {
        json!({"mentions": [{"id": "8"}, {"id": BOT.to_string()}]})
    }

    #[test]
    fn a_mention_is_forwarded_and_everyone_is_no_mention() {
        assert_eq!(created(mention(), &facts()), forward(Reason::Mention, PlaceKind::Channel));
        let everyone = json!({"mention_everyone": true, "content": "@everyone", "mentions": []});
        assert_eq!(created(everyone, &facts()), Verdict::Ignore(Ignored::NotAddressed));
    }

    #[test]
    fn a_reply_to_the_bot_is_forwarded_and_a_forward_of_its_message_is_not() {
        let reply = json!({"type": 19, "message_reference": {"type": 0, "message_id": "5"},
            "referenced_message": {"id": "5", "author": {"id": BOT.to_string()}}});
        assert_eq!(created(reply.clone(), &facts()), forward(Reason::Reply, PlaceKind::Channel));
        let mut forwarded = reply;
        forwarded["message_reference"]["type"] = json!(1);
        assert_eq!(created(forwarded, &facts()), Verdict::Ignore(Ignored::NotAddressed));
        let to_another = json!({"type": 19, "message_reference": {"message_id": "5"},
            "referenced_message": {"id": "5", "author": {"id": "8"}}});
        assert_eq!(created(to_another, &facts()), Verdict::Ignore(Ignored::NotAddressed));
    }

    #[test]
    fn everything_in_an_own_thread_is_forwarded() {
        let thread = Facts { channel: Some(ChannelFact { kind: Some(11), own: true }), ..facts() };
        assert_eq!(created(json!({}), &thread), forward(Reason::OwnThread, PlaceKind::InPlace));
        let other = Facts { channel: Some(ChannelFact { kind: Some(11), own: false }), ..facts() };
        assert_eq!(created(json!({}), &other), Verdict::Ignore(Ignored::NotAddressed));
        assert_eq!(created(mention(), &other), forward(Reason::Mention, PlaceKind::InPlace));
    }

    #[test]
    fn an_unknown_channel_is_asked_for_before_anything_is_dropped() {
        let unknown = Facts { channel: None, ..facts() };
        assert_eq!(created(json!({}), &unknown), Verdict::Ask(Question::Channel));
        assert_eq!(created(mention(), &unknown), Verdict::Ask(Question::Channel));
        let untold = Facts { channel: Some(ChannelFact { kind: None, own: false }), ..facts() };
        assert_eq!(created(mention(), &untold), forward(Reason::Mention, PlaceKind::InPlace));
    }

    #[test]
    fn a_switched_on_channel_forwards_everything_people_write() {
        let on = Facts { listening: true, ..facts() };
        assert_eq!(created(json!({}), &on), forward(Reason::Listening, PlaceKind::Channel));
        let pinned = json!({"type": 6});
        assert_eq!(created(pinned, &on), Verdict::Ignore(Ignored::System));
    }

    #[test]
    fn guilds_that_nobody_allowed_get_silence() {
        let elsewhere = Facts { guild_allowed: false, listening: true, ..facts() };
        assert_eq!(created(mention(), &elsewhere), Verdict::Ignore(Ignored::Guild));
        let own = json!({"author": {"id": BOT.to_string(), "bot": true}});
        assert_eq!(created(own, &elsewhere), Verdict::Ignore(Ignored::Guild));
    }

    #[test]
    fn direct_messages_come_from_members_of_allowed_guilds_only() {
        let direct = json!({"guild_id": null});
        let with = |member| Facts { member, guild_allowed: false, channel: None, ..facts() };
        assert_eq!(
            created(direct.clone(), &with(Some(true))),
            forward(Reason::Direct, PlaceKind::Direct)
        );
        assert_eq!(created(direct.clone(), &with(Some(false))), Verdict::Ignore(Ignored::Stranger));
        assert_eq!(created(direct, &with(None)), Verdict::Ask(Question::Member));
    }

    #[test]
    fn bots_webhooks_and_discord_itself_are_ignored_even_when_they_mention_the_bot() {
        let mut bot = mention();
        bot["author"] = json!({"id": "8", "bot": true});
        assert_eq!(created(bot, &facts()), Verdict::Ignore(Ignored::Bot));
        let mut webhook = mention();
        webhook["webhook_id"] = json!("4");
        assert_eq!(created(webhook, &facts()), Verdict::Ignore(Ignored::Webhook));
        let mut system = mention();
        system["type"] = json!(7);
        assert_eq!(created(system, &facts()), Verdict::Ignore(Ignored::System));
    }

    #[test]
    fn own_messages_are_echoed_and_own_edits_are_not() {
        let own = json!({"author": {"id": BOT.to_string(), "bot": true}, "nonce": "k1"});
        assert_eq!(created(own.clone(), &facts()), forward(Reason::Own, PlaceKind::Channel));
        assert_eq!(judged_as(Change::Update, &own, &facts()), Verdict::Ignore(Ignored::OwnEdit));
        let unknown = Facts { channel: None, ..facts() };
        assert_eq!(created(own, &unknown), Verdict::Forward { reason: Reason::Own, place: None });
    }

    #[test]
    fn an_edit_is_forwarded_whole_withdrawn_or_left_alone() {
        let mut addressed = mention();
        addressed["edited_timestamp"] = json!("2026-11-22T00:00:00Z");
        assert_eq!(
            judged_as(Change::Update, &addressed, &facts()),
            forward(Reason::Mention, PlaceKind::Channel)
        );
        let edited = json!({"edited_timestamp": "2026-11-22T00:00:00Z"});
        assert_eq!(judged_as(Change::Update, &edited, &facts()), Verdict::Withdraw);
        let preview = json!({"embeds": [{}], "edited_timestamp": null});
        assert_eq!(
            judged_as(Change::Update, &preview, &facts()),
            Verdict::Ignore(Ignored::Unedited)
        );
        let partial = json!({"author": null, "embeds": [{}]});
        assert_eq!(
            judged_as(Change::Update, &partial, &facts()),
            Verdict::Ignore(Ignored::Partial)
        );
    }
}
