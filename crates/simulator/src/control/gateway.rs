//! Dropping connections, changing limits of sessions, sending what Discord never sends.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::control::world::note;
use crate::control::{Input, Outcome, Refusal};
use crate::gateway::DropKind;
use crate::state::{Core, State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drop {
    how: String,
    code: Option<u16>,
    resumable: Option<bool>,
}

pub(crate) async fn drop_connections(
    Shared(state): Shared<State>,
    Input(drop): Input<Drop>,
) -> Outcome {
    let code = drop.code.unwrap_or(4000);
    let (kind, keeps) = match drop.how.as_str() {
        "abort" => (DropKind::Abort, true),
        "close" => (DropKind::Close(code), !matches!(code, 1000 | 1001)),
        "reconnect" => (DropKind::Reconnect, true),
        "invalid_session" => (DropKind::InvalidSession, false),
        _ => return Err(Refusal::bad("use how: abort, close, reconnect or invalid_session")),
    };
    let resumable = drop.resumable.unwrap_or(keeps);
    let told = state.with(|core| core.gateway.drop_all(kind, resumable));
    let answer = json!({"connections": told, "resumable": resumable});
    note(
        &state,
        "gateway_drop",
        Some(&json!({"how": drop.how, "code": drop.code, "resumable": resumable})),
    );
    Ok(Json(answer))
}

/// What becomes of new connections: absent changes nothing, null lets them in again.
#[derive(Default)]
enum OnAccept {
    #[default]
    Unchanged,
    Serve,
    Close(u16),
}

impl<'de> Deserialize<'de> for OnAccept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Serve, Self::Close))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    identify_remaining: Option<u64>,
    identify_total: Option<u64>,
    identify_interval_ms: Option<u64>,
    identify_resets_token: Option<bool>,
    reset_after_ms: Option<u64>,
    max_concurrency: Option<u64>,
    heartbeat_interval_ms: Option<u64>,
    resume_window_ms: Option<u64>,
    shards: Option<u64>,
    sharding_required: Option<bool>,
    forget_sessions: Option<bool>,
    #[serde(default)]
    accept_then_close: OnAccept,
    content_intent_allowed: Option<bool>,
    member_intents_allowed: Option<bool>,
    withhold_heartbeat_acks: Option<bool>,
    token_valid: Option<bool>,
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl Settings {
    fn apply(self, core: &mut Core) {
        let now_ms = core.world.now_ms;
        let identify = &mut core.gateway.identify;
        set(&mut identify.total, self.identify_total);
        set(&mut identify.remaining, self.identify_remaining);
        set(&mut identify.interval_ms, self.identify_interval_ms);
        set(&mut identify.resets_token, self.identify_resets_token);
        set(&mut identify.max_concurrency, self.max_concurrency.map(|count| count.max(1)));
        if let Some(reset_after_ms) = self.reset_after_ms {
            identify.reset_in(reset_after_ms, now_ms);
        }
        let config = &mut core.gateway.config;
        set(&mut config.heartbeat_interval_ms, self.heartbeat_interval_ms);
        set(&mut config.resume_window_ms, self.resume_window_ms);
        set(&mut config.shards, self.shards);
        set(&mut config.sharding_required, self.sharding_required);
        match self.accept_then_close {
            OnAccept::Unchanged => {}
            OnAccept::Serve => config.accept_then_close = None,
            OnAccept::Close(number) => config.accept_then_close = Some(number),
        }
        set(&mut config.content_intent_allowed, self.content_intent_allowed);
        set(&mut config.member_intents_allowed, self.member_intents_allowed);
        set(&mut config.withhold_heartbeat_acks, self.withhold_heartbeat_acks);
        set(&mut core.token_valid, self.token_valid);
        if self.forget_sessions == Some(true) {
            core.gateway.forget();
        }
    }
}

pub(crate) async fn configure(
    Shared(state): Shared<State>,
    Input(settings): Input<Settings>,
) -> Outcome {
    let answer = state.with(|core| {
        settings.apply(core);
        described(core)
    });
    note(&state, "gateway_config", Some(&answer));
    Ok(Json(answer))
}

pub(crate) async fn read(Shared(state): Shared<State>) -> Json<Value> {
    Json(state.with(described))
}

fn described(core: &mut Core) -> Value {
    let now_ms = core.world.now_ms;
    let limits = core.gateway.identify.session_start_limit(now_ms);
    let config = &core.gateway.config;
    json!({
        "session_start_limit": limits,
        "identify_interval_ms": core.gateway.identify.interval_ms,
        "identify_resets_token": core.gateway.identify.resets_token,
        "heartbeat_interval_ms": config.heartbeat_interval_ms,
        "resume_window_ms": config.resume_window_ms,
        "shards": config.shards,
        "sharding_required": config.sharding_required,
        "accept_then_close": config.accept_then_close,
        "content_intent_allowed": config.content_intent_allowed,
        "member_intents_allowed": config.member_intents_allowed,
        "withhold_heartbeat_acks": config.withhold_heartbeat_acks,
        "token_valid": core.token_valid,
        "sessions": core.gateway.list(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    raw: String,
}

pub(crate) async fn send(Shared(state): Shared<State>, Input(raw): Input<Raw>) -> Outcome {
    let told = state.with(|core| core.gateway.send_raw(&raw.raw));
    note(&state, "gateway_send", Some(&json!({"bytes": raw.raw.len()})));
    Ok(Json(json!({"connections": told})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dispatch {
    t: String,
    #[serde(default)]
    d: Value,
}

pub(crate) async fn dispatch(
    Shared(state): Shared<State>,
    Input(dispatch): Input<Dispatch>,
) -> Outcome {
    let ledger = state.clone();
    state.with(|core| core.gateway.tell_all(&dispatch.t, &dispatch.d, ledger.ledger()));
    note(&state, "gateway_dispatch", Some(&json!({"t": dispatch.t})));
    Ok(Json(json!({"t": dispatch.t})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Duplicate {
    count: u32,
}

pub(crate) async fn duplicate_next(
    Shared(state): Shared<State>,
    Input(duplicate): Input<Duplicate>,
) -> Outcome {
    state.with(|core| core.gateway.duplicate_next = duplicate.count);
    let answer = json!({"count": duplicate.count});
    note(&state, "duplicate_next", Some(&answer));
    Ok(Json(answer))
}
