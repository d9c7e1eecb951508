//! The model providers' wires.
//!
//! One scripted model answers on every wire. What it says comes from rules and a queue
//! (`POST /control/model/script`) or, when nothing is scripted, from a gentle demo persona.
//! Every chat request is recorded with its times: while it runs under `/control/model/requests`,
//! and as one entry of kind `model` in the ledger when it has ended.

mod chat;
mod desk;
mod fail;
mod frames;
mod limits;
mod persona;
mod playback;
mod record;
mod request;
mod routes;
pub mod script;
mod wire;
mod words;

use axum::Router;

use crate::state::State;

/// Routes under `/model` and `/control/model`.
pub fn router(state: State) -> Router {
    routes::router(state)
}
