//! The one handle that every edge of the simulator shares.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::events::Events;
use crate::faults::Faults;
use crate::ledger::Ledger;

/// A cheap handle on the whole simulator; clones share everything.
#[derive(Clone)]
pub struct State {
    inner: Arc<Inner>,
}

struct Inner {
    address: SocketAddr,
    seed: u64,
    ledger: Ledger,
    faults: Faults,
    events: Events,
    shutdown: CancellationToken,
}

impl State {
    pub(crate) fn new(config: &Config, address: SocketAddr) -> Self {
        Self {
            inner: Arc::new(Inner {
                address,
                seed: config.seed,
                ledger: Ledger::new(config.ledger_entries_max),
                faults: Faults::default(),
                events: Events::default(),
                shutdown: CancellationToken::new(),
            }),
        }
    }

    /// The address the simulator listens on.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// The seed everything random is drawn from.
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// The record of everything that crossed the wire.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The faults that wait to strike.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// The stream of changes for the page and tests.
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    /// Cancelled when the simulator stops; long answers must end then.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.inner.shutdown
    }
}
