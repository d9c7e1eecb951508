//! A job is one heavy piece of the agent's work; never do two run at once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the agent does by the clock, or when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Everything anew: a full copy of each database, a snapshot of each folder; then what is
    /// older than it has to be is let go.
    Full,
    /// What changed since the last full copy, in one file.
    Differential,
    /// Every page of every database held against what was copied.
    Audit,
    /// A real restore, looked at as a person would look at it.
    Verification,
}

impl Job {
    /// Every job. Where several are due at once they run in this order: without a full copy the
    /// others have little to stand on.
    pub const ALL: [Self; 4] = [Self::Full, Self::Differential, Self::Audit, Self::Verification];

    /// Its word in commands, records and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Differential => "differential",
            Self::Audit => "audit",
            Self::Verification => "verification",
        }
    }

    /// Its name among the heartbeats of all services.
    pub fn heartbeat(self) -> String {
        format!("backup-{}", self.word())
    }
}

impl fmt::Display for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl FromStr for Job {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|job| job.word() == text).ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            format!("{text} is no job; there are {words}")
        })
    }
}
