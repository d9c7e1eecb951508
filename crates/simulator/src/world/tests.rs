//! The world's rules, apart from any wire.

use proptest::prelude::*;

use crate::world::World;
use crate::world::entity::{Overwrite, OverwriteKind, Role, channel_type};
use crate::world::id::Id;
use crate::world::messages::NewMessage;
use crate::world::permissions::{
    self, ADMINISTRATOR, ATTACH_FILES, MANAGE_THREADS, SEND_MESSAGES, SEND_MESSAGES_IN_THREADS,
    VIEW_CHANNEL,
};
use crate::world::threads::NewThread;

struct Place {
    world: World,
    guild: Id,
    channel: Id,
    user: Id,
}

/// A guild with a channel and a member who owns nothing.
fn place() -> Place {
    let mut world = World::new("http://x".into(), "bot", 1_700_000_000_000);
    let owner = world.create_user("owner", None, false);
    let user = world.create_user("user", None, false);
    let guild = world.create_guild("guild", owner, "ja");
    world.add_member(guild, user);
    let channel = world.create_channel(guild, "channel", channel_type::TEXT);
    Place { world, guild, channel, user }
}

impl Place {
    fn role(&mut self, permissions: u64) -> Id {
        let id = self.world.next_id();
        let role = Role {
            id,
            name: "role".into(),
            permissions,
            position: 1,
            color: 0,
            hoist: false,
            mentionable: false,
            bot_id: None,
        };
        let guild = self.world.guilds.get_mut(&self.guild).unwrap();
        guild.roles.insert(id, role);
        guild.members.get_mut(&self.user).unwrap().roles.push(id);
        id
    }

    fn overwrite(&mut self, id: Id, kind: OverwriteKind, allow: u64, deny: u64) {
        self.world.set_overwrite(self.channel, Overwrite { id, kind, allow, deny });
    }

    fn bits(&self, channel: Id) -> u64 {
        self.world.permissions(self.user, &self.world.channels[&channel])
    }

    fn may(&self, bit: u64) -> bool {
        self.bits(self.channel) & bit != 0
    }
}

#[test]
fn the_member_wins_over_roles_and_roles_over_everyone() {
    let mut place = place();
    let (guild, user) = (place.guild, place.user);
    let (first, second) = (place.role(0), place.role(0));
    assert!(place.may(SEND_MESSAGES));
    place.overwrite(guild, OverwriteKind::Role, 0, SEND_MESSAGES);
    assert!(!place.may(SEND_MESSAGES));
    place.overwrite(first, OverwriteKind::Role, 0, SEND_MESSAGES);
    place.overwrite(second, OverwriteKind::Role, SEND_MESSAGES, 0);
    assert!(place.may(SEND_MESSAGES), "what any role allows is allowed");
    place.overwrite(user, OverwriteKind::Member, 0, SEND_MESSAGES);
    assert!(!place.may(SEND_MESSAGES));
    assert!(!place.may(ATTACH_FILES), "files mean nothing without messages");
}

#[test]
fn administrators_and_owners_ignore_overwrites_and_strangers_have_nothing() {
    let mut place = place();
    let (guild, user) = (place.guild, place.user);
    place.overwrite(guild, OverwriteKind::Role, 0, permissions::ALL);
    assert_eq!(place.bits(place.channel), 0);
    place.overwrite(user, OverwriteKind::Member, 0, permissions::ALL);
    place.role(ADMINISTRATOR);
    assert_eq!(place.bits(place.channel), permissions::ALL);
    let owner = place.world.guilds[&guild].owner_id;
    let channel = &place.world.channels[&place.channel];
    assert_eq!(place.world.permissions(owner, channel), permissions::ALL);
    assert_eq!(place.world.permissions(Id(1), channel), 0);
}

#[test]
fn threads_follow_their_channel_and_private_ones_hide() {
    let mut place = place();
    let (channel, guild) = (place.channel, place.guild);
    let owner = place.world.guilds[&guild].owner_id;
    let thread = place.world.open_thread(channel, owner, NewThread::public("t"), None).unwrap();
    let new = NewThread { kind: channel_type::PRIVATE_THREAD, ..NewThread::public("p") };
    let private = place.world.open_thread(channel, owner, new, None).unwrap();
    place.overwrite(guild, OverwriteKind::Role, 0, SEND_MESSAGES);
    assert_ne!(place.bits(thread) & SEND_MESSAGES_IN_THREADS, 0);
    assert_ne!(place.bits(thread) & ATTACH_FILES, 0);
    assert_eq!(place.bits(private), 0);
    place.world.join_thread(private, place.user);
    assert_ne!(place.bits(private) & VIEW_CHANNEL, 0);
    place.world.leave_thread(private, place.user);
    place.role(MANAGE_THREADS);
    assert_ne!(place.bits(private) & VIEW_CHANNEL, 0);
}

#[test]
fn a_message_wakes_an_archived_thread_before_it_is_told() {
    let mut place = place();
    let owner = place.world.guilds[&place.guild].owner_id;
    let thread =
        place.world.open_thread(place.channel, owner, NewThread::public("t"), None).unwrap();
    let archive = crate::world::threads::ThreadEdit { archived: Some(true), ..Default::default() };
    place.world.edit_thread(thread, archive);
    place.world.changes.clear();
    let new = NewMessage { content: "起きて".into(), ..NewMessage::default() };
    place.world.send(thread, place.user, new);
    let told: Vec<&str> = place.world.changes.iter().map(|change| change.name).collect();
    assert_eq!(told, ["THREAD_UPDATE", "THREAD_MEMBERS_UPDATE", "MESSAGE_CREATE"]);
}

proptest! {
    #[test]
    fn denying_never_grants(allow: u64, deny: u64, more: u64) {
        let mut place = place();
        let user = place.user;
        place.overwrite(user, OverwriteKind::Member, allow & !ADMINISTRATOR, deny);
        let before = place.bits(place.channel);
        place.overwrite(user, OverwriteKind::Member, allow & !ADMINISTRATOR & !more, deny | more);
        prop_assert_eq!(place.bits(place.channel) & !before, 0);
    }

    #[test]
    fn no_text_makes_a_mention_of_nobody(content: String) {
        let place = place();
        let channel = &place.world.channels[&place.channel];
        let allowed = crate::world::mentions::AllowedMentions::default();
        let found = place.world.mentions(channel, (place.user, &content), &allowed, None);
        for id in found.users {
            prop_assert!(content.contains(&id.to_string()));
        }
    }
}
