//! The model side's shared state: script, persona, limits and records.

use std::sync::{Arc, Mutex, PoisonError};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::models::limits::Limits;
use crate::models::persona::Persona;
use crate::models::record::Records;
use crate::models::script::Script;
use crate::state::State;

/// Keeps the model side's draws apart from other draws of the same seed.
const SEED_OF_MODELS: u64 = 0x6d6f_6465_6c73;

/// What an answer is decided with, behind one short lock.
pub(super) struct Desk {
    pub(super) script: Script,
    pub(super) persona: Persona,
    pub(super) limits: Limits,
    pub(super) random: StdRng,
}

/// A cheap handle on the model side.
#[derive(Clone)]
pub(super) struct Models {
    inner: Arc<Inner>,
}

struct Inner {
    state: State,
    desk: Mutex<Desk>,
    records: Records,
}

impl Models {
    /// The model side of one simulator, its draws seeded by it.
    pub(super) fn new(state: State) -> Self {
        let mut random = StdRng::seed_from_u64(state.seed() ^ SEED_OF_MODELS);
        let persona = Persona::new(StdRng::from_rng(&mut random));
        let script = Script::default();
        let desk = Mutex::new(Desk { script, persona, limits: Limits::default(), random });
        Self { inner: Arc::new(Inner { state, desk, records: Records::default() }) }
    }

    /// The simulator.
    pub(super) fn state(&self) -> &State {
        &self.inner.state
    }

    /// The requests that came.
    pub(super) fn records(&self) -> &Records {
        &self.inner.records
    }

    /// Does something with the desk to oneself; it must not wait.
    pub(super) fn with_desk<T>(&self, action: impl FnOnce(&mut Desk) -> T) -> T {
        action(&mut self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
