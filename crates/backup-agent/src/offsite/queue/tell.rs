//! What a queue tells about itself: its standing, its log, and how long it waits after a fault.

use std::time::Duration;

use jiff::Timestamp;
use objects::{Fault, FaultKind};

use super::{Queue, Task};
use crate::offsite::standing::{Lag, Trouble};

impl Queue {
    pub(super) fn tell_bytes(&self) {
        let all = self.listed.values().flat_map(|listed| listed.objects.values());
        let bytes = all.map(|object| object.size).sum();
        self.standing.send_modify(|standing| standing.bytes_there = bytes);
    }

    pub(super) fn tell_lag(&self, tasks: &[Task]) {
        let recovery = || tasks.iter().flat_map(|task| &task.work.recovery);
        let since = tasks.iter().filter_map(|task| task.behind.since_ms).min();
        let lag = Lag {
            since: since.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            bytes: recovery().map(|entry| entry.bytes).sum(),
            files: recovery().count(),
            history_files: tasks.iter().map(|task| task.work.history.len()).sum(),
        };
        self.standing.send_modify(|standing| standing.lag = Some(lag));
    }

    pub(super) fn recovered(&mut self) {
        self.pressed = false;
        // Not by borrowing it first: who sends while it is borrowed waits for himself.
        let was_faulty = self.standing.send_if_modified(|standing| standing.fault.take().is_some());
        if was_faulty {
            tracing::info!(target.name = self.target.name(), "a target is reached again");
        }
    }

    /// Notes a fault. What was listed is believed no longer: somebody may have cleared up there.
    pub(super) fn met(&mut self, fault: &Fault) {
        self.listed.clear();
        self.pressed = fault.kind == FaultKind::NoRoom;
        let known = self.standing.borrow().fault.as_ref().map(|known| known.class);
        if known != Some(fault.kind.as_str()) {
            tracing::warn!(target.name = self.target.name(), "failed to {fault}");
        }
        self.standing.send_modify(|standing| {
            Trouble::meet(&mut standing.fault, fault.kind, fault.to_string(), Timestamp::now());
        });
    }

    /// Soon what may pass by itself, later what waits for a person.
    pub(super) fn wait_after(&self, kind: FaultKind, failures: u32) -> Duration {
        let least = if kind.may_pass() { self.limits.wait_min } else { self.limits.wait_min * 4 };
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        least.saturating_mul(doubled).min(self.limits.wait_max)
    }

    pub(super) fn local(
        &self,
        doing: &'static str,
        path: &str,
        error: &dyn std::fmt::Display,
    ) -> Fault {
        Fault {
            target: self.target.name().to_owned(),
            doing,
            path: path.to_owned(),
            kind: FaultKind::Local,
            detail: error.to_string(),
        }
    }
}
