//! One websocket: frames in, frames out, until somebody ends it.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Query, Request};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::Instant;

use crate::faults::{FaultKind, Target};
use crate::gateway::codec::Codec;
use crate::gateway::request::{Caller, Reply};
use crate::gateway::session::Out;
use crate::gateway::{close, op};
use crate::ledger::Kind;
use crate::state::State;

/// The longest frame a client may send.
const FRAME_BYTES_MAX: usize = 4096;
/// How many frames a client may send in [`FRAMES_PER`].
const FRAMES_MAX: usize = 120;
const FRAMES_PER: Duration = Duration::from_mins(1);
/// How long a client may take to answer a close.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Takes a websocket upgrade over to the gateway.
pub(crate) async fn accept(state: State, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let path = parts.uri.to_string();
    let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri);
    let query = query.map(|query| query.0).unwrap_or_default();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => {
            upgrade.on_upgrade(move |socket| serve(state, socket, path, query)).into_response()
        }
        Err(rejection) => rejection.into_response(),
    }
}

async fn serve(state: State, socket: WebSocket, path: String, query: HashMap<String, String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (id, accept_then_close) =
        state.with(|core| (core.gateway.connect(sender), core.gateway.config.accept_then_close));
    state.ledger().push(Kind::GatewayOpen, &json!({"connection": id, "path": path}));
    let codec = Codec::named(query.get("compress").map(String::as_str));
    let refused = refusal(accept_then_close, &query, matches!(codec, Ok(Some(_))));
    let codec = codec.ok().flatten().unwrap_or(Codec::Plain);
    let mut connection = Connection {
        state: state.clone(),
        socket,
        codec,
        id,
        session: None,
        frames: VecDeque::new(),
        last_heartbeat: Instant::now(),
    };
    let end = match refused {
        Some((code, reason)) => connection.close(code, reason).await,
        None => connection.run(receiver).await,
    };
    let goodbye = matches!(end, End::Client(Some(1000 | 1001)));
    state.with(|core| core.gateway.disconnect(id, goodbye, core.world.now_ms));
    let (by, code) = match end {
        End::Client(code) => ("client", code),
        End::Server(code) => ("server", code),
    };
    let entry = json!({"connection": id, "session": connection.session, "by": by, "code": code});
    state.ledger().push(Kind::GatewayClose, &entry);
}

/// Why a connection is closed before it begins.
fn refusal(
    accept_then_close: Option<u16>,
    query: &HashMap<String, String>,
    codec_known: bool,
) -> Option<(u16, &'static str)> {
    if let Some(code) = accept_then_close {
        return Some((code, "closed by the control API"));
    }
    let version = query.get("v").map_or("10", String::as_str);
    if !matches!(version, "8" | "9" | "10") {
        return Some((close::INVALID_API_VERSION, "Invalid API version."));
    }
    let encoding = query.get("encoding").map_or("json", String::as_str);
    if encoding != "json" || !codec_known {
        return Some((close::DECODE_ERROR, "This simulator speaks JSON, plain, zlib and zstd."));
    }
    None
}

/// Who ended a connection, and with which code; none when it broke.
enum End {
    Client(Option<u16>),
    Server(Option<u16>),
}

struct Connection {
    state: State,
    socket: WebSocket,
    codec: Codec,
    id: u64,
    session: Option<String>,
    frames: VecDeque<Instant>,
    last_heartbeat: Instant,
}

impl Connection {
    async fn run(&mut self, mut receiver: UnboundedReceiver<Out>) -> End {
        let interval_ms = self.state.with(|core| core.gateway.config.heartbeat_interval_ms);
        let hello = json!({"heartbeat_interval": interval_ms, "_trace": ["[\"simulator\"]"]});
        if let Err(end) = self.send_frame(op::HELLO, &hello).await {
            return end;
        }
        // Discord allows a late heartbeat some slack before it gives the client up.
        let patience = Duration::from_millis(interval_ms + interval_ms / 2);
        let shutdown = self.state.shutdown().clone();
        loop {
            let deadline = self.last_heartbeat + patience;
            let step = tokio::select! {
                frame = self.socket.recv() => self.receive(frame).await,
                out = receiver.recv() => match out {
                    Some(out) => self.obey(out).await,
                    None => Err(End::Server(None)),
                },
                () = tokio::time::sleep_until(deadline) => self.time_out().await,
                () = shutdown.cancelled() => Err(End::Server(None)),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn time_out(&mut self) -> Result<(), End> {
        if let Some(session) = &self.session {
            self.state.with(|core| core.gateway.end(session));
        }
        Err(self.close(close::SESSION_TIMED_OUT, "Session timed out.").await)
    }

    async fn obey(&mut self, out: Out) -> Result<(), End> {
        match out {
            Out::Dispatch { seq, name, data } => {
                let data = data.get();
                self.send_text(format!(r#"{{"t":"{name}","s":{seq},"op":0,"d":{data}}}"#)).await
            }
            Out::Raw(text) => self.send_text(text).await,
            Out::Close(code, reason) => Err(self.close(code, reason).await),
            Out::Abort => Err(End::Server(None)),
        }
    }

    async fn receive(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => Cow::Owned(text.to_string()),
            Some(Ok(Message::Binary(bytes))) => match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Cow::Owned(text),
                Err(_) => Cow::Borrowed(""),
            },
            Some(Ok(Message::Close(close))) => {
                // Reading on lets the websocket answer the close before the connection ends.
                self.drain().await;
                return Err(End::Client(close.map(|close| close.code).or(Some(1005))));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Err(_)) | None => return Err(End::Client(None)),
        };
        if self.is_too_fast() {
            return Err(self.close(close::RATE_LIMITED, "You are being rate limited.").await);
        }
        let frame = serde_json::from_str::<Value>(&text).ok().filter(Value::is_object);
        let Some(frame) = frame.filter(|_| text.len() <= FRAME_BYTES_MAX) else {
            return Err(self.close(close::DECODE_ERROR, "Error while decoding payload.").await);
        };
        self.answer(&frame).await
    }

    fn is_too_fast(&mut self) -> bool {
        let now = Instant::now();
        self.frames.push_back(now);
        while self.frames.front().is_some_and(|first| now - *first > FRAMES_PER) {
            self.frames.pop_front();
        }
        self.frames.len() > FRAMES_MAX
    }

    async fn answer(&mut self, frame: &Value) -> Result<(), End> {
        let operation = frame["op"].as_u64();
        if operation == Some(op::HEARTBEAT) {
            self.last_heartbeat = Instant::now();
        }
        self.record(frame);
        let fault = self.state.faults().take(Target::Gateway, "SEND", fault_path(operation));
        if let Some(delay_ms) = fault.as_ref().and_then(|fault| fault.delay_ms) {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
        let kind = fault.map(|fault| fault.kind);
        if kind == Some(FaultKind::DropBefore) {
            return Err(End::Server(None));
        }
        let ledger = self.state.clone();
        let mut caller =
            Caller { connection: self.id, session: &mut self.session, ledger: ledger.ledger() };
        let reply = ledger.with(|core| core.gateway_frame(&mut caller, frame));
        if kind == Some(FaultKind::DropAfter) {
            return Err(End::Server(None));
        }
        match reply {
            Reply::Nothing => Ok(()),
            Reply::Frame(operation, data) => self.send_frame(operation, &data).await,
            Reply::Close(code, reason) => Err(self.close(code, reason).await),
        }
    }

    fn record(&self, frame: &Value) {
        let mut data = frame["d"].clone();
        if data["token"].is_string() {
            data["token"] = json!("…");
        }
        let entry = json!({
            "connection": self.id,
            "session": self.session,
            "op": frame["op"],
            "d": data,
        });
        self.state.ledger().push(Kind::GatewayIn, &entry);
    }

    async fn send_frame(&mut self, operation: u64, data: &Value) -> Result<(), End> {
        self.send_text(format!(r#"{{"t":null,"s":null,"op":{operation},"d":{data}}}"#)).await
    }

    async fn send_text(&mut self, text: String) -> Result<(), End> {
        let message = self.codec.encode(text).map_err(|error| {
            tracing::error!(%error, "compress a gateway frame");
            End::Server(None)
        })?;
        self.socket.send(message).await.map_err(|_gone| End::Client(None))
    }

    /// Closes, then waits a while for the client's own close, as the protocol asks.
    async fn close(&mut self, code: u16, reason: &'static str) -> End {
        let frame = CloseFrame { code, reason: reason.into() };
        match self.socket.send(Message::Close(Some(frame))).await {
            Ok(()) => self.drain().await,
            Err(error) => tracing::debug!(%error, "client left before the close"),
        }
        End::Server(Some(code))
    }

    /// Reads until the other side is gone, but not for long.
    async fn drain(&mut self) {
        let rest = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        if tokio::time::timeout(CLOSE_GRACE, rest).await.is_err() {
            tracing::debug!("client did not end the connection");
        }
    }
}

/// The path by which faults name a frame.
fn fault_path(operation: Option<u64>) -> &'static str {
    match operation {
        Some(op::HEARTBEAT) => "/gateway/heartbeat",
        Some(op::IDENTIFY) => "/gateway/identify",
        Some(op::RESUME) => "/gateway/resume",
        _ => "/gateway/other",
    }
}
