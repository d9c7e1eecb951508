//! What the kernel keeps about a process: the processor time it used and the memory it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;

use crate::figures::wide;

const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// User and system time of a process since it began, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The name in brackets may hold anything; fields are counted from behind it.
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = |index: usize| {
        rest.split(' ')
            .nth(index)
            .and_then(|field| field.parse::<u64>().ok())
            .with_context(|| path.clone())
    };
    let used = ticks(11)? + ticks(12)?;
    Ok(wide(used) / wide(rustix::param::clock_ticks_per_second()))
}

/// Processor time of the calling thread, in seconds.
pub(crate) fn thread_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    wide(time.tv_sec.cast_unsigned()) + wide(time.tv_nsec.cast_unsigned()) / 1e9
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .with_context(|| format!("find VmRSS in {path}"))?;
    Ok(kib * 1024)
}

/// Watches the memory of some processes, alone and together, until it is asked for the maxima.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    peaks: Arc<[AtomicU64]>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(pids: Vec<u32>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        // One for each, and the last one for all together.
        let peaks: Arc<[AtomicU64]> = (0..=pids.len()).map(|_| AtomicU64::new(0)).collect();
        let (flag, kept) = (Arc::clone(&stop), Arc::clone(&peaks));
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                let mut sum = 0;
                for (pid, peak) in pids.iter().zip(kept.iter()) {
                    // A process that is gone holds nothing.
                    let bytes = resident_bytes(*pid).unwrap_or_default();
                    peak.fetch_max(bytes, Ordering::Relaxed);
                    sum += bytes;
                }
                kept[pids.len()].fetch_max(sum, Ordering::Relaxed);
                std::thread::sleep(SAMPLE_EVERY);
            }
        });
        Self { stop, peaks, thread }
    }

    /// The most that each process held, and behind them the most that all held at one time.
    pub(crate) fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        // The thread only reads files; if it panicked the peaks so far still hold.
        drop(self.thread.join());
        self.peaks.iter().map(|peak| peak.load(Ordering::Relaxed)).collect()
    }
}
