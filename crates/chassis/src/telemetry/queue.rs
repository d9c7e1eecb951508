//! A queue of log lines with its own writer thread, so that logging never waits for a disk.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What may be queued before lines are dropped: seconds of a busy log, and a bound on memory.
const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Lines on their way to one output. When it cannot keep up, lines are dropped, counted and the
/// loss is told in the log itself.
#[derive(Debug, Clone)]
pub struct LineQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    lost: u64,
    writing: bool,
    closed: bool,
}

impl LineQueue {
    /// Starts a thread that writes to `output`; `report_loss` renders the line that tells of a loss.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        name: &str,
        output: impl Write + Send + 'static,
        report_loss: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Self { shared: Arc::default() };
        let shared = Arc::clone(&queue.shared);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || shared.write_all(output, report_loss))?;
        Ok(queue)
    }

    /// Queues a line, or counts it as lost when there is no room. Never waits for the output.
    pub fn push(&self, line: Vec<u8>) {
        let mut state = self.shared.lock();
        if state.closed || state.bytes + line.len() > QUEUED_BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        drop(state);
        self.shared.filled.notify_one();
    }

    /// Takes no more lines and waits, at most `patience`, until all queued ones are written.
    pub fn close(&self, patience: Duration) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.filled.notify_one();
        let busy = |state: &mut State| state.writing || !state.lines.is_empty() || state.lost > 0;
        // An output that hangs, such as a full pipe, must not keep the process from ending.
        drop(self.shared.written.wait_timeout_while(state, patience, busy));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut output: impl Write, report_loss: impl Fn(u64) -> Vec<u8>) {
        while let Some((mut lines, lost)) = self.next_batch() {
            if lost > 0 {
                lines.push_back(report_loss(lost));
            }
            let unwritten = write_batch(&mut output, &lines);
            let mut state = self.lock();
            state.writing = false;
            if !state.closed {
                state.lost += unwritten;
            }
            drop(state);
            self.written.notify_all();
        }
    }

    /// Everything queued, and how many lines were lost before it; `None` when closed and empty.
    fn next_batch(&self) -> Option<(VecDeque<Vec<u8>>, u64)> {
        let state = self.lock();
        let idle = |state: &mut State| state.lines.is_empty() && state.lost == 0 && !state.closed;
        let mut state = self.filled.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        if state.lines.is_empty() && state.lost == 0 {
            return None;
        }
        state.writing = true;
        state.bytes = 0;
        Some((std::mem::take(&mut state.lines), std::mem::take(&mut state.lost)))
    }
}

/// Writes the lines and gives the number that could not be written.
fn write_batch(output: &mut impl Write, lines: &VecDeque<Vec<u8>>) -> u64 {
    let mut unwritten = 0;
    for line in lines {
        if output.write_all(line).is_err() {
            unwritten += 1;
        }
    }
    if output.flush().is_err() {
        unwritten += 1;
    }
    unwritten
}
