//! The stand-in for Discord's CDN: attachments, served back as they came.

use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::state::State;
use crate::world::entity::Attachment;
use crate::world::id::Id;

/// Routes under `/attachments`.
pub(crate) fn router(state: State) -> Router {
    Router::new().route("/attachments/{channel}/{attachment}/{name}", get(serve)).with_state(state)
}

async fn serve(
    Shared(state): Shared<State>,
    Path((channel_id, id, name)): Path<(Id, Id, String)>,
) -> Response {
    let found: Option<Attachment> = state.with(|core| {
        let channel = core.world.channels.get(&channel_id)?;
        let mut all = channel.messages.values().flat_map(|message| &message.attachments);
        all.find(|one| one.id == id && one.filename == name).cloned()
    });
    match found {
        Some(file) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "This content is no longer available.").into_response(),
    }
}
