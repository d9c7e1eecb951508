//! The control API, and the binary.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::harness::{PATIENCE, World, eventually};

#[tokio::test]
async fn a_world_is_built_piece_by_piece() {
    let world = World::start().await;
    let user = world.control("POST", "users", json!({"name": "mei", "global_name": "めい"})).await;
    let guild = json!({"name": "小さな部屋", "preferred_locale": "ja", "member_ids": [user["id"]]});
    let guild = world.control("POST", "guilds", guild).await;
    let id = guild["id"].as_str().unwrap();
    assert_eq!(guild["members"].as_array().unwrap().len(), 2);
    let channel = json!({"name": "ひとこと", "topic": "一日一言"});
    let channel = world.control("POST", &format!("guilds/{id}/channels"), channel).await;
    let sora = world.user("sora");
    world.control("POST", &format!("guilds/{id}/members"), json!({"user_id": sora})).await;
    let seen = world.control("GET", "world", Value::Null).await;
    let found = seen["guilds"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    assert_eq!(found["channels"][0]["id"], channel["id"]);
    assert!(found["members"].as_array().unwrap().contains(&json!(sora)));
    assert_eq!(seen["bot"]["id"], world.bot_id());
    assert!(seen["users"].as_array().unwrap().iter().any(|one| one["name"] == "mei"));
}

#[tokio::test]
async fn a_person_speaks_edits_reacts_and_attaches() {
    let world = World::start().await;
    let (hana, channel) = (world.user("hana"), world.channel(0));
    let path = format!("channels/{channel}/messages");
    let file = json!({"filename": "歌.txt", "content_type": "text/plain", "data_base64": "44GC"});
    let body = json!({"author_id": hana, "content": "きいて", "attachments": [file]});
    let said = world.control("POST", &path, body).await;
    let one = format!("{path}/{}", said["id"].as_str().unwrap());
    let url = said["attachments"][0]["url"].as_str().unwrap();
    let served = world.http.get(url).send().await.unwrap();
    assert_eq!(served.headers()["content-type"], "text/plain");
    assert_eq!(served.text().await.unwrap(), "あ");
    world.control("PATCH", &one, json!({"author_id": hana, "content": "きいてください"})).await;
    let reaction = json!({"author_id": world.user("sora"), "emoji": "🎵"});
    world.control("POST", &format!("{one}/reactions"), reaction).await;
    let reply =
        json!({"author_id": world.user("sora"), "content": "いいね", "reply_to": said["id"]});
    world.control("POST", &path, reply).await;
    let list = world.control("GET", &path, Value::Null).await;
    assert_eq!((&list[0]["edits"], &list[0]["content"]), (&json!(1), &json!("きいてください")));
    assert_eq!(list[0]["reactions"][0]["emoji"]["name"], "🎵");
    assert_eq!(list[1]["referenced_message"]["id"], said["id"]);
    world.control("DELETE", &one, json!({"author_id": hana})).await;
    assert_eq!(world.control("GET", &path, Value::Null).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_attached_page_never_runs_beside_the_chat_page() {
    let world = World::start().await;
    let file = json!({"filename": "a.html", "content_type": "text/html", "data_base64": "PGI+"});
    let body = json!({"author_id": world.user("hana"), "attachments": [file]});
    let path = format!("channels/{}/messages", world.channel(0));
    let said = world.control("POST", &path, body).await;
    let served = world.http.get(said["attachments"][0]["url"].as_str().unwrap()).send().await;
    let headers = served.unwrap().headers().clone();
    assert_eq!(headers["content-disposition"], "attachment");
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("sandbox"));
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let world = World::start().await;
    let path = format!("channels/{}/messages", world.channel(0));
    for (method, path, body, status, hint) in [
        (
            "POST",
            path.as_str(),
            json!({"author_id": "1", "content": "x"}),
            404,
            "POST /control/users",
        ),
        (
            "POST",
            path.as_str(),
            json!({"author_id": world.user("hana")}),
            400,
            "content or attachments",
        ),
        ("POST", path.as_str(), json!({"author": "1"}), 400, "unknown field"),
        ("GET", "channels/1/messages", json!({}), 404, "GET /control/world"),
        ("POST", "faults", json!({"target": "rest", "kind": "sulk"}), 400, "unknown variant"),
        ("POST", "guilds/1/members", json!({"user_id": "1"}), 404, "POST /control/guilds"),
    ] {
        let (answered, refusal) = world.try_control(method, path, body).await;
        let error = refusal["error"].as_str().unwrap();
        assert_eq!(answered, status, "{method} {path}: {error}");
        assert!(error.contains(hint), "{error}");
    }
}

#[tokio::test]
async fn events_tell_the_page_what_happens() {
    let world = World::start().await;
    let url = format!("{}/control/events", world.running.base_url());
    let mut stream = world.http.get(url).send().await.unwrap();
    world.say("hana", world.channel(0), "見えますか").await;
    world.api_ok("POST", &format!("/channels/{}/typing", world.channel(0)), Value::Null).await;
    let mut text = String::new();
    while !text.contains("\"typing\"") {
        let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.expect("events in time");
        text.push_str(std::str::from_utf8(&chunk.unwrap().expect("more events")).unwrap());
    }
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&events[0]["type"], &events[0]["message"]["content"]),
        (&json!("message_create"), &json!("見えますか"))
    );
    assert_eq!(
        (&events[1]["type"], &events[1]["user_id"]),
        (&json!("typing"), &json!(world.bot_id()))
    );
}

#[tokio::test]
async fn the_ledger_pages_filters_and_clears() {
    let world = World::start().await;
    for _ in 0..3 {
        world.api_ok("GET", "/users/@me", Value::Null).await;
    }
    let page = world.control("GET", "ledger?limit=2&kind=rest", Value::Null).await;
    assert_eq!(page["entries"].as_array().unwrap().len(), 2);
    let after = page["entries"][1]["seq"].as_u64().unwrap();
    let rest = world.control("GET", &format!("ledger?kind=rest&after={after}"), Value::Null).await;
    let entry = &rest["entries"][0];
    assert_eq!((&entry["route"], &entry["status"]), (&json!("GET /users/@me"), &json!(200)));
    assert_eq!(entry["response"]["id"], world.bot_id());
    assert!(!rest.to_string().contains(world.token()), "the token must not be in the ledger");
    world.control("DELETE", "ledger", Value::Null).await;
    assert_eq!(world.ledger("rest").await.len(), 0);
}

#[tokio::test]
async fn the_binary_says_when_it_is_ready_and_stops_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(["--bot-token", "secret", "--ready-file"])
        .arg(&ready)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let line = BufReader::new(stdout).lines().next_line().await.unwrap().unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&ready).unwrap()).unwrap();
    assert_eq!(said, written);
    assert_eq!(said["bot_token"], "secret");
    assert_eq!(said["guilds"][0]["channels"].as_array().unwrap().len(), 3);
    let address = said["address"].as_str().unwrap();
    let health = reqwest_get(&format!("http://{address}/health/live")).await;
    assert_eq!(health, json!({"status": "ok"}));
    let taken =
        Command::new(env!("CARGO_BIN_EXE_simulator")).args(["--listen", address]).output().await;
    assert_eq!(taken.unwrap().status.code(), Some(64));
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await.expect("a stop");
    assert!(status.unwrap().success());
}

async fn reqwest_get(url: &str) -> Value {
    drop(rustls::crypto::ring::default_provider().install_default());
    eventually("the simulator answers", async || reqwest::get(url).await.ok()?.json().await.ok())
        .await
}
