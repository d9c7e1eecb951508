//! The control API: how people and tests drive the world and read what happened.

mod gateway;
mod gesture;
mod ledger;
mod speak;
mod world;

use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::state::State;

pub(crate) use crate::control::world::snapshot;

/// The largest request: a message with files, as base64.
const REQUEST_BYTES_MAX: usize = 40 * 1024 * 1024;

/// Routes under `/control`.
pub(crate) fn router(state: State) -> Router {
    Router::new()
        .route("/control/world", get(world::read))
        .route("/control/users", post(world::create_user))
        .route("/control/guilds", post(world::create_guild))
        .route("/control/guilds/{guild}/channels", post(world::create_channel))
        .route("/control/guilds/{guild}/members", post(world::add_member))
        .route("/control/guilds/{guild}/members/{user}", delete(world::remove_member))
        .route("/control/guilds/{guild}/channels/{channel}/deny", put(world::deny))
        .route("/control/dms", post(world::open_direct))
        .route("/control/channels/{channel}/messages", get(speak::list).post(speak::send))
        .route(
            "/control/channels/{channel}/messages/{message}",
            patch(speak::edit).delete(speak::delete),
        )
        .route(
            "/control/channels/{channel}/messages/{message}/reactions",
            post(gesture::react).delete(gesture::unreact),
        )
        .route("/control/channels/{channel}/typing", post(gesture::typing))
        .route("/control/channels/{channel}/threads", post(gesture::open_thread))
        .route("/control/channels/{channel}/thread", patch(gesture::edit_thread))
        .route("/control/gateway/drop", post(gateway::drop_connections))
        .route("/control/gateway/config", get(gateway::read).post(gateway::configure))
        .route("/control/gateway/send", post(gateway::send))
        .route("/control/gateway/dispatch", post(gateway::dispatch))
        .route("/control/gateway/duplicate_next", post(gateway::duplicate_next))
        .route(
            "/control/faults",
            get(ledger::faults).post(ledger::add_fault).delete(ledger::clear_faults),
        )
        .route("/control/limits", get(ledger::limits).post(ledger::set_limits))
        .route("/control/ledger", get(ledger::read).delete(ledger::clear))
        .route("/control/events", get(ledger::events))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(state)
}

/// A refusal that says what to do.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    hint: String,
}

impl Refusal {
    fn not_found(hint: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, hint: hint.into() }
    }

    fn bad(hint: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, hint: hint.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.hint}))).into_response()
    }
}

/// What a control handler gives back.
pub(crate) type Outcome = Result<Json<Value>, Refusal>;

/// A JSON body whose faults are told as refusals.
pub(crate) struct Input<T>(T);

impl<T: DeserializeOwned> FromRequest<State> for Input<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &State) -> Result<Self, Refusal> {
        let bytes = axum::body::Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| Refusal {
            status: rejection.status(),
            hint: format!("send a smaller body: {rejection}"),
        })?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| Refusal::bad(format!("correct the JSON body: {error}")))
    }
}
