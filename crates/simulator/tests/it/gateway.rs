//! The gateway, frame by frame.

use std::io::Write as _;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::{PATIENCE, World, eventually};

/// Guilds, messages of guilds and their content.
const INTENTS: u64 = 1 | 1 << 9 | 1 << 15;

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What comes out of a connection.
#[derive(Debug, PartialEq)]
enum Heard {
    Frame(Value),
    Close(u16),
    Gone,
}

impl Client {
    async fn connect(world: &World, path: &str) -> Self {
        let url = format!("ws://{}{path}", world.running.address());
        Self { socket: connect_async(url).await.expect("a websocket").0 }
    }

    /// Connects and reads HELLO.
    async fn greeted(world: &World) -> Self {
        let mut client = Self::connect(world, "/?v=10&encoding=json").await;
        assert_eq!(client.frame().await["op"], 10);
        client
    }

    /// Connects, identifies and reads READY.
    async fn ready(world: &World) -> (Self, Value) {
        let mut client = Self::greeted(world).await;
        client.identify(world, json!({})).await;
        let ready = client.frame().await;
        assert_eq!(
            (&ready["op"], &ready["t"], &ready["s"]),
            (&json!(0), &json!("READY"), &json!(1))
        );
        (client, ready["d"].clone())
    }

    async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.expect("sent");
    }

    async fn identify(&mut self, world: &World, more: Value) {
        let mut data = json!({"token": world.token(), "intents": INTENTS, "properties": {}});
        for (key, value) in more.as_object().expect("an object") {
            data[key] = value.clone();
        }
        self.send(json!({"op": 2, "d": data})).await;
    }

    async fn resume(&mut self, world: &World, session: &Value, seq: u64) {
        let data = json!({"token": world.token(), "session_id": session, "seq": seq});
        self.send(json!({"op": 6, "d": data})).await;
    }

    async fn hear(&mut self) -> Heard {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        match message.expect("something in time") {
            Some(Ok(Message::Text(text))) => {
                Heard::Frame(serde_json::from_str(&text).expect("JSON"))
            }
            Some(Ok(Message::Close(close))) => {
                Heard::Close(close.map_or(1005, |one| one.code.into()))
            }
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => Heard::Gone,
        }
    }

    async fn frame(&mut self) -> Value {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            other => panic!("heard {other:?}"),
        }
    }

    /// The next dispatch of this name.
    async fn dispatch(&mut self, name: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["t"] == name {
                return frame;
            }
        }
    }

    async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.expect("closed");
        while self.hear().await != Heard::Gone {}
    }
}

async fn world() -> World {
    World::start().await.without_limits().await
}

/// The close code of a connection that sent `frame` first.
async fn closed_after(world: &World, frame: Value) -> Heard {
    let mut client = Client::greeted(world).await;
    client.send(frame).await;
    client.hear().await
}

#[tokio::test]
async fn frames_name_type_and_sequence_before_their_data() {
    let world = world().await;
    let mut client = Client::greeted(&world).await;
    client.identify(&world, json!({})).await;
    let Some(Ok(Message::Text(text))) = client.socket.next().await else { panic!("no READY") };
    assert!(text.starts_with(r#"{"t":"READY","s":1,"op":0,"d":{"#), "{text}");
    let ready: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ready["d"]["guilds"], json!([{"id": world.guild(), "unavailable": true}]));
    let guild = client.dispatch("GUILD_CREATE").await;
    assert_eq!((&guild["s"], &guild["d"]["unavailable"]), (&json!(2), &json!(false)));
    // Without the presences intent only the bot is among the members.
    assert_eq!(guild["d"]["members"].as_array().unwrap().len(), 1);
    assert_eq!(guild["d"]["member_count"], 4);
}

#[tokio::test]
async fn wrong_beginnings_are_closed_with_their_codes() {
    let world = world().await;
    let identify = |data: Value| {
        let mut whole = json!({"token": world.token(), "intents": INTENTS, "properties": {}});
        for (key, value) in data.as_object().unwrap() {
            whole[key] = value.clone();
        }
        json!({"op": 2, "d": whole})
    };
    for (frame, code) in [
        (json!({"op": 99}), 4001),
        (json!({"no": "op"}), 4002),
        (json!([1]), 4002),
        (json!({"op": 1, "d": "x".repeat(5000)}), 4002),
        (json!({"op": 3, "d": {}}), 4003),
        (identify(json!({"token": "wrong"})), 4004),
        (identify(json!({"shard": [1, 1]})), 4010),
        (identify(json!({"intents": 1_u64 << 40})), 4013),
        (json!({"op": 6, "d": {"token": "wrong", "session_id": "x", "seq": 1}}), 4004),
    ] {
        assert_eq!(closed_after(&world, frame.clone()).await, Heard::Close(code), "{frame}");
    }
    let mut client = Client::connect(&world, "/?v=3&encoding=json").await;
    assert_eq!(client.hear().await, Heard::Close(4012));
    world.control("POST", "gateway/config", json!({"content_intent_allowed": false})).await;
    assert_eq!(closed_after(&world, identify(json!({}))).await, Heard::Close(4014));
    world
        .control(
            "POST",
            "gateway/config",
            json!({"content_intent_allowed": true, "sharding_required": true}),
        )
        .await;
    assert_eq!(closed_after(&world, identify(json!({}))).await, Heard::Close(4011));
    let (mut client, _) = {
        world.control("POST", "gateway/config", json!({"sharding_required": false})).await;
        Client::ready(&world).await
    };
    client.dispatch("GUILD_CREATE").await;
    client.identify(&world, json!({})).await;
    assert_eq!(client.hear().await, Heard::Close(4005));
    world.control("POST", "gateway/config", json!({"accept_then_close": 4002})).await;
    let mut client = Client::connect(&world, "/").await;
    assert_eq!(client.hear().await, Heard::Close(4002));
    world.control("POST", "gateway/config", json!({"accept_then_close": null})).await;
    Client::greeted(&world).await;
}

#[tokio::test]
async fn invalid_utf8_and_too_many_frames_end_a_connection() {
    let world = world().await;
    let mut client = Client::greeted(&world).await;
    client.socket.send(Message::binary(vec![0xff, 0xfe])).await.unwrap();
    assert_eq!(client.hear().await, Heard::Close(4002));
    let mut client = Client::greeted(&world).await;
    for _ in 0..121 {
        client.send(json!({"op": 1, "d": null})).await;
    }
    let mut acks = 0;
    let end = loop {
        match client.hear().await {
            Heard::Frame(frame) if frame["op"] == 11 => acks += 1,
            other => break other,
        }
    };
    assert_eq!((acks, end), (120, Heard::Close(4008)));
}

#[tokio::test]
async fn identifies_are_counted_and_paced() {
    let world = World::start().await;
    world
        .control(
            "POST",
            "gateway/config",
            json!({"identify_total": 9, "identify_remaining": 2, "reset_after_ms": 60_000}),
        )
        .await;
    let (first, _) = Client::ready(&world).await;
    let mut second = Client::greeted(&world).await;
    second.identify(&world, json!({})).await;
    assert_eq!(second.frame().await, json!({"t": null, "s": null, "op": 9, "d": false}));
    let answer = world.api_ok("GET", "/gateway/bot", Value::Null).await;
    let limit = &answer["session_start_limit"];
    assert_eq!(
        (&limit["total"], &limit["remaining"], &limit["max_concurrency"]),
        (&json!(9), &json!(1), &json!(1))
    );
    assert!(limit["reset_after"].as_u64().unwrap() <= 60_000);
    world.control("POST", "gateway/config", json!({"identify_interval_ms": 0})).await;
    second.identify(&world, json!({})).await;
    second.dispatch("READY").await;
    let mut third = Client::greeted(&world).await;
    third.identify(&world, json!({})).await;
    assert_eq!(third.frame().await["op"], 9);
    world.control("POST", "gateway/config", json!({"identify_resets_token": true})).await;
    third.identify(&world, json!({})).await;
    assert_eq!(third.hear().await, Heard::Close(4004));
    assert_eq!(world.api("GET", "/users/@me", Value::Null).await.0, 401);
    world.control("POST", "gateway/config", json!({"token_valid": true})).await;
    world.api_ok("GET", "/users/@me", Value::Null).await;
    drop(first);
}

#[tokio::test]
async fn a_dropped_session_is_told_again_what_it_missed() {
    let world = world().await;
    let (mut client, ready) = Client::ready(&world).await;
    let guild = client.dispatch("GUILD_CREATE").await;
    let seq = guild["s"].as_u64().unwrap();
    world.say("hana", world.channel(0), "一").await;
    assert_eq!(client.dispatch("MESSAGE_CREATE").await["d"]["content"], "一");
    world.control("POST", "gateway/drop", json!({"how": "abort"})).await;
    assert_eq!(client.hear().await, Heard::Gone);
    world.say("hana", world.channel(0), "二").await;
    let url = ready["resume_gateway_url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&format!("ws://{}", world.running.address())).unwrap().to_owned();
    let mut client = Client::connect(&world, &format!("{path}?v=10&encoding=json")).await;
    client.frame().await;
    client.resume(&world, &ready["session_id"], seq).await;
    let told: Vec<Value> =
        [client.frame().await, client.frame().await, client.frame().await].into();
    let contents: Vec<&Value> = told.iter().map(|frame| &frame["d"]["content"]).collect();
    assert_eq!(contents, [&json!("一"), &json!("二"), &Value::Null]);
    assert_eq!(told[2]["t"], "RESUMED");
    let seqs: Vec<u64> = told.iter().map(|frame| frame["s"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [seq + 1, seq + 2, seq + 3]);
    let replayed = world.ledger("dispatch").await;
    let replayed = replayed.iter().filter(|entry| entry["replayed"] == true).count();
    assert_eq!(replayed, 2);
    assert_eq!(client_seq_ahead(&world, &ready).await, Heard::Close(4007));
}

async fn client_seq_ahead(world: &World, ready: &Value) -> Heard {
    let mut client = Client::greeted(world).await;
    client.resume(world, &ready["session_id"], 10_000).await;
    client.hear().await
}

#[tokio::test]
async fn a_goodbye_ends_the_session_and_4000_keeps_it() {
    let world = world().await;
    for (code, kept) in [(4000, true), (1000, false), (1001, false)] {
        let (mut client, ready) = Client::ready(&world).await;
        client.dispatch("GUILD_CREATE").await;
        client.close(code).await;
        let mut client = Client::greeted(&world).await;
        client.resume(&world, &ready["session_id"], 2).await;
        let answer = client.frame().await;
        let (op, t) = if kept { (0, json!("RESUMED")) } else { (9, Value::Null) };
        assert_eq!((&answer["op"], &answer["t"]), (&json!(op), &t), "after {code}");
    }
}

#[tokio::test]
async fn sessions_end_with_their_window_or_when_forgotten() {
    let world = world().await;
    for config in [json!({"forget_sessions": true}), json!({"resume_window_ms": 0})] {
        let (mut client, ready) = Client::ready(&world).await;
        client.dispatch("GUILD_CREATE").await;
        client.close(4000).await;
        world.control("POST", "gateway/config", config).await;
        eventually("the session is over", async || {
            let mut client = Client::greeted(&world).await;
            client.resume(&world, &ready["session_id"], 2).await;
            let answer = client.frame().await;
            (answer == json!({"t": null, "s": null, "op": 9, "d": false})).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn control_can_end_connections_in_every_way() {
    let world = world().await;
    let (mut client, _) = Client::ready(&world).await;
    client.dispatch("GUILD_CREATE").await;
    world.control("POST", "gateway/drop", json!({"how": "reconnect"})).await;
    assert_eq!(client.frame().await["op"], 7);
    world
        .control("POST", "gateway/drop", json!({"how": "invalid_session", "resumable": true}))
        .await;
    assert_eq!(client.frame().await, json!({"t": null, "s": null, "op": 9, "d": true}));
    world.control("POST", "gateway/drop", json!({"how": "close", "code": 4006})).await;
    assert_eq!(client.hear().await, Heard::Close(4006));
    let (status, _) = world.try_control("POST", "gateway/drop", json!({"how": "gently"})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn after_an_invalid_session_the_same_connection_may_identify_again() {
    let world = world().await;
    let (mut client, ready) = Client::ready(&world).await;
    client.dispatch("GUILD_CREATE").await;
    world.control("POST", "gateway/drop", json!({"how": "invalid_session"})).await;
    assert_eq!(client.frame().await, json!({"t": null, "s": null, "op": 9, "d": false}));
    world.say("hana", world.channel(0), "聞こえない").await;
    client.identify(&world, json!({})).await;
    let again = client.frame().await;
    assert_eq!(again["t"], "READY");
    assert_ne!(again["d"]["session_id"], ready["session_id"]);
}

#[tokio::test]
async fn a_forgotten_session_goes_on_and_cannot_be_resumed() {
    let world = world().await;
    let (mut client, ready) = Client::ready(&world).await;
    client.dispatch("GUILD_CREATE").await;
    world.control("POST", "gateway/config", json!({"forget_sessions": true})).await;
    world.say("hana", world.channel(0), "まだ聞こえる").await;
    assert_eq!(client.frame().await["t"], "MESSAGE_CREATE");
    client.close(4000).await;
    let mut client = Client::greeted(&world).await;
    client.resume(&world, &ready["session_id"], 3).await;
    assert_eq!(client.frame().await["op"], 9);
}

#[tokio::test]
async fn heartbeats_are_answered_withheld_and_missed() {
    let world = world().await;
    world.control("POST", "gateway/config", json!({"heartbeat_interval_ms": 1000})).await;
    let mut client = Client::connect(&world, "/").await;
    assert_eq!(client.frame().await["d"]["heartbeat_interval"], 1000);
    client.identify(&world, json!({})).await;
    client.dispatch("GUILD_CREATE").await;
    client.send(json!({"op": 1, "d": 2})).await;
    assert_eq!(client.frame().await["op"], 11);
    world.control("POST", "gateway/config", json!({"withhold_heartbeat_acks": true})).await;
    client.send(json!({"op": 1, "d": 2})).await;
    // Nothing answers, and without another heartbeat the session times out.
    assert_eq!(client.hear().await, Heard::Close(4009));
}

#[tokio::test]
async fn gateway_faults_break_the_connection_around_a_frame() {
    let world = world().await;
    let fault = json!({"target": "gateway", "route": "/gateway/identify", "kind": "drop_before"});
    world.control("POST", "faults", fault).await;
    let mut client = Client::greeted(&world).await;
    client.identify(&world, json!({})).await;
    assert_eq!(client.hear().await, Heard::Gone);
    Client::ready(&world).await;
}

#[tokio::test]
async fn duplicates_strange_dispatches_and_raw_text_can_be_sent() {
    let world = world().await;
    let (mut client, _) = Client::ready(&world).await;
    client.dispatch("GUILD_CREATE").await;
    world.control("POST", "gateway/duplicate_next", json!({"count": 1})).await;
    world.say("hana", world.channel(0), "二度").await;
    let first = client.frame().await;
    assert_eq!(client.frame().await, first);
    world.say("hana", world.channel(0), "一度").await;
    assert_eq!(client.frame().await["d"]["content"], "一度");
    let strange = json!({"t": "NEVER_HEARD_OF", "d": {"x": 1}});
    world.control("POST", "gateway/dispatch", strange).await;
    assert_eq!(client.frame().await["t"], "NEVER_HEARD_OF");
    world.control("POST", "gateway/send", json!({"raw": "{\"op\":0,"})).await;
    let Some(Ok(Message::Text(text))) = client.socket.next().await else { panic!("no text") };
    assert_eq!(text.as_str(), "{\"op\":0,");
}

#[tokio::test]
async fn a_nonce_stands_in_the_first_dispatch_and_in_no_other() {
    let world = world().await;
    let (mut client, _) = Client::ready(&world).await;
    client.dispatch("GUILD_CREATE").await;
    let path = format!("/channels/{}/messages", world.channel(0));
    let sent = world.api_ok("POST", &path, json!({"content": "一", "nonce": 42})).await;
    assert_eq!(client.dispatch("MESSAGE_CREATE").await["d"]["nonce"], 42);
    let one = format!("{path}/{}", sent["id"].as_str().unwrap());
    world.api_ok("PATCH", &one, json!({"content": "二"})).await;
    let update = client.dispatch("MESSAGE_UPDATE").await;
    assert_eq!((&update["d"]["content"], update["d"].get("nonce")), (&json!("二"), None));
}

#[tokio::test]
async fn intents_decide_what_is_heard() {
    let world = world().await;
    let mut client = Client::greeted(&world).await;
    client.identify(&world, json!({"intents": 1 << 9})).await;
    client.dispatch("READY").await;
    let channel = world.channel(0);
    world
        .control(
            "POST",
            &format!("channels/{channel}/typing"),
            json!({"author_id": world.user("hana")}),
        )
        .await;
    let said = world.say("hana", channel, "ひみつ").await;
    let said = said["id"].as_str().unwrap();
    let reaction = json!({"author_id": world.user("sora"), "emoji": "👍"});
    world.control("POST", &format!("channels/{channel}/messages/{said}/reactions"), reaction).await;
    world.control("DELETE", &format!("channels/{channel}/messages/{said}"), json!({})).await;
    // No guild, no typing, no reaction; and the words are withheld.
    let create = client.frame().await;
    assert_eq!((&create["t"], &create["d"]["content"]), (&json!("MESSAGE_CREATE"), &json!("")));
    assert_eq!(create["d"]["member"]["roles"], json!([]));
    assert_eq!(client.frame().await["t"], "MESSAGE_DELETE");
}

#[tokio::test]
async fn shards_hear_of_their_own_guilds() {
    let world = world().await;
    let guild: u64 = world.guild().parse().unwrap();
    let own = (guild >> 22) % 2;
    let mut deaf = Client::greeted(&world).await;
    deaf.identify(&world, json!({"shard": [1 - own, 2]})).await;
    assert_eq!(deaf.frame().await["d"]["guilds"], json!([]));
    let mut client = Client::greeted(&world).await;
    client.identify(&world, json!({"shard": [own, 2]})).await;
    client.dispatch("GUILD_CREATE").await;
    world.say("hana", world.channel(0), "こちら").await;
    client.dispatch("MESSAGE_CREATE").await;
    let hana = world.user("hana");
    let dm = world.control("POST", "dms", json!({"user_id": hana})).await;
    let path = format!("channels/{}/messages", dm["id"].as_str().unwrap());
    world.control("POST", &path, json!({"author_id": hana, "content": "x"})).await;
    let told = world.ledger("dispatch").await;
    assert!(
        told.iter().all(|entry| entry["t"] != "MESSAGE_CREATE" || entry["d"]["content"] != "x")
    );
}

#[tokio::test]
async fn members_are_listed_in_chunks() {
    let world = world().await;
    let mut client = Client::greeted(&world).await;
    client.identify(&world, json!({"intents": 3})).await;
    client.dispatch("GUILD_CREATE").await;
    let ask = json!({"guild_id": world.guild(), "query": "", "limit": 0, "nonce": "n"});
    client.send(json!({"op": 8, "d": ask})).await;
    let chunk = client.dispatch("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(chunk["d"]["members"].as_array().unwrap().len(), 4);
    assert_eq!((&chunk["d"]["chunk_count"], &chunk["d"]["nonce"]), (&json!(1), &json!("n")));
    let ask = json!({"guild_id": world.guild(), "user_ids": [world.user("sora")]});
    client.send(json!({"op": 8, "d": ask})).await;
    let chunk = client.dispatch("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(chunk["d"]["members"][0]["user"]["username"], "sora");
}

#[tokio::test]
async fn zlib_and_zstd_streams_carry_the_same_frames() {
    let world = world().await;
    let mut zlib = Client::connect(&world, "/?v=10&encoding=json&compress=zlib-stream").await;
    let mut inflate = flate2::write::ZlibDecoder::new(Vec::new());
    let mut zstd =
        Client::connect(&world, "/gateway?v=10&encoding=json&compress=zstd-stream").await;
    let mut expand = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
    for round in 0..2 {
        let Some(Ok(Message::Binary(bytes))) = zlib.socket.next().await else { panic!("no zlib") };
        assert!(bytes.ends_with(&[0, 0, 0xff, 0xff]));
        inflate.write_all(&bytes).unwrap();
        inflate.flush().unwrap();
        let Some(Ok(Message::Binary(bytes))) = zstd.socket.next().await else { panic!("no zstd") };
        expand.write_all(&bytes).unwrap();
        expand.flush().unwrap();
        let one: Value = serde_json::from_slice(&std::mem::take(inflate.get_mut())).unwrap();
        let two: Value = serde_json::from_slice(&std::mem::take(expand.get_mut())).unwrap();
        let op = if round == 0 { 10 } else { 0 };
        assert_eq!((&one["op"], &two["op"]), (&json!(op), &json!(op)));
        if round == 0 {
            zlib.identify(&world, json!({})).await;
            zstd.identify(&world, json!({})).await;
        }
    }
}
