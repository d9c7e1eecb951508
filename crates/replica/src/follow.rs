//! Follows a live database: what is committed is durable elsewhere a moment later.
//!
//! A reading transaction of ours keeps the log from being started over before it was read. While
//! it is held, frames are only added, or the log is started over once after everything in it was
//! copied into the database; so nothing is lost as long as *before every decision* it is looked
//! whether the log is still the same run. Where what was shipped and the log do not join (the
//! agent was down, or somebody took the log away), the live pages are compared with the map of
//! pages, and what differs is shipped as one ordinary file: a gap.
//!
//! Only commits that SQLite's own index of the log knows are shipped: a commit that stands in the
//! file but whose writer died before it counted is overwritten by the next one. Times are those
//! at which a commit was seen, as a log does not tell any.

mod config;
mod error;
mod repair;
mod scan;
mod seal;
mod ship;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use ltx::wal::Chain;

use self::error::kind_of;
use crate::gate::{self, Filesystem};
use crate::lease::Lease;
use crate::log::Log;
use crate::pages::PageMap;
use crate::source::{Source, SourceError};
use crate::tree::{Timelines, Tree, TreeError};

pub use config::{Clock, FollowConfig};
pub use error::FollowError;
pub use scan::{Audit, FullDone, Image, Scan};
pub use status::{Controls, Fault, FaultKind, Repair, State, Status};

/// How long is waited after something went wrong.
const RETRY: Duration = Duration::from_secs(1);
/// And at most, where trying costs something.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Where in the log everything before is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Not known: what is live is to be compared with what was shipped.
    Unknown,
    /// The log was empty when our reader began: whatever run comes next is new from its beginning.
    Empty,
    /// Everything before this place.
    At(Chain),
}

/// What came of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Nothing was new.
    Nothing,
    /// What was new changed no page.
    Unchanged,
    /// It was shipped as this transaction.
    Shipped(u64),
}

/// A database that is being followed.
#[derive(Debug)]
pub struct Follower {
    config: FollowConfig,
    timelines: Timelines,
    tree: Option<Tree>,
    source: Option<Source>,
    log: Option<Log>,
    map: Option<PageMap>,
    position: Position,
    /// Why the position is not known.
    why: String,
    /// How many frames the log had when our reader began, all of them shipped; only then may the
    /// log have been started over without a gap.
    sealed: Option<u32>,
    pending: Option<ship::Batch>,
    txid: u64,
    last_ms: i64,
    /// The transaction the saved map is true after.
    saved_txid: u64,
    /// Since when frames have waited to be sealed.
    unsealed_since: Option<Timestamp>,
    /// When a seal that could not be done is tried again.
    seal_not_before: Option<Timestamp>,
    /// Set by whoever finds that the live database is not what was shipped.
    doubt: Arc<AtomicBool>,
    status: Status,
    /// Held to the end: nobody else may write meanwhile.
    _lease: Lease,
}

impl Follower {
    /// Takes the lease and opens the history. The database need not be there yet.
    ///
    /// # Errors
    /// Somebody else has the lease, this program or the file system is unfit, or the history
    /// cannot be read.
    pub fn open(config: FollowConfig) -> Result<Self, FollowError> {
        gate::check_program()?;
        check_filesystem(&config)?;
        let lease = Lease::take(&config.history, &config.holder)?;
        let timelines = Timelines::new(&config.history, config.disk.clone());
        let mut follower = Self {
            timelines,
            tree: None,
            source: None,
            log: None,
            map: None,
            position: Position::Unknown,
            why: "the agent has just started".to_owned(),
            sealed: None,
            pending: None,
            txid: 0,
            last_ms: 0,
            saved_txid: 0,
            unsealed_since: None,
            seal_not_before: None,
            doubt: Arc::default(),
            status: Status::default(),
            _lease: lease,
            config,
        };
        follower.open_history()?;
        Ok(follower)
    }

    /// How it goes.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The timeline's tree; `None` before the database was seen for the first time.
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }

    /// Follows until it is told to stop; what is committed then is shipped first.
    pub fn run(mut self, controls: &Controls) {
        let mut failures = 0;
        while !controls.is_stopped() {
            failures = if self.turn() { 0 } else { failures + 1 };
            controls.answer(|| self.scan());
            controls.show(&self.status);
            controls.wait(self.pause(failures));
        }
        controls.show(&self.stop());
        controls.end();
    }

    /// How long to wait after so many failures in a row. To compare all pages again and again
    /// would keep the machine busy.
    fn pause(&self, failures: u32) -> Duration {
        let compares = self.source.is_some() && self.position == Position::Unknown;
        match failures {
            0 => self.config.poll,
            _ if compares => RETRY_MAX.min(RETRY * 2_u32.saturating_pow(failures.min(16) - 1)),
            _ => RETRY.max(self.config.poll),
        }
    }

    /// One look, one seal where it is due, and the errors of both noted; gives whether it went well.
    pub fn turn(&mut self) -> bool {
        let outcome = self.look().and_then(|_| self.seal_if_due());
        match outcome {
            Ok(()) => true,
            Err(error) => {
                self.note(&error);
                if let Err(error) = self.let_go_if_too_long() {
                    self.note(&error);
                }
                false
            }
        }
    }

    /// Ships what is there and keeps the map for the next start. Whatever fails then is found by
    /// the next start.
    pub fn stop(mut self) -> Status {
        if let Err(error) = self.look().and_then(|_| self.save_map()) {
            self.note(&error);
        }
        self.status.state = State::Stopped;
        self.status
    }

    /// Ships what was committed since the last look, or repairs the gap to it.
    ///
    /// # Errors
    /// What stands in the way. Nothing is lost by it, and the next look goes on from there.
    pub fn look(&mut self) -> Result<Looked, FollowError> {
        let now = self.config.clock.now();
        self.status.looked = Some(now);
        let mut outcome = self.open_source().and_then(|()| self.look_at_source());
        if matches!(&outcome, Err(FollowError::Tree(TreeError::Occupied { .. }))) {
            outcome = self.adopt().and_then(|()| self.look_at_source());
        }
        if outcome.is_ok() {
            self.status.state = State::Following;
            self.status.behind_since = None;
            self.status.clear(&ENDED_BY_SUCCESS);
        } else if self.status.last_shipped.is_some() || self.source.is_some() {
            self.status.behind_since.get_or_insert(now);
        }
        outcome
    }

    fn look_at_source(&mut self) -> Result<Looked, FollowError> {
        if !self.timelines.is_newest(self.status.timeline) {
            // What was restored is what the new timeline brings back.
            self.open_history()?;
            self.lose_position("a restore began a new timeline");
        }
        if self.doubt.swap(false, Ordering::Relaxed) {
            self.lose_position("the live database was not what was shipped");
        }
        let looked = if self.position == Position::Unknown { self.repair() } else { self.flush() };
        if self.position == Position::Unknown
            && let Some(source) = &self.source
        {
            // What is compared anew anyway needs no log, which would only grow.
            source.let_go()?;
        }
        looked
    }

    /// Takes in a file that has its name although writing it failed in the end: its folder could
    /// not be made durable. What it holds counts, and the next one goes on top of it.
    fn adopt(&mut self) -> Result<(), FollowError> {
        let tree = self.history()?.clone();
        let catalogue = tree.list()?;
        let Some(newest) = catalogue.newest().filter(|newest| newest.max_txid > self.txid) else {
            return Ok(());
        };
        let path = tree.path_of(newest);
        let synced = self.config.disk.sync_folder(&path);
        synced.map_err(|source| TreeError::Io { action: "make durable", path, source })?;
        tree.examine(newest)?;
        self.lose_position("a file was written although its folder could not be made durable");
        self.map = None;
        self.txid = newest.max_txid;
        self.last_ms = newest.time_ms;
        self.status.txid = self.txid;
        Ok(())
    }

    /// From here on the live pages and the map are to be compared.
    fn lose_position(&mut self, why: &str) {
        self.position = Position::Unknown;
        self.sealed = None;
        self.pending = None;
        why.clone_into(&mut self.why);
    }

    fn open_history(&mut self) -> Result<(), FollowError> {
        let Some(timeline) = self.timelines.current()? else { return Ok(()) };
        timeline.tree.sweep()?;
        let catalogue = timeline.tree.list()?;
        self.status.timeline = timeline.number;
        self.txid = catalogue.newest().map_or(0, |entry| entry.max_txid);
        self.last_ms = catalogue.newest().map_or(0, |entry| entry.time_ms);
        self.status.txid = self.txid;
        self.map = None;
        self.tree = Some(timeline.tree);
        Ok(())
    }

    /// Opens the database, or again where another file has taken its place.
    fn open_source(&mut self) -> Result<(), FollowError> {
        if let Some(source) = &self.source {
            if !source.is_in_place()? {
                self.close_source("the database was exchanged for another file");
            } else if let Some(log) = &self.log {
                let path = Log::path_of(source.path());
                if !log.is_in_place().map_err(SourceError::io("look at", &path))? {
                    // What is written to the log that was taken away is gone with its writers.
                    self.close_source("the log was removed or exchanged while it was in use");
                    return Err(FollowError::LogGone(path));
                }
            }
        }
        if self.source.is_none() {
            check_filesystem(&self.config)?;
            self.source = Some(Source::open(&self.config.database)?);
        }
        Ok(())
    }

    fn close_source(&mut self, why: &str) {
        self.source = None;
        self.log = None;
        self.lose_position(why);
    }

    fn live(&mut self) -> Result<&mut Source, FollowError> {
        let missing = || SourceError::Missing(self.config.database.clone());
        self.source.as_mut().ok_or_else(|| missing().into())
    }

    /// The log, opened where it was not; `None` while there is none.
    fn log(&mut self) -> Result<Option<&Log>, FollowError> {
        if self.log.is_none() {
            let opened = Log::open(&self.config.database);
            let path = Log::path_of(&self.config.database);
            self.log = opened.map_err(SourceError::io("open", &path))?;
        }
        Ok(self.log.as_ref())
    }

    /// The time for a new file. A clock that was corrected by a little makes no file older than
    /// the one before it.
    fn time_ms(&mut self) -> i64 {
        let now = self.config.clock.now();
        let now_ms = now.as_millisecond();
        let back = self.last_ms.saturating_sub(now_ms);
        if back <= CLOCK_BACK_MS {
            self.status.clear(&[FaultKind::Clock]);
            return now_ms.max(self.last_ms);
        }
        let said = format!(
            "the clock stands {} s before the last file of {}: points in time cannot be told apart \
             until it has caught up; let the machine set its clock by NTP",
            back / 1000,
            self.config.history.display()
        );
        if self.status.raise(FaultKind::Clock, now, said.clone()) {
            tracing::warn!("{said}");
        }
        now_ms
    }

    fn note(&mut self, error: &FollowError) {
        if matches!(error, FollowError::Busy(_)) {
            tracing::debug!(%error, "following waits");
            return;
        }
        let new = self.status.raise(kind_of(error), self.config.clock.now(), error.to_string());
        if self.source.is_none() {
            self.status.state = State::Waiting;
        }
        if new {
            tracing::warn!(%error, "following waits");
        }
    }
}

/// A correction of the clock by less than this is taken without a word.
const CLOCK_BACK_MS: i64 = 5 * 60 * 1000;

/// What a look that went well shows to be over.
const ENDED_BY_SUCCESS: [FaultKind; 8] = [
    FaultKind::Missing,
    FaultKind::NotWal,
    FaultKind::Full,
    FaultKind::ReadOnly,
    FaultKind::History,
    FaultKind::Database,
    FaultKind::LogGone,
    FaultKind::LogTooLong,
];

/// The file system of the database, or of the folder it will be in.
fn check_filesystem(config: &FollowConfig) -> Result<(), FollowError> {
    let mut there = config.database.as_path();
    while !there.exists() {
        match there.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => there = parent,
            _ => return Ok(()),
        }
    }
    let found = Filesystem::of(there).map_err(SourceError::io("look at the file system of", there));
    Ok(found?.check(&config.database)?)
}
