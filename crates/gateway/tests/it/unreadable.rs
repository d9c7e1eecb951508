//! A frame that can never be read does not keep the gateway from those that follow it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use chassis::OnFault;
use serde_json::{Value, json};

use crate::world::{World, eventually};

/// A gateway whose second dispatch is not UTF-8, however often it is replayed.
#[derive(Clone, Default)]
struct Discord {
    address: Arc<Mutex<String>>,
    resumed_from: Arc<Mutex<Vec<u64>>>,
    identifies: Arc<AtomicU64>,
    mention: Arc<Mutex<Value>>,
}

struct Wire {
    socket: WebSocket,
    encoder: zstd::stream::raw::Encoder<'static>,
}

impl Wire {
    async fn send(&mut self, text: &[u8]) {
        use zstd::stream::raw::{InBuffer, Operation as _, OutBuffer};
        let mut bytes = vec![0; text.len() + 1_024];
        let mut output = OutBuffer::around(&mut bytes[..]);
        let mut input = InBuffer::around(text);
        self.encoder.run(&mut input, &mut output).expect("compressed");
        self.encoder.flush(&mut output).expect("flushed");
        let length = output.pos();
        bytes.truncate(length);
        drop(self.socket.send(Message::Binary(bytes.into())).await);
    }
}

impl Discord {
    async fn serve(self, socket: WebSocket) {
        let encoder = zstd::stream::raw::Encoder::new(3).expect("an encoder");
        let mut wire = Wire { socket, encoder };
        wire.send(br#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}"#).await;
        while let Some(Ok(message)) = wire.socket.recv().await {
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).expect("JSON");
            let from = match frame["op"].as_u64() {
                Some(2) => {
                    self.identifies.fetch_add(1, Ordering::SeqCst);
                    wire.send(self.ready().to_string().as_bytes()).await;
                    1
                }
                Some(6) => {
                    let from = frame["d"]["seq"].as_u64().expect("a sequence");
                    self.resumed_from.lock().expect("a lock").push(from);
                    from
                }
                _ => continue,
            };
            if from < 2 {
                let mut bad = br#"{"t":"MESSAGE_CREATE","s":2,"op":0,"d":{"content":""#.to_vec();
                bad.extend([0xff, 0xfe]);
                wire.send(&bad).await;
            }
            let good = self.mention.lock().expect("a lock").to_string();
            wire.send(good.as_bytes()).await;
            wire.send(br#"{"t":"RESUMED","s":4,"op":0,"d":{}}"#).await;
        }
    }

    fn ready(&self) -> Value {
        let url = self.address.lock().expect("a lock").clone();
        // The order matters: readers scan for t, s and op before d.
        serde_json::from_str(&format!(
            r#"{{"t":"READY","s":1,"op":0,"d":{{"v":10,"user":{{"id":"99"}},"session_id":"abc","resume_gateway_url":"{url}","guilds":[]}}}}"#
        ))
        .expect("JSON")
    }
}

#[tokio::test]
async fn a_frame_that_is_not_utf_8_is_skipped_after_a_few_tries_and_those_after_it_arrive() {
    let world = World::new().await;
    let discord = Discord::default();
    *discord.mention.lock().unwrap() = json!({"t": "MESSAGE_CREATE", "s": 3, "op": 0, "d": {
        "id": "77", "channel_id": world.channel.to_string(), "channel_type": 0,
        "guild_id": world.guild.to_string(), "author": {"id": "7"},
        "mentions": [{"id": "99"}], "content": "after it",
    }});
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    discord.address.lock().unwrap().clone_from(&url);
    let serving = discord.clone();
    let router = Router::new().route(
        "/",
        get(move |upgrade: WebSocketUpgrade| {
            let serving = serving.clone();
            async move { upgrade.on_upgrade(move |socket| serving.serve(socket)) }
        }),
    );
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut config = world.config();
    config.gateway_url = Some(url.parse().unwrap());
    let gateway = world.gateway_with(config, OnFault::Stay);
    world.events().await.until("after it").await;
    eventually("it is in session", async || gateway.is_healthy("discord")).await;
    let resumed_from = discord.resumed_from.lock().unwrap().clone();
    assert_eq!(resumed_from, [1, 1, 2], "it was asked for again, then passed over");
    assert_eq!(discord.identifies.load(Ordering::SeqCst), 1);
    let mut dead = world.consume(contracts::stream::DEAD_LETTERS.name).await;
    assert_eq!(dead.next().await.unwrap().subject, "dead.gateway.undecodable");
    server.abort();
}
