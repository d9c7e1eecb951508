//! A bus that is away for a while, or for long, costs nobody a message.

use std::time::Duration;

use chassis::{OnFault, Outcome};
use serde_json::Value;

use crate::world::{World, eventually};

const IDENTIFY: u64 = 2;
const RESUME: u64 = 6;

fn numbered(frame: &Value) -> Option<usize> {
    frame["d"]["content"].as_str()?.rsplit_once("number-")?.1.parse().ok()
}

/// Everything published up to the last number, which must be all of them in order, each once.
async fn all_are_there(world: &World, count: usize) {
    let last = format!("number-{}", count - 1);
    let events = world.events().await.until(&last).await;
    let numbers: Vec<usize> = events.iter().filter_map(|event| numbered(&event.frame)).collect();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

async fn say_numbers(world: &World, numbers: std::ops::Range<usize>, padding: usize) {
    for number in numbers {
        world.mention(&format!("{} number-{number}", "x".repeat(padding))).await;
    }
}

#[tokio::test]
async fn an_outage_shorter_than_the_buffer_is_held_in_memory() {
    let mut world = World::new().await;
    let gateway = world.connected().await;
    say_numbers(&world, 0..3, 10).await;
    world.nats.kill().await.unwrap();
    say_numbers(&world, 3..30, 10).await;
    eventually("it says so", async || {
        matches!(gateway.outcome("bus"), Some(Outcome::Failing { .. }))
    })
    .await;
    world.nats.restart().await.unwrap();
    all_are_there(&world, 30).await;
    assert_eq!(world.ledger("gateway_close").await.len(), 0, "the session went on");
    assert_eq!(world.count_op(IDENTIFY).await, 1);
}

#[tokio::test]
async fn an_outage_longer_than_the_buffer_pauses_the_session_and_resumes_it() {
    let mut world = World::new().await;
    let mut config = world.config();
    config.limits.held_bytes_max = 40_000;
    let gateway = world.gateway_with(config, OnFault::Stay);
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    world.nats.kill().await.unwrap();
    say_numbers(&world, 0..120, 500).await;
    eventually("the session is paused", async || {
        let closes = world.ledger("gateway_close").await;
        closes.iter().any(|close| close["by"] == "client" && close["code"] == 4000)
    })
    .await;
    eventually("it says so", async || {
        matches!(gateway.outcome("discord"), Some(Outcome::Failing { reason, .. })
            if reason.contains("paused"))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.count_op(RESUME).await, 0, "nothing is received that cannot be held");
    world.nats.restart().await.unwrap();
    all_are_there(&world, 120).await;
    assert_eq!(world.count_op(IDENTIFY).await, 1);
    assert!(world.count_op(RESUME).await >= 1);
}

#[tokio::test]
async fn what_was_held_when_the_process_died_is_replayed() {
    let mut world = World::new().await;
    let gateway = world.connected().await;
    say_numbers(&world, 0..3, 10).await;
    world.events().await.until("number-2").await;
    eventually("the checkpoint is saved", async || world.saved_sequence().await.is_some()).await;
    world.nats.kill().await.unwrap();
    say_numbers(&world, 3..10, 10).await;
    gateway.kill();
    world.nats.restart().await.unwrap();
    let _gateway = world.connected().await;
    all_are_there(&world, 10).await;
    assert_eq!((world.count_op(IDENTIFY).await, world.count_op(RESUME).await), (1, 1));
}
