//! What is known of guilds, channels, threads and members: fed by events, settings and look-ups.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use contracts::id::{ChannelId, GuildId, UserId};
use contracts::setting::Setting;

use crate::filter::{ChannelFact, is_thread};
use crate::frame::{ChannelHead, GuildHead};

/// How long a person who was seen in an allowed guild counts as its member.
const MEMBER_FOR: Duration = Duration::from_hours(1);
/// How long a person who is in no allowed guild is not asked for again.
const STRANGER_FOR: Duration = Duration::from_mins(5);
/// How many channels and people are remembered. Beyond it they are looked up again.
const REMEMBERED_MAX: usize = 50_000;

/// A channel as it was last seen.
#[derive(Debug, Clone, Copy)]
struct Channel {
    kind: Option<u8>,
    owner: Option<UserId>,
}

#[derive(Debug, Default)]
struct Inner {
    bot: Option<UserId>,
    locales: HashMap<GuildId, String>,
    channels: HashMap<ChannelId, Channel>,
    own_threads: HashSet<ChannelId>,
    listening: HashSet<ChannelId>,
    members: HashMap<UserId, (bool, Instant)>,
}

/// What is known. All shards and both directions share it.
#[derive(Debug)]
pub(crate) struct Directory {
    allowed: HashSet<GuildId>,
    inner: RwLock<Inner>,
}

impl Directory {
    /// Knows nothing but which guilds are allowed.
    pub(crate) fn new(allowed: HashSet<GuildId>) -> Self {
        Self { allowed, inner: RwLock::default() }
    }

    /// The guilds in which the bot speaks.
    pub(crate) fn allowed(&self) -> &HashSet<GuildId> {
        &self.allowed
    }

    /// Whether the bot speaks in this guild.
    pub(crate) fn is_allowed(&self, guild: GuildId) -> bool {
        self.allowed.contains(&guild)
    }

    /// The bot's own user, once known.
    pub(crate) fn bot(&self) -> Option<UserId> {
        self.read().bot
    }

    /// Notes the bot's own user.
    pub(crate) fn note_bot(&self, bot: UserId) {
        self.write().bot = Some(bot);
    }

    /// The guild's preferred locale, where known.
    pub(crate) fn locale(&self, guild: GuildId) -> Option<String> {
        self.read().locales.get(&guild).cloned()
    }

    /// Notes a guild's channels and locale. The locale is returned where it is news.
    pub(crate) fn note_guild(&self, guild: &GuildHead<'_>) -> Option<(GuildId, String)> {
        let id = GuildId::from(guild.id);
        if !self.is_allowed(id) {
            return None;
        }
        let mut inner = self.write();
        for channel in guild.channels.iter().flatten().chain(guild.threads.iter().flatten()) {
            inner.note_channel(channel);
        }
        let locale = guild.preferred_locale.as_deref()?;
        if inner.locales.get(&id).is_some_and(|known| known == locale) {
            return None;
        }
        inner.locales.insert(id, locale.to_owned());
        Some((id, locale.to_owned()))
    }

    /// Notes a channel or thread of an allowed guild.
    pub(crate) fn note_channel(&self, channel: &ChannelHead) {
        self.write().note_channel(channel);
    }

    /// Notes that Discord will not tell us about a channel.
    pub(crate) fn note_untold(&self, channel: ChannelId) {
        self.write().insert_channel(channel, Channel { kind: None, owner: None });
    }

    /// Forgets a channel or thread that is gone. True where it was an own thread or switched on.
    pub(crate) fn forget_channel(&self, channel: ChannelId) -> bool {
        let mut inner = self.write();
        inner.channels.remove(&channel);
        let thread = inner.own_threads.remove(&channel);
        let listening = inner.listening.remove(&channel);
        thread || listening
    }

    /// Notes a thread that the bot opened.
    pub(crate) fn note_own_thread(&self, thread: ChannelId) {
        self.write().own_threads.insert(thread);
    }

    /// Notes whether a person is a member of an allowed guild.
    pub(crate) fn note_member(&self, user: UserId, is_member: bool, now: Instant) {
        // Nearly every message comes from someone known: do not take the write lock for them.
        let known = self.read().members.get(&user).copied();
        let fresh = |until: Instant| until > now + MEMBER_FOR / 2;
        if is_member && known.is_some_and(|(member, until)| member && fresh(until)) {
            return;
        }
        let mut inner = self.write();
        if inner.members.len() >= REMEMBERED_MAX {
            inner.members.retain(|_, (_, until)| *until > now);
            if inner.members.len() >= REMEMBERED_MAX {
                inner.members.clear();
            }
        }
        let span = if is_member { MEMBER_FOR } else { STRANGER_FOR };
        inner.members.insert(user, (is_member, now + span));
    }

    /// Whether a person is a member of an allowed guild, where that is known.
    pub(crate) fn member(&self, user: UserId, now: Instant) -> Option<bool> {
        if self.allowed.is_empty() {
            return Some(false);
        }
        let (member, until) = self.read().members.get(&user).copied()?;
        (until > now).then_some(member)
    }

    /// Whether someone switched the channel on.
    pub(crate) fn is_listening(&self, channel: ChannelId) -> bool {
        self.read().listening.contains(&channel)
    }

    /// What is known of a channel; `said` is its kind where the message itself says it.
    pub(crate) fn channel(&self, id: ChannelId, said: Option<u8>) -> Option<ChannelFact> {
        let inner = self.read();
        if inner.own_threads.contains(&id) {
            let kind = said.or_else(|| inner.channels.get(&id)?.kind);
            // A thread is answered in place even where its exact kind is not known.
            return Some(ChannelFact { kind, own: true });
        }
        let known = inner.channels.get(&id).copied();
        match said.filter(|kind| !is_thread(*kind)) {
            Some(kind) => Some(ChannelFact { kind: Some(kind), own: false }),
            None => known.map(|channel| ChannelFact {
                kind: channel.kind.or(said),
                own: channel.owner.is_some() && channel.owner == inner.bot,
            }),
        }
    }

    /// Takes over a change of the settings bucket. Keys of other kinds are passed over.
    pub(crate) fn apply_setting(&self, key: &str, value: Option<&[u8]>) {
        let Some(setting) = Setting::from_key(key) else { return };
        let mut inner = self.write();
        match (setting, value) {
            (Setting::OwnThread(id), Some(_)) => drop(inner.own_threads.insert(id)),
            (Setting::OwnThread(id), None) => drop(inner.own_threads.remove(&id)),
            (Setting::Listening(id), Some(_)) => drop(inner.listening.insert(id)),
            (Setting::Listening(id), None) => drop(inner.listening.remove(&id)),
            (Setting::Locale(id), Some(locale)) => {
                inner.locales.insert(id, String::from_utf8_lossy(locale).into_owned());
            }
            (Setting::Locale(id), None) => drop(inner.locales.remove(&id)),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note_channel(&mut self, head: &ChannelHead) {
        let owner = head.owner_id.map(UserId::from);
        self.insert_channel(head.id.into(), Channel { kind: head.kind, owner });
    }

    fn insert_channel(&mut self, id: ChannelId, channel: Channel) {
        if self.channels.len() >= REMEMBERED_MAX && !self.channels.contains_key(&id) {
            self.channels.clear();
        }
        self.channels.insert(id, channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let directory = Directory::new(HashSet::from([GuildId(3)]));
        directory.note_bot(UserId(99));
        directory
    }

    fn guild(text: &str) -> GuildHead<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_guild_teaches_its_channels_threads_and_locale_once() {
        let directory = directory();
        let text = r#"{"id":"3","preferred_locale":"ja","channels":[{"id":"10","type":0}],
            "threads":[{"id":"11","type":11,"owner_id":"99"},{"id":"12","type":11,"owner_id":"7"}]}"#;
        assert_eq!(directory.note_guild(&guild(text)), Some((GuildId(3), "ja".to_owned())));
        assert_eq!(directory.note_guild(&guild(text)), None);
        let fact = |id| directory.channel(ChannelId(id), None);
        assert_eq!(fact(10), Some(ChannelFact { kind: Some(0), own: false }));
        assert_eq!(fact(11), Some(ChannelFact { kind: Some(11), own: true }));
        assert_eq!(fact(12), Some(ChannelFact { kind: Some(11), own: false }));
        assert_eq!(fact(13), None);
        assert_eq!(directory.locale(GuildId(3)).as_deref(), Some("ja"));
    }

    #[test]
    fn a_guild_that_is_not_allowed_teaches_nothing() {
        let directory = directory();
        let text = r#"{"id":"4","preferred_locale":"ja","channels":[{"id":"10","type":0}]}"#;
        assert_eq!(directory.note_guild(&guild(text)), None);
        assert_eq!(directory.channel(ChannelId(10), None), None);
    }

    #[test]
    fn a_thread_of_unknown_owner_stays_unknown_though_the_message_says_it_is_a_thread() {
        let directory = directory();
        assert_eq!(directory.channel(ChannelId(20), Some(11)), None);
        let text = Some(ChannelFact { kind: Some(0), own: false });
        assert_eq!(directory.channel(ChannelId(20), Some(0)), text);
        directory.apply_setting("thread.20", Some(b"on"));
        assert!(directory.channel(ChannelId(20), Some(11)).unwrap().own);
        directory.apply_setting("thread.20", None);
        assert_eq!(directory.channel(ChannelId(20), Some(11)), None);
    }

    #[test]
    fn membership_is_remembered_for_a_while() {
        let directory = directory();
        let now = Instant::now();
        assert_eq!(directory.member(UserId(7), now), None);
        directory.note_member(UserId(7), true, now);
        directory.note_member(UserId(8), false, now);
        assert_eq!(directory.member(UserId(7), now), Some(true));
        assert_eq!(directory.member(UserId(8), now), Some(false));
        assert_eq!(directory.member(UserId(8), now + STRANGER_FOR), None);
        assert_eq!(directory.member(UserId(7), now + MEMBER_FOR), None);
        assert_eq!(Directory::new(HashSet::new()).member(UserId(7), now), Some(false));
    }

    #[test]
    fn settings_switch_channels_on_and_off() {
        let directory = directory();
        directory.apply_setting("listen.30", Some(b"on"));
        assert!(directory.is_listening(ChannelId(30)));
        directory.apply_setting("listen.30", None);
        assert!(!directory.is_listening(ChannelId(30)));
        directory.apply_setting("locale.3", Some(b"en-US"));
        assert_eq!(directory.locale(GuildId(3)).as_deref(), Some("en-US"));
        directory.apply_setting("persona.3", Some(b"x"));
    }
}
