//! The model providers' wires.

use axum::Router;

use crate::state::State;

/// Routes under `/model` and `/control/model`.
pub fn router(state: State) -> Router {
    Router::new().with_state(state)
}
