//! How following goes, as plain data that a service can show.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{FollowError, Scan};

/// What following is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// There is nothing to follow yet, or something stands in the way.
    #[default]
    Waiting,
    /// What is written is shipped.
    Following,
    /// It has ended.
    Stopped,
}

/// What is wrong, as a machine tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// There is no database yet.
    Missing,
    /// The database has no log.
    NotWal,
    /// This program, another writer or the file system is unfit.
    Unfit,
    /// The disk of the history is full.
    Full,
    /// The disk of the history, or of the database, takes no writing.
    ReadOnly,
    /// The history cannot be written or read for another reason.
    History,
    /// The database cannot be read.
    Database,
    /// The log was removed while it was in use.
    LogGone,
    /// The log grows, and was let go before it fills the disk.
    LogTooLong,
    /// The live database was not what was shipped.
    Differs,
    /// The clock went back.
    Clock,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Since when.
    pub since: Timestamp,
    /// The same in words: what failed, where, and what helps.
    pub said: String,
}

/// A gap that was repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// When.
    pub at: Timestamp,
    /// Why what was shipped and the log did not join.
    pub why: String,
    /// How many pages had changed; 0 where the database was the same.
    pub pages: u32,
    /// The length of the file that was written.
    pub bytes: u64,
}

/// How following goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// What it is at.
    pub state: State,
    /// When it was last looked for something new: old where the thread hangs.
    pub looked: Option<Timestamp>,
    /// The timeline that is written.
    pub timeline: u32,
    /// The last transaction that is durable.
    pub txid: u64,
    /// When the last write of somebody else was seen.
    pub last_write: Option<Timestamp>,
    /// When the last file was written.
    pub last_shipped: Option<Timestamp>,
    /// Since when something has waited to be shipped; `None` where nothing does.
    pub behind_since: Option<Timestamp>,
    /// The length of the log in bytes, as far as it is in use.
    pub log_bytes: u64,
    /// How many files were written, gaps included.
    pub files: u64,
    /// Their length together.
    pub bytes: u64,
    /// When the log was last let be started over.
    pub last_seal: Option<Timestamp>,
    /// How often it was, and how often that needed the writers held back.
    pub seals: u64,
    /// Of these, how many held the writers back.
    pub seals_locked: u64,
    /// How many gaps were repaired in which something had changed.
    pub gaps: u64,
    /// The last one, changed or not.
    pub last_gap: Option<Repair>,
    /// What is wrong now, the oldest first.
    pub faults: Vec<Fault>,
}

impl Status {
    /// How long something has waited to be shipped.
    pub fn lag(&self, now: Timestamp) -> Duration {
        let since = self.behind_since.map(|since| now.duration_since(since));
        since.and_then(|lag| lag.try_into().ok()).unwrap_or_default()
    }

    /// Notes what is wrong; gives whether that is new.
    pub(crate) fn raise(&mut self, kind: FaultKind, since: Timestamp, said: String) -> bool {
        if let Some(known) = self.faults.iter_mut().find(|known| known.kind == kind) {
            known.said = said;
            return false;
        }
        self.faults.push(Fault { kind, since, said });
        true
    }

    /// Forgets what is not wrong any more.
    pub(crate) fn clear(&mut self, kinds: &[FaultKind]) {
        self.faults.retain(|fault| !kinds.contains(&fault.kind));
    }
}

/// The way to a follower on its own thread. Clones lead to the same one.
#[derive(Debug, Clone, Default)]
pub struct Controls {
    shared: Arc<(Mutex<Inner>, Condvar)>,
}

#[derive(Debug, Default)]
struct Inner {
    status: Status,
    stop: bool,
    wake: bool,
    ended: bool,
    asked: Vec<Sender<Result<Scan, FollowError>>>,
}

impl Controls {
    /// How it goes.
    pub fn status(&self) -> Status {
        self.inner().status.clone()
    }

    /// Asks it to ship what is there and end.
    pub fn stop(&self) {
        self.inner().stop = true;
        self.shared.1.notify_all();
    }

    /// Asks it to look now.
    pub fn wake(&self) {
        self.inner().wake = true;
        self.shared.1.notify_all();
    }

    /// Waits for a view of the database at an exact transaction, for a full or an audit.
    ///
    /// # Errors
    /// What stands in the way, or that following has ended.
    pub fn scan(&self) -> Result<Scan, FollowError> {
        let (sender, receiver) = mpsc::channel();
        let mut inner = self.inner();
        if inner.ended {
            return Err(FollowError::Ended);
        }
        inner.asked.push(sender);
        inner.wake = true;
        drop(inner);
        self.shared.1.notify_all();
        receiver.recv().unwrap_or(Err(FollowError::Ended))
    }

    /// Gives everybody who waits what `scan` gives.
    pub(crate) fn answer(&self, mut scan: impl FnMut() -> Result<Scan, FollowError>) {
        let asked = std::mem::take(&mut self.inner().asked);
        for sender in asked {
            // Whoever has gone meanwhile needs no answer.
            drop(sender.send(scan()));
        }
    }

    /// Following has ended: nobody waits any longer.
    pub(crate) fn end(&self) {
        let mut inner = self.inner();
        inner.ended = true;
        inner.asked.clear();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.inner().stop
    }

    pub(crate) fn show(&self, status: &Status) {
        self.inner().status.clone_from(status);
    }

    /// Waits until `time` has passed or somebody asks for something.
    pub(crate) fn wait(&self, time: Duration) {
        let inner = self.inner();
        let waiting = |inner: &mut Inner| !inner.stop && !inner.wake;
        let waited = self.shared.1.wait_timeout_while(inner, time, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.wake = false;
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
