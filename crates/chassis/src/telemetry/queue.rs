//! A queue of log lines with its own writer thread, so that logging never waits for a disk.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What may be queued before lines are dropped: seconds of a busy log, and a bound on memory.
const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How often an output that gets no lines is flushed, so that a file's day ends in silence too.
const IDLE_FLUSH: Duration = Duration::from_hours(1);

/// Lines on their way to one output. What it cannot take is dropped and counted, and the loss is
/// told in the log itself as soon as the output takes lines again.
#[derive(Debug, Clone)]
pub(super) struct LineQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines dropped since the last loss was told.
    lost: u64,
    writing: bool,
    closed: bool,
}

impl LineQueue {
    /// Starts a thread that writes to `output`, called `name` in logs and metrics; `report_loss`
    /// renders the line that tells of a loss.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        name: &'static str,
        output: impl Write + Send + 'static,
        report_loss: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let queue = Self { shared: Arc::clone(&shared) };
        std::thread::Builder::new()
            .name(format!("log-{name}"))
            .spawn(move || shared.write_all(output, report_loss))?;
        Ok(queue)
    }

    /// Queues a line, or counts it as lost when there is no room. Never waits for the output.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        if state.bytes + line.len() > QUEUED_BYTES_MAX {
            state.lost += 1;
            drop(state);
            self.shared.count_lost(1);
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        drop(state);
        self.shared.filled.notify_one();
    }

    /// Takes no more lines and waits, at most `patience`, until all queued ones are written.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.filled.notify_one();
        let busy = |state: &mut State| state.writing || !state.lines.is_empty();
        // An output that hangs, such as a full pipe, must not keep the process from ending.
        drop(self.shared.written.wait_timeout_while(state, patience, busy));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_lost(&self, lines: u64) {
        metrics::counter!("log_lines_lost", "output" => self.name).increment(lines);
    }

    fn write_all(&self, mut output: impl Write, report_loss: impl Fn(u64) -> Vec<u8>) {
        let mut failing = false;
        while let Some((lines, lost)) = self.next_batch() {
            let told = lost == 0 || output.write_all(&report_loss(lost)).is_ok();
            let (unwritten, error) = write_batch(&mut output, &lines);
            self.count_lost(unwritten);
            let mut state = self.lock();
            state.writing = false;
            state.lost += unwritten + if told { 0 } else { lost };
            drop(state);
            self.written.notify_all();
            // Said once a trouble, outside the lock: this very queue is among the readers.
            match (&error, failing) {
                (Some(error), false) => {
                    tracing::error!(%error, "log {} cannot be written, lines are lost", self.name);
                }
                // After an hour of silence nothing was written, which tells nothing.
                (None, true) if !lines.is_empty() => {
                    tracing::info!("log {} can be written again", self.name);
                }
                _ => {}
            }
            failing = error.is_some() || (failing && lines.is_empty());
        }
    }

    /// Everything queued, which is nothing after an hour of silence, and how many lines were lost
    /// before it; `None` when closed and empty.
    fn next_batch(&self) -> Option<(VecDeque<Vec<u8>>, u64)> {
        let state = self.lock();
        // A loss alone wakes nobody: an output that just failed is not asked again without need.
        let idle = |state: &mut State| state.lines.is_empty() && !state.closed;
        let waited = self.filled.wait_timeout_while(state, IDLE_FLUSH, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.lines.is_empty() {
            return (!state.closed).then(|| (VecDeque::new(), 0));
        }
        state.writing = true;
        state.bytes = 0;
        Some((std::mem::take(&mut state.lines), std::mem::take(&mut state.lost)))
    }
}

/// Writes the lines; gives the number that could not be written and the last error.
fn write_batch(output: &mut impl Write, lines: &VecDeque<Vec<u8>>) -> (u64, Option<io::Error>) {
    let mut unwritten = 0;
    let mut failure = None;
    for line in lines {
        if let Err(error) = output.write_all(line) {
            unwritten += 1;
            failure = Some(error);
        }
    }
    if let Err(error) = output.flush() {
        failure = Some(error);
    }
    (unwritten, failure)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An output that waits for leave before each write and can be told to fail.
    struct Gate {
        leave: Receiver<bool>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.leave.recv().unwrap_or(true) {
                self.written.send(String::from_utf8(line.to_vec()).unwrap()).unwrap();
                Ok(line.len())
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (LineQueue, Sender<bool>, Receiver<String>) {
        let (give_leave, leave) = channel();
        let (written, lines) = channel();
        let queue = LineQueue::start("test", Gate { leave, written }, |lost| {
            format!("{lost} lost").into_bytes()
        });
        (queue.unwrap(), give_leave, lines)
    }

    #[test]
    fn lines_without_room_are_dropped_and_the_loss_is_told() {
        let (queue, give_leave, lines) = gated();
        queue.push(b"first".to_vec());
        // The writer holds the first line and waits; now the queue is filled beyond its bound.
        while queue.shared.lock().bytes > 0 {
            std::thread::yield_now();
        }
        queue.push(vec![b'x'; QUEUED_BYTES_MAX]);
        queue.push(b"too much".to_vec());
        queue.push(b"too much".to_vec());
        drop(give_leave);
        assert_eq!(lines.recv().unwrap(), "first");
        assert_eq!(lines.recv().unwrap(), "2 lost");
        assert_eq!(lines.recv().unwrap().len(), QUEUED_BYTES_MAX);
        queue.push(b"last".to_vec());
        assert_eq!(lines.recv().unwrap(), "last");
    }

    #[test]
    fn a_failing_output_is_asked_again_only_with_the_next_line() {
        let (queue, give_leave, lines) = gated();
        give_leave.send(false).unwrap();
        queue.push(b"lost to a full disk".to_vec());
        while queue.shared.lock().lost == 0 {
            std::thread::yield_now();
        }
        // Had the writer retried on its own, it would have used up the leave for the next line.
        give_leave.send(true).unwrap();
        give_leave.send(true).unwrap();
        queue.push(b"kept".to_vec());
        assert_eq!(lines.recv().unwrap(), "1 lost");
        assert_eq!(lines.recv().unwrap(), "kept");
    }

    #[test]
    fn closing_waits_for_what_is_queued() {
        let (queue, give_leave, lines) = gated();
        drop(give_leave);
        for number in 0..1000 {
            queue.push(number.to_string().into_bytes());
        }
        queue.close(Duration::from_secs(30));
        assert_eq!(lines.try_iter().count(), 1000);
    }

    #[test]
    fn closing_does_not_wait_for_an_output_that_hangs() {
        let (queue, _give_leave, _lines) = gated();
        queue.push(b"never written".to_vec());
        let begun = std::time::Instant::now();
        queue.close(Duration::from_millis(50));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
