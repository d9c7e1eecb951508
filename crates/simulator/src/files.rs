//! The stand-in for Discord's CDN: attachments, served back as they came.

use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::state::State;
use crate::world::entity::Attachment;
use crate::world::id::Id;

/// The chat page lives on the same address: what people attach must never run beside it.
const SANDBOX: &str = "sandbox; default-src 'none'";

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
        Some(file) => {
            let disposition = disposition(&file.content_type);
            let headers = [
                (header::CONTENT_DISPOSITION, disposition.to_owned()),
                (header::CONTENT_TYPE, file.content_type),
                (header::CONTENT_SECURITY_POLICY, SANDBOX.to_owned()),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            ];
            (headers, file.bytes).into_response()
        }
        None => (StatusCode::NOT_FOUND, "This content is no longer available.").into_response(),
    }
}

/// What only shows may be shown in the page; anything else is downloaded.
fn disposition(content_type: &str) -> &'static str {
    let is_picture = content_type.starts_with("image/") && !content_type.contains("svg");
    let is_shown = is_picture
        || ["audio/", "video/", "text/plain"].iter().any(|kind| content_type.starts_with(kind));
    if is_shown { "inline" } else { "attachment" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_is_downloaded() {
        for shown in ["image/png", "video/mp4", "audio/ogg", "text/plain; charset=utf-8"] {
            assert_eq!(disposition(shown), "inline");
        }
        for kept_away in ["text/html", "image/svg+xml", "application/pdf", ""] {
            assert_eq!(disposition(kept_away), "attachment");
        }
    }
}
