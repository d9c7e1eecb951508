//! Every shape of Discord's 429 is waited out: nothing is sent before its time.

use contracts::command::{Action, Command};
use contracts::id::{ChannelId, CommandId, TurnId};
use serde_json::{Value, json};

use crate::world::{World, eventually};

fn finish(text: &str) -> Action {
    Action::FinishReply { text: text.to_owned(), messages: Vec::new() }
}

/// Lets a create run into one 429 and returns the requests from that one on.
async fn after_a_429(world: &World, kind: &str, also: &[ChannelId]) -> Vec<Value> {
    let question = world.mention("hi").await;
    let mut fault = json!({"target": "rest", "route": "POST /channels/{c}/messages", "kind": kind});
    if kind != "rate_limit_headerless" {
        fault["retry_after_ms"] = json!(2_000);
    }
    world.post("faults", fault).await;
    let id = world.command(&world.place(question), finish("Hello.")).await;
    let limited = async || {
        let all = world.ledger("rest").await;
        all.iter().position(|entry| entry["status"] == 429)
    };
    eventually("the 429 was answered", async || limited().await.is_some()).await;
    for channel in also {
        let asked = world.say_in(*channel, world.user, &format!("<@{}> hi", world.bot)).await;
        let mut place = world.place(asked);
        place.channel_id = *channel;
        world.command(&place, finish("Elsewhere.")).await;
    }
    world.result(id).await;
    assert_eq!(world.own_texts(world.channel).await, ["Hello."]);
    let first = limited().await.expect("a 429");
    world.ledger("rest").await.split_off(first)
}

async fn another_channel(world: &World) -> ChannelId {
    let path = format!("guilds/{}/channels", world.guild);
    let made = world.post(&path, json!({"name": "another"})).await;
    ChannelId(made["id"].as_str().expect("an id").parse().expect("a number"))
}

fn at_ms(entry: &Value) -> u64 {
    entry["at_ms"].as_u64().expect("a time")
}

fn waited_ms(requests: &[Value]) -> u64 {
    at_ms(&requests[1]) - at_ms(&requests[0])
}

#[tokio::test]
async fn a_429_of_a_route_holds_that_route() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let requests = after_a_429(&world, "rate_limit_route", &[]).await;
    assert!(waited_ms(&requests) >= 2_000, "{}", waited_ms(&requests));
}

#[tokio::test]
async fn a_shared_429_holds_that_route() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    let requests = after_a_429(&world, "rate_limit_shared", &[]).await;
    assert!(waited_ms(&requests) >= 2_000, "{}", waited_ms(&requests));
}

#[tokio::test]
async fn a_global_429_holds_every_route() {
    let world = World::new().await;
    let other = another_channel(&world).await;
    let _gateway = world.connected().await;
    let requests = after_a_429(&world, "rate_limit_global", &[other]).await;
    assert!(waited_ms(&requests) >= 2_000, "{}", waited_ms(&requests));
}

#[tokio::test]
async fn a_429_without_headers_holds_every_route_for_five_seconds() {
    let world = World::new().await;
    let other = another_channel(&world).await;
    let _gateway = world.connected().await;
    let requests = after_a_429(&world, "rate_limit_headerless", &[other]).await;
    assert!(waited_ms(&requests) >= 5_000, "{}", waited_ms(&requests));
}

#[tokio::test]
async fn limits_that_headers_tell_are_kept_without_a_429() {
    let world = World::new().await;
    let _gateway = world.connected().await;
    world.post("limits", json!({"channel_creates": {"count": 3, "per_ms": 1_500}})).await;
    let mut last = None;
    for number in 0..8 {
        let question = world.mention(&format!("question {number}")).await;
        last = Some(world.command(&world.place(question), finish("Hello.")).await);
    }
    world.result(last.expect("eight were sent")).await;
    let creates = world.requests("POST", &format!("/channels/{}/messages", world.channel)).await;
    assert_eq!(creates.len(), 8);
    assert!(creates.iter().all(|create| create["status"] == 200), "none was refused");
}

#[tokio::test]
async fn after_too_many_refused_requests_discord_hears_nothing_more() {
    let world = World::new().await;
    world.post("limits", json!({"enabled": false})).await;
    let mut config = world.config();
    config.limits.invalid_requests_max = 100;
    let gateway = world.gateway_with(config, chassis::OnFault::Stay);
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    let fault = json!({"target": "rest", "route": "/reactions/", "kind": "status", "status": 403,
        "count": 0});
    world.post("faults", fault).await;
    let question = world.mention("hi").await;
    // One more than Discord may hear; each is a command of its own, by its generation. In many
    // channels, which do not wait for one another.
    let sent = (0..=100).map(|generation| {
        let mut place = world.place(question);
        place.channel_id = ChannelId(1_000 + u64::from(generation % 20));
        let id = CommandId {
            turn: TurnId::from(question),
            generation,
            part: 0,
            purpose: contracts::id::Purpose::React,
        };
        world.send(Command { id, place, action: Action::React { emoji: "\u{1f343}".to_owned() } })
    });
    futures_util::future::join_all(sent).await;
    let refused = async || world.requests("PUT", "/reactions/").await.len();
    eventually("a hundred were refused", async || refused().await >= 100).await;
    // What is harmless alone is not sent either, as long as Discord counts.
    let other = world.mention("and now?").await;
    world.command(&world.place(other), finish("Hello.")).await;
    eventually("the gateway says why it is silent", async || {
        matches!(gateway.outcome("sender"), Some(chassis::Outcome::Failing { remedy, .. })
            if remedy.contains("permissions"))
    })
    .await;
    assert_eq!(refused().await, 100);
    assert!(world.own_texts(world.channel).await.is_empty());
}
