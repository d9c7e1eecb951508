//! What a shard's task tells the rest of the process about itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contracts::status::ShardState;
use tokio::sync::Notify;

use crate::session::policy::Refusal;

/// Where a shard stands now.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The shard's number.
    pub shard: u32,
    /// Where its connection stands.
    pub state: ShardState,
    /// Since when.
    pub since: Instant,
    /// Heartbeat round trip, once measured.
    pub latency: Option<Duration>,
    /// Why Discord refuses the login.
    pub refusal: Option<Refusal>,
    /// Whether the bus takes too little, so that the session is paused.
    pub paused: bool,
    /// Until when the next login must wait, in milliseconds since the Unix epoch.
    pub login_unix_ms: Option<u64>,
}

/// A shard's word on itself; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    inner: Arc<Mutex<Snapshot>>,
    changed: Arc<Notify>,
}

impl Report {
    /// A shard that has not connected yet; `changed` is notified when it does.
    pub(crate) fn new(shard: u32, changed: Arc<Notify>) -> Self {
        let snapshot = Snapshot {
            shard,
            state: ShardState::Connecting,
            since: Instant::now(),
            latency: None,
            refusal: None,
            paused: false,
            login_unix_ms: None,
        };
        Self { inner: Arc::new(Mutex::new(snapshot)), changed }
    }

    /// Where it stands now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    pub(super) fn connected(&self) {
        let mut snapshot = self.lock();
        snapshot.enter(ShardState::Connected);
        snapshot.refusal = None;
        snapshot.paused = false;
        snapshot.login_unix_ms = None;
        self.changed.notify_one();
    }

    pub(super) fn disconnected(&self) {
        let mut snapshot = self.lock();
        if snapshot.state == ShardState::Connected {
            snapshot.enter(ShardState::Disconnected);
        }
        snapshot.latency = None;
    }

    pub(super) fn paused(&self) {
        self.lock().paused = true;
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        let mut snapshot = self.lock();
        snapshot.enter(ShardState::Refused);
        snapshot.refusal = Some(refusal);
        self.changed.notify_one();
    }

    pub(super) fn waits_for_login(&self, unix_ms: Option<u64>) {
        self.lock().login_unix_ms = unix_ms;
    }

    pub(super) fn latency(&self, latency: Option<Duration>) {
        self.lock().latency = latency;
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    fn enter(&mut self, state: ShardState) {
        if self.state != state {
            self.state = state;
            self.since = Instant::now();
        }
    }
}
