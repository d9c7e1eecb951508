//! How a target stands, as plain data for health, metrics and people.

use std::time::Duration;

use jiff::Timestamp;
use objects::FaultKind;
use serde::Serialize;

/// How far a target lies behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// When the oldest write was seen that cannot be brought back from there; nothing where all can.
    pub since: Option<Timestamp>,
    /// How many bytes lead to the newest recovery point and are not there, as they lie here.
    pub bytes: u64,
    /// How many files these are.
    pub files: usize,
    /// How many files of older history are not there yet.
    pub history_files: usize,
}

impl Lag {
    /// How old that write is by now; zero where there is none, or a clock was set back.
    pub fn age(&self, now: Timestamp) -> Duration {
        let age = self.since.map(|since| now.duration_since(since));
        age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default()
    }
}

/// How a target stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The target's name.
    pub target: String,
    /// When all that was here was last found to be there; nothing before the first time.
    pub complete: Option<Timestamp>,
    /// How far it lay behind when it was last looked at; nothing before the first time.
    pub lag: Option<Lag>,
    /// How many bytes lie there.
    pub bytes_there: u64,
    /// How many files have been sent since the agent began.
    pub sent_files: u64,
    /// Their bytes, as they went over.
    pub sent_bytes: u64,
    /// How many files there were removed since the agent began.
    pub removed_files: u64,
    /// How many files had another size there than they were sent with, when last listed.
    pub misfits: usize,
    /// What stands in the way now.
    pub fault: Option<Trouble>,
    /// Why what was forgotten here cannot be removed there, where it cannot.
    pub removal_fault: Option<Trouble>,
}

/// A fault that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Its class in one word: `unreachable`, `refused`, `no_room`, and so on.
    pub class: &'static str,
    /// What it says.
    pub text: String,
    /// When it began.
    pub since: Timestamp,
    /// How often in a row it was met.
    pub times: u32,
}

impl Standing {
    /// The standing of a target that has not been looked at.
    pub(super) fn of(target: &str) -> Self {
        Self { target: target.to_owned(), ..Self::default() }
    }
}

impl Trouble {
    /// Meets a fault again or for the first time.
    pub(super) fn meet(slot: &mut Option<Self>, kind: FaultKind, text: String, now: Timestamp) {
        let (since, times) = slot.as_ref().map_or((now, 0), |before| (before.since, before.times));
        *slot = Some(Self { class: kind.as_str(), text, since, times: times.saturating_add(1) });
    }
}
