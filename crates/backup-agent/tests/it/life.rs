//! The agent from its start to its stop, seen from outside.

use std::time::Duration;

use bus::server::NatsServer;
use contracts::heartbeat::{Heartbeat, Phase};

use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bus_everything_is_copied_all_the_same() {
    let house = House::build();
    let agent = house.agent().await;
    let health =
        agent.until("the bus is missed", |health| health["checks"]["bus"]["status"] == "degraded");
    let health = health.await;
    for check in ["database.conversations", "full", "differential", "audit", "commands"] {
        assert_eq!(health["checks"][check]["status"], "ok", "{check}: {health:#}");
    }
    for check in ["sheet", "copies"] {
        assert_eq!(health["checks"][check]["status"], "degraded", "{check}: {health:#}");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_done_when_asked_and_listed_with_the_reason_they_are_kept() {
    let house = House::build();
    let agent = house.agent().await;
    house.database().execute("INSERT INTO said (what) VALUES ('a')", []).unwrap();
    house.copied().await;
    let report = house.done(&["now", "differential"]).await;
    assert!(report["conversations.differential"]["bytes"].as_u64() > Some(0), "{report:#}");
    let report = house.done(&["now"]).await;
    assert!(report["config.snapshot"]["snapshot"]["id"].is_string(), "{report:#}");
    let report = house.done(&["audit"]).await;
    assert_eq!(report["conversations.audit"]["live"], serde_json::json!([]));
    let report = house.done(&["verify"]).await;
    let points = report["verification"]["points"].as_array().unwrap();
    let tried = |tier: &str| points.iter().any(|point| point["tier"] == tier);
    assert!(tried("continuous") && tried("snapshots"), "{report:#}");
    assert!(points.iter().all(|point| point["faults"] == serde_json::json!([])), "{report:#}");
    let list = house.done(&["list"]).await;
    assert!(list["jobs"]["full"]["standing"]["succeeded"].is_string(), "{list:#}");
    let snapshots = list["snapshots"].as_array().unwrap();
    let named = |name: &str| snapshots.iter().any(|one| one["snapshot"]["name"] == name);
    assert!(named("conversation.db") && named("config"), "{list:#}");
    let text = house.command(&["list"]).await.out;
    assert!(text.contains("stays: newest full") && text.contains("newest complete one"), "{text}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_in_the_history_turns_the_next_verification_red() {
    let house = House::build();
    let agent = house.agent().await;
    house.database().execute("INSERT INTO said (what) VALUES ('a')", []).unwrap();
    house.copied().await;
    let plan = house.done(&["plan"]).await;
    let path = plan["files"][0]["path"].as_str().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let said = house.command(&["verify"]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    let health =
        agent.until("it is red", |health| health["checks"]["verification"]["status"] == "failing");
    let health = health.await;
    let reason = health["checks"]["verification"]["reason"].as_str().unwrap();
    assert!(reason.contains("trial restore failed"), "{reason}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_follows_nothing_and_says_who_does() {
    let house = House::build();
    let first = house.agent().await;
    let second = house.agent().await;
    let health = second
        .until("the other is named", |health| {
            health["checks"]["database.conversations"]["status"] == "failing"
        })
        .await;
    let reason = health["checks"]["database.conversations"]["reason"].as_str().unwrap();
    assert!(reason.contains("another agent"), "{reason}");
    assert_eq!(health["checks"]["commands"]["status"], "degraded", "{health:#}");
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sheet_is_yellow_until_its_code_is_given() {
    let house = House::build();
    let agent = house.agent().await;
    let page = house.command(&["sheet", "--html"]).await.out;
    assert!(page.contains("correct horse battery staple") && page.contains("AGE-SECRET-KEY-1"));
    let begins = page.find("BACKUP_SHEET_CODE=").unwrap() + "BACKUP_SHEET_CODE=".len();
    let code = &page[begins..begins + 9];
    let said = house.command(&["sheet", "confirm", "AAAA-AAAA"]).await;
    assert_eq!(said.code, 64, "{}", said.complaint);
    assert_eq!(house.command(&["sheet", "confirm", code]).await.code, 0);
    agent
        .until("the sheet is put away", |health| health["checks"]["sheet"]["status"] == "ok")
        .await;
    assert!(!house.path("state/recovery-sheet.html").exists());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_tells_the_bus_when_it_begins_and_how_it_ended() {
    let nats = NatsServer::start().await.unwrap();
    let house = House::with_bus(&nats);
    let listening = bus::Bus::connect(nats.config("listener")).await.unwrap();
    listening.wait_connected().await;
    listening.declare().await.unwrap();
    let mut heard = listening.subscribe(contracts::subject::HEARTBEATS).await.unwrap();
    let agent = house.agent().await;
    let mut phases = Vec::new();
    while phases.len() < 2 {
        let message = tokio::time::timeout(Duration::from_mins(1), heard.next()).await;
        let message = message.expect("a heartbeat within a minute").expect("the bus is there");
        let beat: Heartbeat = contracts::envelope::decode(&message.payload).unwrap();
        assert_eq!(beat.job, "backup-full");
        assert!(beat.next_at_unix_ms > Some(beat.started_at_unix_ms));
        phases.push(beat.phase);
    }
    assert_eq!(phases, [Phase::Started, Phase::Succeeded]);
    agent.stop().await;
}
