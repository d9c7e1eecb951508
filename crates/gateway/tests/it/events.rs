//! What people write becomes events on the bus, or is left alone.

use contracts::event::{PlaceKind, Reason};
use contracts::id::{ChannelId, UserId};
use contracts::setting::{ON, Setting};
use contracts::stream;
use reqwest::Method;
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test]
async fn a_mention_is_published_as_discord_sent_it() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    world.say("just talking").await;
    let message = world.mention("こんにちは").await;
    let mut events = world.events().await;
    let event = events.next().await;
    assert_eq!(
        event.subject,
        format!("discord.event.MESSAGE_CREATE.{}.{}", world.guild, world.channel)
    );
    assert_eq!(event.frame["d"]["id"], message.to_string());
    assert!(event.frame["d"]["content"].as_str().unwrap().contains("こんにちは"));
    assert_eq!(event.meta.reason, Some(Reason::Mention));
    assert_eq!(event.meta.place, Some(PlaceKind::Channel));
    assert_eq!(event.meta.bot, Some(UserId(world.bot)));
    assert_eq!(event.meta.locale.as_deref(), Some("ja"));
    assert_eq!(event.meta.sequence, event.frame["s"].as_u64());
}

#[tokio::test]
async fn guilds_that_nobody_allowed_are_met_with_silence() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let other = world
        .post("guilds", json!({"name": "elsewhere", "member_ids": [world.user.to_string()]}))
        .await;
    let guild = other["id"].as_str().unwrap();
    let channel = world.post(&format!("guilds/{guild}/channels"), json!({"name": "talk"})).await;
    let channel = ChannelId(channel["id"].as_str().unwrap().parse().unwrap());
    let text = format!("<@{}> secret", world.bot);
    world.say_in(channel, world.user, &text).await;
    world.mention("the end").await;
    let seen = world.events().await.until("the end").await;
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn direct_messages_come_from_members_only() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let stranger = world.post("users", json!({"name": "stranger"})).await;
    let stranger: u64 = stranger["id"].as_str().unwrap().parse().unwrap();
    let open = async |user: u64| {
        let opened = world.post("dms", json!({"user_id": user.to_string()})).await;
        ChannelId(opened["id"].as_str().unwrap().parse().unwrap())
    };
    world.say_in(open(stranger).await, stranger, "let me in").await;
    world.say_in(open(world.user).await, world.user, "it is me").await;
    let mut events = world.events().await;
    let direct = events.next().await;
    assert_eq!(direct.meta.reason, Some(Reason::Direct));
    assert_eq!(direct.meta.place, Some(PlaceKind::Direct));
    assert_eq!(direct.frame["d"]["content"], "it is me");
    assert!(direct.subject.starts_with("discord.event.MESSAGE_CREATE.dm."));
    eventually("the stranger was judged", async || {
        world.requests("GET", &format!("/members/{stranger}")).await.len() == 1
    })
    .await;
    // Everything received is dealt with once the checkpoint has passed it.
    let last = world.last_sequence().await;
    eventually("nothing is on its way", async || world.saved_sequence().await >= Some(last)).await;
    let state = world.bus().stream_state(stream::DISCORD_EVENTS.name).await.unwrap();
    assert_eq!(state.messages, 1);
}

#[tokio::test]
async fn a_failing_membership_look_up_holds_the_message_and_loses_nothing() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let fault = json!({"target": "rest", "route": "/members/", "kind": "status", "status": 503, "count": 2});
    world.post("faults", fault).await;
    let opened = world.post("dms", json!({"user_id": world.user.to_string()})).await;
    let channel = ChannelId(opened["id"].as_str().unwrap().parse().unwrap());
    world.say_in(channel, world.user, "first").await;
    world.say_in(channel, world.user, "second").await;
    let mut events = world.events().await;
    assert_eq!(events.next().await.frame["d"]["content"], "first");
    assert_eq!(events.next().await.frame["d"]["content"], "second");
    assert_eq!(world.requests("GET", "/members/").await.len(), 3);
}

#[tokio::test]
async fn an_unknown_thread_is_looked_up_and_known_ever_after() {
    let world = World::new().await;
    let question = world.say("open one from this").await;
    let body = json!({"author_id": world.user.to_string(), "name": "theirs", "message_id": question.to_string()});
    let thread = world.post(&format!("channels/{}/threads", world.channel), body).await;
    let thread = ChannelId(thread["id"].as_str().unwrap().parse().unwrap());
    let gateway = world.connected().await;
    let session_stands = world.last_sequence().await;
    eventually("the checkpoint is saved", async || {
        world.saved_sequence().await >= Some(session_stands)
    })
    .await;
    // A resumed gateway has no GUILD_CREATE to learn the thread from.
    gateway.kill();
    let _gateway = world.connected().await;
    world.say_in(thread, world.user, "not for the bot").await;
    let text = format!("<@{}> for the bot", world.bot);
    world.say_in(thread, world.user, &text).await;
    let event = world.events().await.next().await;
    assert!(event.frame["d"]["content"].as_str().unwrap().contains("for the bot"));
    assert_eq!(event.meta.place, Some(PlaceKind::InPlace));
    assert_eq!(world.requests("GET", &format!("/channels/{thread}")).await.len(), 1);
}

#[tokio::test]
async fn a_channel_that_is_switched_on_is_listened_to_at_once() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let settings = world.bus().bucket(stream::SETTINGS.name).await.unwrap();
    let key = Setting::Listening(world.channel).key();
    settings.put(&key, ON.as_bytes().to_vec()).await.unwrap();
    let mut events = world.events().await;
    let heard = async |content: &str| {
        world.say(content).await;
    };
    let mut count = 0;
    eventually("something is heard", async || {
        count += 1;
        heard(&format!("remark {count}")).await;
        let state = world.bus().stream_state(stream::DISCORD_EVENTS.name).await.unwrap();
        state.messages > 0
    })
    .await;
    assert_eq!(events.next().await.meta.reason, Some(Reason::Listening));
}

#[tokio::test]
async fn edits_and_deletions_reach_the_bus_without_words_that_do_not_concern_the_bot() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let message = world.mention("a question").await;
    let path = format!("channels/{}/messages/{message}", world.channel);
    let by = |content: &str| Some(json!({"author_id": world.user.to_string(), "content": content}));
    world.control(Method::PATCH, &path, by(&format!("<@{}> a better one", world.bot))).await;
    world.control(Method::PATCH, &path, by("private after all")).await;
    world.control(Method::DELETE, &path, by("")).await;
    let mut events = world.events().await;
    assert_eq!(events.next().await.meta.reason, Some(Reason::Mention));
    let edited = events.next().await;
    assert_eq!(edited.meta.reason, Some(Reason::Mention));
    assert!(edited.frame["d"]["content"].as_str().unwrap().contains("better"));
    let withdrawn = events.next().await;
    assert_eq!(withdrawn.meta.reason, Some(Reason::Withdrawn));
    assert!(!withdrawn.frame.to_string().contains("private"), "{}", withdrawn.frame);
    assert!(withdrawn.frame["d"]["edited_timestamp"].is_string());
    let deleted = events.next().await;
    assert_eq!(deleted.frame["t"], "MESSAGE_DELETE");
    assert_eq!(deleted.frame["d"]["id"], message.to_string());
}

#[tokio::test]
async fn a_duplicate_dispatch_is_stored_once() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    world.post("gateway/duplicate_next", json!({"count": 1})).await;
    let message = world.mention("only once").await;
    world.mention("the end").await;
    let seen = world.events().await.until("the end").await;
    let same = seen.iter().filter(|e| e.frame["d"]["id"] == message.to_string()).count();
    assert_eq!(same, 1);
    let sent = world.ledger("dispatch").await;
    let twice = sent.iter().filter(|d| d["d"]["id"] == message.to_string()).count();
    assert_eq!(twice, 2, "the simulator sent it twice");
}

#[tokio::test]
async fn malformed_and_oversized_dispatches_are_buried_without_words_and_stop_nobody() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    for raw in [
        "not json at all",
        r#"{"t":null,"s":null,"op":99,"d":null}"#,
        r#"{"t":"MESSAGE_CREATE","op":0,"d":{"content":"private words"}}"#,
    ] {
        world.post("gateway/send", json!({"raw": raw})).await;
    }
    let (guild, channel) = (world.guild.to_string(), world.channel.to_string());
    let bad = json!({"t": "MESSAGE_CREATE", "d": {"id": {}, "channel_id": channel, "content": "private words"}});
    world.post("gateway/dispatch", bad).await;
    let huge = json!({"t": "MESSAGE_CREATE", "d": {
        "id": "4611686018427387904", "channel_id": channel, "guild_id": guild,
        "author": {"id": world.user.to_string()}, "mentions": [{"id": world.bot.to_string()}],
        "content": format!("private words {}", "x".repeat(9 * 1024 * 1024)),
    }});
    world.post("gateway/dispatch", huge).await;
    world.mention("the end").await;
    let seen = world.events().await.until("the end").await;
    assert_eq!(seen.len(), 1, "only the good one was published");
    let mut dead = world.consume(stream::DEAD_LETTERS.name).await;
    let mut subjects = Vec::new();
    for _ in 0..4 {
        let letter = tokio::time::timeout(crate::world::PATIENCE, dead.next())
            .await
            .expect("a dead letter in time")
            .unwrap();
        let text = String::from_utf8(letter.payload.to_vec()).unwrap();
        assert!(!text.contains("private words") && text.len() < 1_000, "{text}");
        assert!(letter.header(contracts::dead_letter::ERROR).is_some());
        subjects.push(letter.subject.clone());
    }
    subjects.sort();
    let expected = ["undecodable", "undecodable", "undecodable", "oversized"];
    let mut expected = expected.map(|why| format!("dead.gateway.{why}"));
    expected.sort();
    assert_eq!(subjects, expected);
    let last = world.last_sequence().await;
    eventually("the checkpoint passes them", async || world.saved_sequence().await >= Some(last))
        .await;
}
