//! The generator of load: acts at intended times, whatever became of what it did before.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::figures::{Samples, as_f64};

/// Behind its intended time by more than this at p99, a generator is said to have fallen behind.
pub(crate) const LATE_MS: f64 = 2.0;

/// So many acts, so many in a second; without a rate all at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) count: usize,
    pub(crate) per_second: Option<f64>,
}

impl Pace {
    fn due(self, index: usize) -> Duration {
        self.per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(as_f64(index) / rate))
    }
}

/// Runs `act` for each index at its intended time, on a thread of its own, and returns how late
/// each began, in milliseconds. A late act is not skipped and does not move the later ones.
pub(crate) async fn open_loop(
    pace: Pace,
    mut act: impl FnMut(usize) + Send + 'static,
) -> anyhow::Result<Samples> {
    let run = move || {
        let begin = Instant::now() + Duration::from_millis(20);
        let mut late = Samples::default();
        for index in 0..pace.count {
            let due = begin + pace.due(index);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            late.push(due.elapsed().as_secs_f64() * 1e3);
            act(index);
        }
        late
    };
    Ok(tokio::task::spawn_blocking(run).await?)
}

/// Microseconds since the Unix epoch, as the ledger writes them.
pub(crate) fn now_us() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// From one time to a later one, both in microseconds, in milliseconds.
pub(crate) fn between_ms(from_us: u64, to_us: u64) -> f64 {
    crate::figures::wide(to_us.saturating_sub(from_us)) / 1e3
}
