//! A session outlives the process: nothing is missed, and no second login is spent.

use serde_json::{Value, json};

use crate::world::{World, eventually};

const IDENTIFY: u64 = 2;
const RESUME: u64 = 6;

/// The contents of everything published until `last`, without what the bot said.
async fn contents_until(world: &World, last: &str) -> Vec<String> {
    let events = world.events().await.until(last).await;
    let content = |frame: &Value| frame["d"]["content"].as_str().map(str::to_owned);
    events
        .iter()
        .filter_map(|event| content(&event.frame))
        .map(|text| text.split_once(' ').map_or(text.clone(), |(_, rest)| rest.to_owned()))
        .collect()
}

#[tokio::test]
async fn after_a_kill_the_session_is_resumed_and_nothing_is_missed_or_doubled() {
    let world = World::new().await;
    let gateway = world.connected().await;
    world.mention("one").await;
    world.events().await.until("one").await;
    eventually("the checkpoint is saved", async || world.saved_sequence().await.is_some()).await;
    gateway.kill();
    world.mention("two").await;
    world.mention("three").await;
    let _gateway = world.connected().await;
    world.mention("four").await;
    assert_eq!(contents_until(&world, "four").await, ["one", "two", "three", "four"]);
    assert_eq!((world.count_op(IDENTIFY).await, world.count_op(RESUME).await), (1, 1));
}

#[tokio::test]
async fn a_clean_stop_leaves_a_session_that_the_next_process_resumes() {
    let world = World::new().await;
    let gateway = world.connected().await;
    world.mention("one").await;
    gateway.stop().await.unwrap();
    let closes = world.ledger("gateway_close").await;
    let close = closes.last().expect("it closed");
    assert_eq!((&close["by"], &close["code"]), (&json!("client"), &json!(4000)));
    let last = world.last_sequence().await;
    assert_eq!(world.saved_sequence().await, Some(last), "everything received was dealt with");
    world.mention("two").await;
    let _gateway = world.connected().await;
    world.mention("three").await;
    assert_eq!(contents_until(&world, "three").await, ["one", "two", "three"]);
    assert_eq!((world.count_op(IDENTIFY).await, world.count_op(RESUME).await), (1, 1));
    let frames = world.ledger("gateway_in").await;
    let resume = frames.iter().find(|frame| frame["op"] == RESUME).unwrap();
    assert_eq!(resume["d"]["seq"], last);
}

#[tokio::test]
async fn every_way_to_lose_a_connection_ends_in_a_resume() {
    let world = World::new().await;
    let gateway = world.connected().await;
    let ways = [
        json!({"how": "abort"}),
        json!({"how": "reconnect"}),
        json!({"how": "close", "code": 4000}),
        json!({"how": "close", "code": 1001, "resumable": true}),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        world.post("gateway/drop", way.clone()).await;
        world.mention(&format!("message-{number}")).await;
        eventually(&format!("a resume after {way}"), async || {
            world.count_op(RESUME).await == number + 1
        })
        .await;
    }
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    world.mention("the-end").await;
    let contents = contents_until(&world, "the-end").await;
    assert_eq!(contents, ["message-0", "message-1", "message-2", "message-3", "the-end"]);
    assert_eq!(world.count_op(IDENTIFY).await, 1);
}

#[tokio::test]
async fn a_session_that_discord_forgot_is_replaced_by_one_login() {
    let world = World::new().await;
    let gateway = world.connected().await;
    gateway.stop().await.unwrap();
    world.post("gateway/config", json!({"forget_sessions": true})).await;
    let gateway = world.gateway();
    eventually("a new login", async || world.count_op(IDENTIFY).await == 2).await;
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    world.mention("hello").await;
    world.events().await.until("hello").await;
    assert_eq!(world.count_op(IDENTIFY).await, 2);
}

#[tokio::test]
async fn a_silent_connection_is_found_out_and_resumed() {
    let world = World::new().await;
    world.post("gateway/config", json!({"heartbeat_interval_ms": 500})).await;
    let gateway = world.connected().await;
    world.post("gateway/config", json!({"withhold_heartbeat_acks": true})).await;
    eventually("a resume", async || world.count_op(RESUME).await >= 1).await;
    world.post("gateway/config", json!({"withhold_heartbeat_acks": false})).await;
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    assert_eq!(world.count_op(IDENTIFY).await, 1);
}
