//! Faults, limits, the ledger and the stream of events.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{Query, State as Shared};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_stream::wrappers::BroadcastStream;

use crate::control::world::note;
use crate::control::{Input, Outcome, Refusal};
use crate::faults::Fault;
use crate::limits::Pace;
use crate::state::{Core, State};

pub(crate) async fn faults(Shared(state): Shared<State>) -> Json<Value> {
    Json(json!({"faults": state.faults().list()}))
}

pub(crate) async fn add_fault(Shared(state): Shared<State>, Input(fault): Input<Fault>) -> Outcome {
    fault.check().map_err(Refusal::bad)?;
    let answer = json!(fault);
    state.faults().add(fault);
    note(&state, "add_fault", Some(&answer));
    Ok(Json(answer))
}

pub(crate) async fn clear_faults(Shared(state): Shared<State>) -> Json<Value> {
    state.faults().clear();
    note(&state, "clear_faults", None);
    Json(json!({"faults": []}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    channel_creates: Option<Pace>,
    channel_edits: Option<Pace>,
    other: Option<Pace>,
    global_per_second: Option<u64>,
    invalid_max: Option<usize>,
    active_threads_max: Option<usize>,
    enabled: Option<bool>,
    nonce_window_ms: Option<u64>,
    #[serde(default)]
    reset: bool,
}

pub(crate) async fn set_limits(
    Shared(state): Shared<State>,
    Input(settings): Input<Settings>,
) -> Outcome {
    let answer = state.with(|core| {
        let config = &mut core.limits.config;
        config.channel_creates = settings.channel_creates.unwrap_or(config.channel_creates);
        config.channel_edits = settings.channel_edits.unwrap_or(config.channel_edits);
        config.other = settings.other.unwrap_or(config.other);
        config.global_per_second = settings.global_per_second.unwrap_or(config.global_per_second);
        config.invalid_max = settings.invalid_max.unwrap_or(config.invalid_max);
        config.active_threads_max =
            settings.active_threads_max.unwrap_or(config.active_threads_max);
        config.enabled = settings.enabled.unwrap_or(config.enabled);
        core.nonces.window_ms = settings.nonce_window_ms.unwrap_or(core.nonces.window_ms);
        if settings.reset {
            core.limits.reset();
        }
        described(core)
    });
    note(&state, "limits", Some(&answer));
    Ok(Json(answer))
}

pub(crate) async fn limits(Shared(state): Shared<State>) -> Json<Value> {
    Json(state.with(|core| described(core)))
}

fn described(core: &Core) -> Value {
    let mut data = json!(core.limits.config);
    data["nonce_window_ms"] = json!(core.nonces.window_ms);
    data["invalid_requests"] = json!(core.limits.invalid());
    data
}

#[derive(Deserialize)]
pub(crate) struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    kind: Option<String>,
}

pub(crate) async fn read(Shared(state): Shared<State>, Query(page): Query<Page>) -> Response {
    let limit = page.limit.unwrap_or(1000);
    let text = state.ledger().read(page.after, limit, page.kind.as_deref());
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

pub(crate) async fn clear(Shared(state): Shared<State>) -> Json<Value> {
    state.ledger().clear();
    Json(json!({"entries": []}))
}

pub(crate) async fn events(
    Shared(state): Shared<State>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(state.events().subscribe()).map(|event| {
        Ok(match event {
            Ok(text) => Event::default().data(&*text),
            // Whoever fell behind must read the world anew.
            Err(_lagged) => Event::default().data(r#"{"type":"resync"}"#),
        })
    });
    let shutdown = state.shutdown().clone();
    let events = events.take_until(shutdown.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::default())
}
