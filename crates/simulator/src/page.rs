//! The chat page, where a person talks to the bot as any of several users.
//!
//! Plain files, embedded, with a strict content security policy: nothing inline, nothing from
//! elsewhere. They speak to the control API alone.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::state::State;

const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; object-src 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Every file under `/page/`, with its type and content.
const FILES: &[(&str, &str, &str)] = &[
    ("api.js", SCRIPT, include_str!("page/api.js")),
    ("ask.js", SCRIPT, include_str!("page/ask.js")),
    ("chat.css", STYLE, include_str!("page/chat.css")),
    ("composer.js", SCRIPT, include_str!("page/composer.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("drawer.js", SCRIPT, include_str!("page/drawer.js")),
    ("early.js", SCRIPT, include_str!("page/early.js")),
    ("i18n.js", SCRIPT, include_str!("page/i18n.js")),
    ("icons.svg", PICTURE, include_str!("page/icons.svg")),
    ("layout.css", STYLE, include_str!("page/layout.css")),
    ("leaf.svg", PICTURE, include_str!("page/leaf.svg")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("markdown.js", SCRIPT, include_str!("page/markdown.js")),
    ("mentions.js", SCRIPT, include_str!("page/mentions.js")),
    ("message.js", SCRIPT, include_str!("page/message.js")),
    ("pane.js", SCRIPT, include_str!("page/pane.js")),
    ("panels.css", STYLE, include_str!("page/panels.css")),
    ("presence.js", SCRIPT, include_str!("page/presence.js")),
    ("rooms.js", SCRIPT, include_str!("page/rooms.js")),
    ("store.js", SCRIPT, include_str!("page/store.js")),
    ("theme.css", STYLE, include_str!("page/theme.css")),
    ("toast.js", SCRIPT, include_str!("page/toast.js")),
];

/// Routes of the page: `/` and its assets under `/page/`. A websocket upgrade of `/` never
/// arrives here: the gateway takes it first.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page/{name}", get(asset))
        .with_state(state)
}

async fn asset(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, content)) => file(kind, content),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}
