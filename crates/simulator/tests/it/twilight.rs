//! twilight's gateway and HTTP clients, connected as they are.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use twilight_gateway::{
    CloseFrame, ConfigBuilder, EventTypeFlags, Intents, Message, Session, Shard, ShardId,
    StreamExt as _,
};
use twilight_model::gateway::event::Event;
use twilight_model::id::Id;

use crate::harness::{PATIENCE, World};

fn intents() -> Intents {
    Intents::GUILDS
        | Intents::GUILD_MESSAGES
        | Intents::GUILD_MESSAGE_TYPING
        | Intents::GUILD_MESSAGE_REACTIONS
        | Intents::DIRECT_MESSAGES
        | Intents::MESSAGE_CONTENT
}

fn config(world: &World, intents: Intents) -> ConfigBuilder {
    ConfigBuilder::new(world.token().to_owned(), intents)
        .proxy_url(format!("ws://{}", world.running.address()))
}

fn http(world: &World) -> twilight_http::Client {
    twilight_http::Client::builder()
        .token(world.token().to_owned())
        .proxy(world.running.address().to_string(), true)
        .ratelimiter(None)
        .build()
}

async fn next(shard: &mut Shard) -> Event {
    let event = tokio::time::timeout(PATIENCE, shard.next_event(EventTypeFlags::all())).await;
    event.expect("an event in time").expect("an open shard").expect("an event that parses")
}

/// The next event that `pick` takes.
async fn next_where<T>(shard: &mut Shard, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = pick(next(shard).await) {
            return found;
        }
    }
}

#[tokio::test]
async fn twilight_connects_hears_a_message_and_answers_it() {
    let world = World::start().await;
    let mut shard = Shard::with_config(ShardId::ONE, config(&world, intents()).build());
    let ready = next_where(&mut shard, |event| match event {
        Event::Ready(ready) => Some(ready),
        _ => None,
    })
    .await;
    assert_eq!(ready.user.id.to_string(), world.bot_id());
    let guild = next_where(&mut shard, |event| match event {
        Event::GuildCreate(guild) => Some(guild),
        _ => None,
    })
    .await;
    assert_eq!(guild.id().to_string(), world.guild());

    let channel = world.channel(0);
    world.say("hana", channel, &format!("<@{}> こんにちは", world.bot_id())).await;
    let heard = next_where(&mut shard, |event| match event {
        Event::MessageCreate(message) => Some(message),
        _ => None,
    })
    .await;
    assert_eq!(heard.content, format!("<@{}> こんにちは", world.bot_id()));
    assert_eq!(heard.mentions[0].id.to_string(), world.bot_id());

    let http = http(&world);
    let channel_id = heard.channel_id;
    http.create_typing_trigger(channel_id).await.unwrap();
    let sent = http.create_message(channel_id).content("はい").reply(heard.id).nonce(77).await;
    let sent = sent.unwrap().model().await.unwrap();
    let edited = http.update_message(channel_id, sent.id).content(Some("はい、どうぞ")).await;
    assert_eq!(edited.unwrap().model().await.unwrap().content, "はい、どうぞ");
    let thread = http.create_thread_from_message(channel_id, heard.id, "話").await.unwrap();
    assert_eq!(thread.model().await.unwrap().id, heard.id.cast());
    let echo = next_where(&mut shard, |event| match event {
        Event::MessageCreate(message) if message.id == sent.id => Some(message),
        _ => None,
    })
    .await;
    assert_eq!(echo.referenced_message.as_ref().unwrap().id, heard.id);
    next_where(&mut shard, |event| match event {
        Event::MessageUpdate(message) if message.id == sent.id => Some(()),
        _ => None,
    })
    .await;
    next_where(&mut shard, |event| match event {
        Event::ThreadCreate(thread) => (thread.id == heard.id.cast()).then_some(()),
        _ => None,
    })
    .await;
    let calls = world.ledger("rest").await;
    let routes: Vec<&str> = calls.iter().map(|call| call["route"].as_str().unwrap()).collect();
    assert_eq!(
        routes,
        [
            "POST /channels/{channel_id}/typing",
            "POST /channels/{channel_id}/messages",
            "PATCH /channels/{channel_id}/messages/{message_id}",
            "POST /channels/{channel_id}/messages/{message_id}/threads",
        ]
    );
}

#[tokio::test]
async fn twilight_resumes_in_another_process_and_misses_nothing() {
    let world = World::start().await;
    let mut shard = Shard::with_config(ShardId::ONE, config(&world, intents()).build());
    next_where(&mut shard, |event| matches!(event, Event::GuildCreate(_)).then_some(())).await;
    let session: Session = shard.session().cloned().unwrap();
    let resume_url = shard.resume_url().unwrap().to_owned();
    shard.close(CloseFrame::RESUME);
    let closed = async {
        // The last thing a closing shard gives out is the other side's close.
        while !matches!(shard.next().await, Some(Ok(Message::Close(_)) | Err(_)) | None) {}
    };
    tokio::time::timeout(PATIENCE, closed).await.expect("the close in time");
    drop(shard);
    world.say("sora", world.channel(1), "いない間の話").await;

    let config = config(&world, intents()).session(session).resume_url(resume_url).build();
    let mut shard = Shard::with_config(ShardId::ONE, config);
    let heard = next_where(&mut shard, |event| match event {
        Event::MessageCreate(message) => Some(message),
        Event::Ready(_) => panic!("identified instead of resuming"),
        _ => None,
    })
    .await;
    assert_eq!(heard.content, "いない間の話");
    next_where(&mut shard, |event| matches!(event, Event::Resumed).then_some(())).await;
    let started = world.ledger("gateway_in").await;
    let operations: Vec<u64> = started.iter().map(|frame| frame["op"].as_u64().unwrap()).collect();
    assert_eq!(operations.iter().filter(|op| **op == 2).count(), 1);
    assert_eq!(operations.iter().filter(|op| **op == 6).count(), 1);
}

#[tokio::test]
async fn without_the_content_intent_only_what_concerns_the_bot_can_be_read() {
    let world = World::start().await;
    let intents = intents() - Intents::MESSAGE_CONTENT;
    let mut shard = Shard::with_config(ShardId::ONE, config(&world, intents).build());
    next_where(&mut shard, |event| matches!(event, Event::GuildCreate(_)).then_some(())).await;
    world.say("hana", world.channel(0), "ひみつ").await;
    world.say("hana", world.channel(0), &format!("<@{}> やあ", world.bot_id())).await;
    let dm = world.control("POST", "dms", json!({"user_id": world.user("hana")})).await;
    world.say("hana", dm["id"].as_str().unwrap(), "内緒の話").await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        if let Event::MessageCreate(message) = next(&mut shard).await {
            heard.push(message.content.clone());
        }
    }
    assert_eq!(heard, ["", &format!("<@{}> やあ", world.bot_id()), "内緒の話"]);
}

#[tokio::test]
async fn every_kind_of_dispatch_parses() {
    let world = World::start().await.without_limits().await;
    world.running.state().with(|core| {
        for role in core.world.guilds.values_mut().flat_map(|guild| guild.roles.values_mut()) {
            role.permissions = simulator::world::permissions::ALL;
            role.position = u32::from(role.bot_id.is_some()) * 10;
        }
    });
    let intents = intents() | Intents::GUILD_MEMBERS | Intents::DIRECT_MESSAGE_REACTIONS;
    let mut shard = Shard::with_config(ShardId::ONE, config(&world, intents).build());
    next_where(&mut shard, |event| matches!(event, Event::GuildCreate(_)).then_some(())).await;
    change_everything(&world).await;
    let mut heard = BTreeSet::new();
    while heard.last() != Some(&"zz") {
        let event = next(&mut shard).await;
        let last = matches!(event, Event::GuildDelete(_));
        heard.insert(event.kind().name().unwrap_or("unknown"));
        if last {
            heard.insert("zz");
        }
    }
    let expected = [
        "CHANNEL_CREATE",
        "CHANNEL_DELETE",
        "CHANNEL_PINS_UPDATE",
        "CHANNEL_UPDATE",
        "GUILD_DELETE",
        "GUILD_MEMBER_ADD",
        "GUILD_MEMBER_REMOVE",
        "GUILD_MEMBER_UPDATE",
        "GUILD_ROLE_CREATE",
        "GUILD_ROLE_DELETE",
        "GUILD_ROLE_UPDATE",
        "MESSAGE_CREATE",
        "MESSAGE_DELETE",
        "MESSAGE_DELETE_BULK",
        "MESSAGE_REACTION_ADD",
        "MESSAGE_REACTION_REMOVE",
        "MESSAGE_REACTION_REMOVE_ALL",
        "MESSAGE_REACTION_REMOVE_EMOJI",
        "MESSAGE_UPDATE",
        "THREAD_CREATE",
        "THREAD_DELETE",
        "THREAD_MEMBERS_UPDATE",
        "THREAD_UPDATE",
        "TYPING_START",
    ];
    let missing: Vec<&str> =
        expected.iter().copied().filter(|name| !heard.contains(name)).collect();
    assert_eq!(missing, [""; 0], "heard {heard:?}");
}

/// Makes one of everything happen; the bot leaves the guild last.
async fn change_everything(world: &World) {
    let guild = format!("/guilds/{}", world.guild());
    let channel = format!("/channels/{}", world.channel(0));
    let messages = format!("{channel}/messages");
    let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    let asked = id(&world.say("hana", world.channel(0), "質問").await);
    for method in ["PUT", "DELETE"] {
        world.api_ok(method, &format!("{messages}/pins/{asked}"), Value::Null).await;
    }
    let reactions = format!("{messages}/{asked}/reactions");
    let thumb = format!("{reactions}/%F0%9F%91%8D");
    for (method, path) in [
        ("PUT", format!("{thumb}/@me")),
        ("DELETE", format!("{thumb}/@me")),
        ("PUT", format!("{thumb}/@me")),
        ("DELETE", thumb.clone()),
        ("DELETE", reactions.clone()),
    ] {
        world.api_ok(method, &path, Value::Null).await;
    }
    world.api_ok("POST", &format!("{channel}/typing"), Value::Null).await;
    let thread = json!({"name": "話"});
    world.api_ok("POST", &format!("{messages}/{asked}/threads"), thread).await;
    world.api_ok("PATCH", &format!("/channels/{asked}"), json!({"archived": true})).await;
    world.api_ok("DELETE", &format!("/channels/{asked}"), Value::Null).await;
    let one = world.say("hana", world.channel(0), "一").await;
    let two = world.say("hana", world.channel(0), "二").await;
    let both = json!({"messages": [one["id"], two["id"]]});
    world.api_ok("POST", &format!("{messages}/bulk-delete"), both).await;
    world.api_ok("DELETE", &format!("{messages}/{asked}"), Value::Null).await;
    world.api_ok("PATCH", &channel, json!({"topic": "話題"})).await;
    let new = world.api_ok("POST", &format!("{guild}/channels"), json!({"name": "new"})).await;
    world.api_ok("DELETE", &format!("/channels/{}", id(&new)), Value::Null).await;
    let role = id(&world.api_ok("POST", &format!("{guild}/roles"), json!({"name": "係"})).await);
    world.api_ok("PATCH", &format!("{guild}/roles/{role}"), json!({"hoist": true})).await;
    world.api_ok("DELETE", &format!("{guild}/roles/{role}"), Value::Null).await;
    let user = id(&world.control("POST", "users", json!({"name": "mei"})).await);
    let member = json!({"user_id": user});
    world.control("POST", &format!("guilds/{}/members", world.guild()), member).await;
    let member = format!("{guild}/members/{user}");
    world.api_ok("PATCH", &member, json!({"nick": "めい"})).await;
    world.api_ok("DELETE", &member, Value::Null).await;
    world.api_ok("DELETE", &format!("/users/@me{guild}"), Value::Null).await;
}

#[tokio::test]
async fn twilight_learns_of_a_missing_permission() {
    let world = World::start().await;
    let channel = world.channel(0);
    let path = format!("guilds/{}/channels/{channel}/deny", world.guild());
    world.control("PUT", &path, json!({"permissions": ["SEND_MESSAGES"]})).await;
    let channel_id = Id::new(channel.parse().unwrap());
    let error = http(&world).create_message(channel_id).content("だめ").await.unwrap_err();
    let twilight_http::error::ErrorType::Response { error, status, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(status.get(), 403);
    assert!(format!("{error:?}").contains("50013"), "{error:?}");
}
