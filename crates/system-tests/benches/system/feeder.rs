//! A Discord gateway that does one thing fast: it sends frames that were compressed beforehand.
//!
//! The simulator makes every frame as it goes, which on a small machine would take the processor
//! from those who are measured.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::routing::any;
use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use crate::pace::now_us;

/// Frames written before the socket is flushed.
const FLUSH_EVERY: usize = 32;

/// What the feeder says of itself at login.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) bot: String,
    pub(crate) guild: String,
    /// The data of `GUILD_CREATE`.
    pub(crate) guild_data: String,
}

/// Frames to be sent, and how fast.
struct Order {
    /// Type and data of each dispatch.
    dispatches: Vec<(&'static str, String)>,
    /// No frame is sent while this many are not yet counted in `settled`.
    window: u64,
    settled: Arc<AtomicU64>,
    /// Told when the frames stand ready; sending begins when the other end says so.
    prepared: oneshot::Sender<oneshot::Sender<()>>,
    /// Told the time of the first and of the last frame.
    sent: oneshot::Sender<(u64, u64)>,
}

struct Shared {
    login: Login,
    address: String,
    current: watch::Sender<Option<mpsc::Sender<Order>>>,
}

/// The running feeder.
pub(crate) struct Feeder {
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Frames that stand ready.
pub(crate) struct Prepared {
    go: oneshot::Sender<()>,
    sent: oneshot::Receiver<(u64, u64)>,
}

impl Feeder {
    pub(crate) async fn start(login: Login) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("ws://{}", listener.local_addr()?);
        let shared = Arc::new(Shared { login, address, current: watch::Sender::new(None) });
        let router = axum::Router::new().fallback(any(upgrade)).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { shared, server })
    }

    pub(crate) fn url(&self) -> &str {
        &self.shared.address
    }

    /// Waits for a login, then compresses these dispatches for that connection.
    pub(crate) async fn prepare(
        &self,
        dispatches: Vec<(&'static str, String)>,
        (window, settled): (u64, Arc<AtomicU64>),
    ) -> anyhow::Result<Prepared> {
        let mut current = self.shared.current.subscribe();
        let logged_in = tokio::time::timeout(
            Duration::from_secs(30),
            current.wait_for(|sender| sender.as_ref().is_some_and(|sender| !sender.is_closed())),
        );
        let sender = logged_in.await.context("nobody logs in")??.clone().context("a session")?;
        let (prepared, ready) = oneshot::channel();
        let (tell_sent, sent) = oneshot::channel();
        let order = Order { dispatches, window, settled, prepared, sent: tell_sent };
        sender.send(order).await.ok().context("the connection is gone")?;
        Ok(Prepared { go: ready.await.context("the connection is gone")?, sent })
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Prepared {
    /// Sends the frames and returns the time of the first and of the last, in microseconds.
    pub(crate) async fn go(self) -> anyhow::Result<(u64, u64)> {
        self.go.send(()).ok().context("the connection is gone")?;
        self.sent.await.context("the connection broke while frames were sent")
    }
}

async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    let compressed = query.get("compress").is_some_and(|name| name == "zstd-stream");
    upgrade.on_upgrade(move |socket| async move {
        // How a connection ends tells whoever waits on its channels.
        drop(serve(&shared, socket, compressed).await);
    })
}

/// One connection: how frames leave, and their count.
struct Wire {
    encoder: Option<zstd::stream::write::Encoder<'static, Vec<u8>>>,
    sequence: u64,
}

impl Wire {
    fn encode(&mut self, frame: String) -> anyhow::Result<Message> {
        use std::io::Write as _;
        let Some(encoder) = &mut self.encoder else { return Ok(Message::Text(frame.into())) };
        encoder.write_all(frame.as_bytes())?;
        encoder.flush()?;
        Ok(Message::Binary(Bytes::from(std::mem::take(encoder.get_mut()))))
    }

    fn dispatch(&mut self, kind: &str, data: &str) -> anyhow::Result<Message> {
        self.sequence += 1;
        let sequence = self.sequence;
        self.encode(format!(r#"{{"t":"{kind}","s":{sequence},"op":0,"d":{data}}}"#))
    }
}

async fn serve(shared: &Shared, mut socket: WebSocket, compressed: bool) -> anyhow::Result<()> {
    let encoder = compressed.then(|| zstd::stream::write::Encoder::new(Vec::new(), 1));
    let mut wire = Wire { encoder: encoder.transpose()?, sequence: 0 };
    let hello = json!({"t": null, "s": null, "op": 10, "d": {"heartbeat_interval": 41_250}});
    socket.send(wire.encode(hello.to_string())?).await?;
    let (sender, mut orders) = mpsc::channel(1);
    loop {
        tokio::select! {
            frame = socket.next() => {
                let frame = frame.context("the client went away")??;
                answer(shared, &mut socket, &mut wire, (&frame, &sender)).await?;
            }
            Some(order) = orders.recv() => feed(&mut socket, &mut wire, order).await?,
        }
    }
}

/// Answers what a client says. Heartbeats are answered in plain text, which clients accept beside
/// a compressed stream, so that frames compressed beforehand stay good.
async fn answer(
    shared: &Shared,
    socket: &mut WebSocket,
    wire: &mut Wire,
    (frame, sender): (&Message, &mpsc::Sender<Order>),
) -> anyhow::Result<()> {
    let Message::Text(text) = frame else { return Ok(()) };
    let frame: Value = serde_json::from_str(text)?;
    match frame["op"].as_u64() {
        Some(1) => {
            let acknowledged = json!({"t": null, "s": null, "op": 11, "d": null});
            socket.send(Message::Text(acknowledged.to_string().into())).await?;
        }
        Some(2) => {
            let ready = ready(shared).to_string();
            socket.send(wire.dispatch("READY", &ready)?).await?;
            let guild = wire.dispatch("GUILD_CREATE", &shared.login.guild_data)?;
            socket.send(guild).await?;
            shared.current.send_replace(Some(sender.clone()));
        }
        Some(6) => {
            wire.sequence = frame["d"]["seq"].as_u64().unwrap_or_default();
            socket.send(wire.dispatch("RESUMED", r#"{"_trace":[]}"#)?).await?;
            shared.current.send_replace(Some(sender.clone()));
        }
        _ => {}
    }
    Ok(())
}

fn ready(shared: &Shared) -> Value {
    let login = &shared.login;
    json!({
        "v": 10,
        "user_settings": {},
        "user": {
            "id": login.bot, "username": "kotonoha", "discriminator": "0001", "avatar": null,
            "bot": true, "verified": true, "email": null, "flags": 0, "mfa_enabled": true,
            "global_name": null,
        },
        "session_id": "0123456789abcdef0123456789abcdef",
        "session_type": "normal",
        "resume_gateway_url": shared.address,
        "private_channels": [],
        "relationships": [],
        "presences": [],
        "guilds": [{"id": login.guild, "unavailable": true}],
        "application": {"id": login.bot, "flags": 565_248},
        "shard": [0, 1],
        "_trace": [],
    })
}

async fn feed(socket: &mut WebSocket, wire: &mut Wire, order: Order) -> anyhow::Result<()> {
    let frames = order
        .dispatches
        .iter()
        .map(|(kind, data)| wire.dispatch(kind, data))
        .collect::<anyhow::Result<Vec<Message>>>()?;
    let (go, begun) = oneshot::channel();
    order.prepared.send(go).ok().context("nobody waits any more")?;
    begun.await?;
    let first_us = now_us();
    let mut sent = 0;
    for frame in frames {
        socket.feed(frame).await?;
        sent += 1;
        if !usize::try_from(sent)?.is_multiple_of(FLUSH_EVERY) {
            continue;
        }
        socket.flush().await?;
        while sent - order.settled.load(Ordering::Relaxed).min(sent) >= order.window {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // What the client says meanwhile is read, so that neither side waits for the other.
        while let Some(Some(heard)) = socket.next().now_or_never() {
            if let Message::Text(text) = heard?
                && text.contains(r#""op":1,"#)
            {
                let acknowledged = json!({"t": null, "s": null, "op": 11, "d": null});
                socket.send(Message::Text(acknowledged.to_string().into())).await?;
            }
        }
    }
    socket.flush().await?;
    order.sent.send((first_us, now_us())).ok().context("the run was given up")
}
