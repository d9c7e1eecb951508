//! Logins are spent sparingly: never in a loop, never uncounted, never against a refusal.

use std::time::Duration;

use chassis::{Faults, OnFault, Outcome};
use contracts::stream;
use serde_json::{Value, json};

use crate::world::{Gateway, World, eventually};

const IDENTIFY: u64 = 2;

fn is_refused(gateway: &Gateway, remedy_part: &str) -> bool {
    matches!(gateway.outcome("discord"), Some(Outcome::Failing { remedy, .. })
        if remedy.contains(remedy_part))
}

#[tokio::test]
async fn a_server_that_accepts_and_closes_is_not_hammered() {
    let world = World::new().await;
    world.post("gateway/config", json!({"accept_then_close": 4000})).await;
    let gateway = world.gateway();
    eventually("it has tried", async || !world.ledger("gateway_open").await.is_empty()).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let tries = world.ledger("gateway_open").await.len();
    assert!((3..=10).contains(&tries), "{tries} connections in six seconds");
    world.post("gateway/config", json!({"accept_then_close": null})).await;
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    assert_eq!(world.count_op(IDENTIFY).await, 1);
}

#[tokio::test]
async fn a_switched_off_intent_is_named_and_not_tried_again_by_restarts() {
    let world = World::new().await;
    world.post("gateway/config", json!({"content_intent_allowed": false})).await;
    for _ in 0..3 {
        let gateway = world.gateway();
        if world.count_op(IDENTIFY).await == 0 {
            eventually("the remedy is told", async || {
                is_refused(&gateway, "Message Content Intent")
            })
            .await;
        } else {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        gateway.kill();
    }
    assert_eq!(world.count_op(IDENTIFY).await, 1);
}

#[tokio::test]
async fn an_invalid_token_is_named_and_not_tried_again_by_restarts() {
    let world = World::new().await;
    world.post("gateway/config", json!({"token_valid": false})).await;
    let gateway = world.gateway();
    eventually("the remedy is told", async || is_refused(&gateway, "Reset Token")).await;
    gateway.kill();
    for _ in 0..3 {
        let gateway = world.gateway();
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!gateway.is_healthy("discord"));
        gateway.kill();
    }
    let tries = world.ledger("rest").await.len() + world.count_op(IDENTIFY).await;
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn on_a_terminal_a_refusal_ends_the_process_with_its_remedy() {
    let world = World::new().await;
    world.post("gateway/config", json!({"accept_then_close": 4004})).await;
    let mut gateway = world.gateway_with(world.config(), OnFault::Exit);
    let error = gateway.ended().await.expect_err("a refusal is an error");
    let faults = error.downcast_ref::<Faults>().expect("faults");
    assert!(faults.one_line().contains("DISCORD_TOKEN"), "{}", faults.one_line());
    assert_eq!(world.ledger("gateway_open").await.len(), 1);
}

#[tokio::test]
async fn discord_sees_at_most_five_refused_logins_an_hour() {
    let world = World::new().await;
    world.post("gateway/config", json!({"accept_then_close": 4004})).await;
    let mut tries = 0;
    // Seconds since the first try, and whether a login may be tried then. Time goes by in the
    // bucket: all that is kept there moves into the past between two lives of the gateway.
    let moments = [
        (0, true),
        (20, false),
        (40, true),
        (90, false),
        (110, true),
        (220, false),
        (240, true),
        (470, false),
        (490, true),
        (1_500, false),
        (3_580, false),
        (3_620, true),
        (3_700, false),
        (3_890, true),
    ];
    let mut now = 0;
    for (moment, may_try) in moments {
        if moment > 0 {
            let_time_pass(&world, moment - now).await;
            now = moment;
        }
        tries += usize::from(may_try);
        let gateway = world.gateway();
        eventually(&format!("try {tries}, after {moment} s"), async || {
            world.ledger("gateway_open").await.len() >= tries && is_refused(&gateway, "Reset Token")
        })
        .await;
        gateway.kill();
        assert_eq!(world.ledger("gateway_open").await.len(), tries, "after {moment} s");
    }
}

/// Moves everything that the budget remembers into the past.
async fn let_time_pass(world: &World, seconds: u64) {
    let sessions = world.bus().bucket(stream::GATEWAY_SESSIONS.name).await.expect("the bucket");
    let keys = sessions.keys("budget.").await.expect("its keys");
    let kept = sessions.get(&keys[0]).await.expect("the bus answers").expect("the budget is kept");
    let mut budget: Value = serde_json::from_slice(&kept.value).expect("JSON");
    for list in ["/identifies", "/refused/attempts"] {
        for moment in budget.pointer_mut(list).and_then(Value::as_array_mut).expect("a list") {
            *moment = json!(moment.as_u64().expect("a time") - seconds * 1_000);
        }
    }
    sessions.put(&keys[0], budget.to_string().into_bytes()).await.expect("it is kept");
}

#[tokio::test]
async fn an_invalid_session_is_replaced_after_a_moment() {
    let world = World::new().await;
    let gateway = world.connected().await;
    world.post("gateway/drop", json!({"how": "invalid_session"})).await;
    eventually("a new login", async || world.count_op(IDENTIFY).await == 2).await;
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    world.mention("still here?").await;
    world.events().await.until("still here?").await;
    let frames = world.ledger("gateway_in").await;
    let logins: Vec<&Value> = frames.iter().filter(|frame| frame["op"] == IDENTIFY).collect();
    let drops = world.ledger("control").await;
    let dropped = drops.iter().rfind(|entry| entry.to_string().contains("invalid_session"));
    let waited = logins[1]["at_ms"].as_u64().unwrap() - dropped.unwrap()["at_ms"].as_u64().unwrap();
    assert!(waited >= 1_000, "{waited} ms");
}

#[tokio::test]
async fn nobody_logs_in_while_the_budget_cannot_be_kept() {
    let mut world = World::new().await;
    let gateway = world.connected().await;
    world.nats.kill().await.unwrap();
    world.post("gateway/drop", json!({"how": "invalid_session"})).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(world.count_op(IDENTIFY).await, 1);
    world.nats.restart().await.unwrap();
    eventually("a new login", async || world.count_op(IDENTIFY).await == 2).await;
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
}

#[tokio::test]
async fn without_the_bus_there_is_no_connection_at_all() {
    let mut world = World::new().await;
    world.nats.kill().await.unwrap();
    let gateway = world.gateway();
    eventually("it says so", async || {
        matches!(gateway.outcome("bus"), Some(Outcome::Failing { remedy, .. })
            if remedy.contains("NATS_URL"))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(world.ledger("gateway_open").await.is_empty());
    world.nats.restart().await.unwrap();
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
}

#[tokio::test]
async fn a_spent_budget_is_remembered_over_restarts() {
    let world = World::new().await;
    let gateway = world.connected().await;
    let sessions = world.bus().bucket(stream::GATEWAY_SESSIONS.name).await.unwrap();
    let keys = sessions.keys("budget.").await.unwrap();
    gateway.stop().await.unwrap();
    let kept = sessions.get(&keys[0]).await.unwrap().expect("the budget is kept");
    let mut budget: Value = serde_json::from_slice(&kept.value).unwrap();
    let spent = budget["identifies"][0].clone();
    assert!(spent.is_u64(), "the first login was counted");
    budget["identifies"] = json!(vec![spent; 800]);
    sessions.put(&keys[0], budget.to_string().into_bytes()).await.unwrap();
    world.post("gateway/config", json!({"forget_sessions": true})).await;
    let gateway = world.gateway();
    eventually("it says that it waits", async || {
        matches!(gateway.outcome("discord"), Some(Outcome::Failing { reason, .. })
            if reason.contains("next login"))
    })
    .await;
    assert_eq!(world.count_op(IDENTIFY).await, 1);
}

#[tokio::test]
async fn discords_own_daily_limit_is_waited_out() {
    let world = World::new().await;
    let limit = json!({"identify_remaining": 0, "reset_after_ms": 4_000});
    world.post("gateway/config", limit).await;
    let gateway = world.gateway();
    eventually("it has asked", async || !world.requests("GET", "/gateway/bot").await.is_empty())
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.count_op(IDENTIFY).await, 0);
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    assert_eq!(world.count_op(IDENTIFY).await, 1);
}

#[tokio::test]
async fn all_shards_that_discord_wants_are_held() {
    let world = World::new().await;
    world.post("gateway/config", json!({"shards": 2, "max_concurrency": 2})).await;
    let gateway = world.gateway();
    eventually("both are in session", async || gateway.is_healthy("discord")).await;
    assert_eq!(world.count_op(IDENTIFY).await, 2);
    let frames = world.ledger("gateway_in").await;
    let mut shards: Vec<String> = frames
        .iter()
        .filter(|frame| frame["op"] == IDENTIFY)
        .map(|frame| frame["d"]["shard"].to_string())
        .collect();
    shards.sort();
    assert_eq!(shards, ["[0,2]", "[1,2]"]);
    world.mention("hello").await;
    world.events().await.until("hello").await;
}

#[tokio::test]
async fn the_status_is_said_on_the_bus() {
    let world = World::new().await;
    let mut heard = world.bus().subscribe(contracts::subject::GATEWAY_STATUS).await.unwrap();
    world.bus().flush().await.unwrap();
    let _gateway = world.connected().await;
    let status: contracts::status::GatewayStatus = loop {
        let next = tokio::time::timeout(crate::world::PATIENCE, heard.next()).await;
        let message = next.expect("a status in time").expect("a message");
        assert_eq!(message.subject, "gateway.status.0");
        let status: contracts::status::GatewayStatus =
            contracts::envelope::decode(&message.payload).unwrap();
        if status.state == contracts::status::ShardState::Connected {
            break status;
        }
    };
    assert_eq!((status.shard, status.shards, status.sender), (0, 1, true));
    assert_eq!(status.bot.map(|bot| bot.0), Some(world.bot));
    assert!(status.identifies_left.is_some_and(|left| left > 0));
}
