//! Health: what each part of a service says of itself, and the probes that ask.

mod check;
mod report;
mod routes;
mod server;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use check::{Check, Outcome};
pub use routes::{Mounted, router};
pub use server::serve;

use crate::lifecycle::ServiceInfo;
use check::{Entry, Slot};

/// The check that stands for all others until one is declared.
const STARTING: &str = "start";

/// The registry of a service's checks; clones share it.
///
/// ```
/// use chassis::{Health, Outcome};
///
/// let health = Health::new(chassis::service!());
/// health.headline("database", "connected", "disconnected");
/// let database = health.check("database");
/// assert!(!health.is_healthy());
/// database.ok();
/// assert!(health.is_healthy());
/// health.computed("disk", || Outcome::degraded("86 % full", "delete old backups"));
/// assert!(health.is_healthy());
/// ```
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    service: ServiceInfo,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    headlines: Vec<Headline>,
    figures: Vec<Figure>,
    starting: bool,
    draining: bool,
}

/// A number shown beside a check's outcome.
#[derive(Clone)]
struct Figure {
    check: String,
    name: String,
    compute: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// A check shown as a field of its own at the top of `/health`.
#[derive(Clone)]
struct Headline {
    name: String,
    good: String,
    bad: String,
}

impl Health {
    /// An empty registry, which is healthy.
    pub fn new(service: ServiceInfo) -> Self {
        Self { inner: Arc::new(Inner { service, state: Mutex::default() }) }
    }

    /// A registry that is unhealthy until its first check is declared, since until then nobody may
    /// take the absence of checks for health.
    pub(crate) fn starting(service: ServiceInfo) -> Self {
        let health = Self::new(service);
        health.lock().starting = true;
        health
    }

    /// Ends the start of a service that has no check to declare.
    pub fn started(&self) {
        self.lock().starting = false;
    }

    /// The service this registry speaks for.
    pub fn service(&self) -> ServiceInfo {
        self.inner.service
    }

    /// Adds the check `name`, failing as "starting" until it is set; asking again for a name gives
    /// the same check.
    pub fn check(&self, name: &str) -> Check {
        let mut state = self.lock();
        let known = state.entries.iter().find(|entry| entry.name == name);
        let slot = known.and_then(|entry| entry.slot.clone()).unwrap_or_else(|| {
            let slot = Slot::default();
            state.replace(Entry::settable(name, Arc::clone(&slot)));
            slot
        });
        Check::new(name, slot)
    }

    /// Adds a check that is worked out whenever it is asked for, e.g. from the age of the last sign
    /// of life. The closure must be quick: it runs inside the request.
    pub fn computed(&self, name: &str, compute: impl Fn() -> Outcome + Send + Sync + 'static) {
        self.lock().replace(Entry::computed(name, Arc::new(compute)));
    }

    /// Adds what was known before the service began, and leaves the start as unfinished as it is.
    pub(crate) fn remark(&self, name: &str, outcome: Outcome) {
        let entry = Entry::computed(name, Arc::new(move || outcome.clone()));
        self.lock().entries.push(entry);
    }

    /// Shows the check `name` as a top-level field of `/health` too: `good` while it does not fail,
    /// else `bad`. Fields stand in the order in which they were declared; one without its check counts
    /// as a check that is still starting.
    pub fn headline(&self, name: &str, good: &str, bad: &str) {
        let headline = Headline { name: name.into(), good: good.into(), bad: bad.into() };
        let mut state = self.lock();
        state.headlines.retain(|known| known.name != name);
        state.headlines.push(headline);
    }

    /// Shows a number beside the check's outcome, e.g. how many rows a database holds. Like that of a
    /// computed check, the closure must be quick.
    pub fn figure(
        &self,
        check: &str,
        name: &str,
        compute: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let figure = Figure { check: check.into(), name: name.into(), compute: Arc::new(compute) };
        let mut state = self.lock();
        state.figures.retain(|known| (&known.check, &known.name) != (&figure.check, &figure.name));
        state.figures.push(figure);
    }

    /// Removes the check `name` and its headline, as for a part that is no longer used.
    pub fn remove(&self, name: &str) {
        let mut state = self.lock();
        state.entries.retain(|entry| entry.name != name);
        state.headlines.retain(|headline| headline.name != name);
    }

    /// From now on the service is not ready, because it is stopping; its health is unaffected.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Whether no check fails. A degraded part still does its work.
    pub fn is_healthy(&self) -> bool {
        self.report().is_healthy()
    }

    /// Whether the service takes work: healthy and not draining.
    pub fn is_ready(&self) -> bool {
        self.report().is_ready()
    }

    /// The checks now, each with its outcome, in the order in which they were added.
    pub fn outcomes(&self) -> Vec<(String, Outcome)> {
        self.report().into_outcomes()
    }

    fn report(&self) -> report::Report {
        let (mut entries, headlines, figures, draining) = {
            let state = self.lock();
            let starting = state.starting.then(|| Entry::settable(STARTING, Slot::default()));
            let entries: Vec<Entry> = starting.into_iter().chain(state.entries.clone()).collect();
            (entries, state.headlines.clone(), state.figures.clone(), state.draining)
        };
        // A headline that is promised but has no check yet is a part that is still starting.
        for headline in &headlines {
            if entries.iter().all(|entry| entry.name != headline.name) {
                entries.push(Entry::settable(&headline.name, Slot::default()));
            }
        }
        // Closures run outside the lock, so that one may look at the registry itself.
        report::Report::new(self.inner.service, &entries, headlines, draining).with(&figures)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn replace(&mut self, entry: Entry) {
        self.starting = false;
        match self.entries.iter_mut().find(|known| known.name == entry.name) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Health").field("outcomes", &self.outcomes()).finish()
    }
}
