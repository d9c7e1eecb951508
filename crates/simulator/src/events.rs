//! The stream of changes that the chat page and tests watch.
//!
//! Every event is an object with `type`, `guild_id` and `channel_id` (both nullable), and:
//! `message_create`, `message_update`: `message`; `message_delete`: `message_ids`; `typing`:
//! `user_id`; `reaction`: `message_id`, `user_id`, `emoji`, `added`; `thread_*`, `channel_*`:
//! `channel`; all others (lower-case dispatch names): `data`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::broadcast;

/// How many events a slow watcher may fall behind before it misses some.
const BACKLOG: usize = 4096;

/// A broadcast of changes, each a JSON object with a `type`.
pub struct Events {
    sender: broadcast::Sender<Arc<str>>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0 }
    }
}

impl Events {
    /// Whether anybody watches, so that events nobody hears need not be made.
    pub fn is_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Tells every watcher; `detail` must be a JSON object, and gains the key `type`.
    pub fn send(&self, kind: &str, mut detail: Value) {
        detail["type"] = json!(kind);
        // Nobody may be listening any more, which is no fault of the sender.
        drop(self.sender.send(detail.to_string().into()));
    }

    /// A watcher of everything that is sent from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<str>> {
        self.sender.subscribe()
    }
}
