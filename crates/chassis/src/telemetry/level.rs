//! The level of the log, which can be changed while the process runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::{self, Handle};

use crate::settings::{LogConfig, LogLevel, Reader, Source};

/// How often the settings file is looked at; a look reads its date, not the file.
const LOOK_EVERY: Duration = Duration::from_secs(2);

type Replace = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// Changes what is logged, at once and for the whole process; clones change the same log.
#[derive(Clone)]
pub struct LevelSwitch {
    replace: Arc<Replace>,
    fatal_only: Arc<AtomicBool>,
}

impl LevelSwitch {
    /// From now on this is logged.
    pub fn set(&self, level: &LogLevel) {
        // A level can only be made from directives that the filter takes.
        let filter = EnvFilter::try_new(level.directives()).unwrap_or_default();
        match (self.replace)(filter) {
            Ok(()) => self.fatal_only.store(level.fatal_only(), Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the log's level cannot be changed any more"),
        }
    }

    pub(super) fn fatal_only(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.fatal_only)
    }

    /// Follows `LOG_LEVEL` in the settings file `path` until `shutdown`; what stands in the
    /// environment wins there as ever, and a file that is wrong changes nothing.
    pub(crate) async fn follow(self, path: PathBuf, now: LogLevel, shutdown: CancellationToken) {
        let mut current = now;
        // What was saved since the start read it must not be missed.
        let mut seen = None;
        let mut interval = tokio::time::interval(LOOK_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(interval.tick()).await.is_some() {
            let stamp = stamp(&path);
            if stamp == seen {
                continue;
            }
            seen = stamp;
            match wanted() {
                Ok(level) if level != current => {
                    // Said at whichever of the two levels lets it through.
                    tracing::info!(log.level = %level, "the log's level changes");
                    self.set(&level);
                    tracing::info!(log.level = %level, "the log's level has changed");
                    current = level;
                }
                Ok(_) => {}
                Err(problem) => {
                    tracing::warn!(problem, "LOG_LEVEL stays as it is");
                }
            }
        }
    }
}

impl fmt::Debug for LevelSwitch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LevelSwitch").finish_non_exhaustive()
    }
}

/// A filter and the switch that changes it.
pub(super) fn switched<S: Subscriber>(
    level: &LogLevel,
) -> (reload::Layer<EnvFilter, S>, LevelSwitch) {
    let filter = EnvFilter::try_new(level.directives()).unwrap_or_default();
    let (filter, handle) = reload::Layer::new(filter);
    let handle: Handle<EnvFilter, S> = handle;
    let replace = move |filter| handle.reload(filter);
    let fatal_only = Arc::new(AtomicBool::new(level.fatal_only()));
    (filter, LevelSwitch { replace: Arc::new(replace), fatal_only })
}

/// What tells one state of a file from another.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The level that settings and environment give now.
fn wanted() -> Result<LogLevel, String> {
    let mut reader = Reader::new(Source::from_environment());
    let level = LogConfig::read_level(&mut reader);
    match reader.faults() {
        faults if faults.is_empty() => Ok(level),
        faults => Err(faults.one_line()),
    }
}
