//! The chat page.

use axum::Router;
use axum::routing::get;

use crate::state::State;

/// Routes of the page: `/` and its assets under `/page/`. A websocket upgrade of `/` never
/// arrives here: the gateway takes it first.
pub fn router(state: State) -> Router {
    Router::new().route("/", get(|| async { "simulator" })).with_state(state)
}
