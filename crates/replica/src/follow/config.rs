//! What is followed, into what, and how closely.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::disk::Disk;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that tells what `now` says.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Clock")
    }
}

/// What is followed, into what, and how closely.
#[derive(Debug, Clone)]
pub struct FollowConfig {
    /// The live database.
    pub database: PathBuf,
    /// The folder of its timelines.
    pub history: PathBuf,
    /// Who we are, for whoever finds the history in use.
    pub holder: String,
    /// Our release, for the manifest.
    pub agent: String,
    /// How often the log is looked at.
    pub poll: Duration,
    /// From this length in bytes on the log is let be started over.
    pub seal_bytes: u64,
    /// After this time it is, where anything was written.
    pub seal_after: Duration,
    /// From this length on it is let go although it was not shipped, so as not to fill the disk of
    /// the database; a gap is repaired later.
    pub log_bytes_max: u64,
    /// The way to the disk.
    pub disk: Disk,
    /// The time.
    pub clock: Clock,
}

impl FollowConfig {
    /// The usual way to follow `database` into `history`.
    pub fn new(database: PathBuf, history: PathBuf) -> Self {
        Self {
            database,
            history,
            holder: "backup-agent".to_owned(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            poll: Duration::from_millis(200),
            seal_bytes: 4 << 20,
            seal_after: Duration::from_mins(1),
            log_bytes_max: 1 << 30,
            disk: Disk::default(),
            clock: Clock::default(),
        }
    }
}
