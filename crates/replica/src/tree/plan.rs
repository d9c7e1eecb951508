//! Which files bring a database back at a wished point: a full and what goes on top of it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::catalogue::{Catalogue, Entry};

/// The wished point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The newest there is.
    Latest,
    /// Right after this transaction.
    Txid(u64),
    /// The newest that was seen at this time or before.
    Time(Timestamp),
}

/// The files that bring a database back, oldest first; each page is taken from the last that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The tree's root.
    pub root: PathBuf,
    /// A full, then what follows on it.
    pub entries: Vec<Entry>,
    /// The last transaction of the point that is reached.
    pub txid: u64,
    /// When that was seen, in milliseconds since 1970.
    pub time_ms: i64,
}

impl Plan {
    /// How many bytes are read.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }

    /// The files with their paths.
    pub fn files(&self) -> impl Iterator<Item = (&Entry, PathBuf)> {
        self.entries.iter().map(|entry| (entry, entry.path(&self.root)))
    }
}

/// Transactions of which there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first that is missing.
    pub from: u64,
    /// The last.
    pub to: u64,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self { from, to } if from == to => write!(formatter, "{from}"),
            Self { from, to } => write!(formatter, "{from} to {to}"),
        }
    }
}

/// Why a point cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is nothing.
    #[error("there is nothing in {} yet", .0.display())]
    Empty(PathBuf),
    /// There is no full at the point or before it.
    #[error("there is nothing as old as that in {}; the oldest point is transaction {oldest}{}", .root.display(), seen(*.time_ms))]
    TooOld {
        /// The tree's root.
        root: PathBuf,
        /// The transaction of the oldest full, with which the points begin.
        oldest: u64,
        /// When it was seen.
        time_ms: i64,
    },
    /// There are files but no full to begin with.
    #[error("there is no full in {}: what goes on top of one cannot be used alone", .0.display())]
    NoFull(PathBuf),
    /// The point lies beyond everything there is.
    #[error("transaction {wished} has not been seen yet; the newest is {newest}")]
    TooNew {
        /// What was wished.
        wished: u64,
        /// The newest transaction.
        newest: u64,
    },
    /// The transaction was merged with those around it.
    #[error("transaction {wished} is not kept by itself any more; ask for {before} or {after}")]
    Merged {
        /// What was wished.
        wished: u64,
        /// The nearest point before it.
        before: u64,
        /// The nearest after it.
        after: u64,
    },
    /// Files are missing on the way.
    #[error("files are missing: there is none with transaction {}; {reachable} can still be reached", list(.gaps))]
    Gaps {
        /// What is missing, oldest first.
        gaps: Vec<Gap>,
        /// The newest transaction before the first gap.
        reachable: u64,
    },
}

fn seen(time_ms: i64) -> String {
    Timestamp::from_millisecond(time_ms).map(|time| format!(", seen {time}")).unwrap_or_default()
}

fn list(gaps: &[Gap]) -> String {
    gaps.iter().map(Gap::to_string).collect::<Vec<_>>().join(", ")
}

impl Catalogue {
    /// Finds the files that bring the database back at `at`: the newest full that fits, and as few
    /// others as possible.
    ///
    /// # Errors
    /// Why the point cannot be reached, with what could be instead.
    pub fn plan(&self, at: At) -> Result<Plan, PlanError> {
        let newest = self.newest().ok_or_else(|| PlanError::Empty(self.root().to_owned()))?;
        let target = match at {
            At::Latest => newest.max_txid,
            At::Txid(wished) if wished > newest.max_txid => {
                return Err(PlanError::TooNew { wished, newest: newest.max_txid });
            }
            At::Txid(wished) => wished,
            At::Time(time) => self.seen_by(time).ok_or_else(|| self.too_old())?,
        };
        let mut failure = None;
        let steps = self.steps(target);
        for full in self.fulls().rev().filter(|full| full.max_txid <= target) {
            let (entries, reached) = climb(full, &steps);
            if reached == target {
                return Ok(plan(self.root(), entries));
            }
            // What stands in the way of the newest full is what there is to tell.
            failure.get_or_insert_with(|| self.obstacle(reached, target));
        }
        Err(failure.unwrap_or_else(|| self.too_old()))
    }

    /// The last transaction that was seen at `time` or before.
    fn seen_by(&self, time: Timestamp) -> Option<u64> {
        let time_ms = time.as_millisecond();
        self.entries().iter().filter(|e| e.time_ms <= time_ms).map(|e| e.max_txid).max()
    }

    fn too_old(&self) -> PlanError {
        let root = self.root().to_owned();
        match self.fulls().next() {
            Some(full) => PlanError::TooOld { root, oldest: full.max_txid, time_ms: full.time_ms },
            None => PlanError::NoFull(root),
        }
    }

    /// What goes on top of fulls and does not lead beyond `target`, by where it begins.
    fn steps(&self, target: u64) -> Vec<&Entry> {
        let mut steps: Vec<&Entry> = self
            .entries()
            .iter()
            .filter(|entry| !entry.is_full() && entry.max_txid <= target)
            .collect();
        steps.sort_by_key(|entry| entry.min_txid);
        steps
    }

    fn obstacle(&self, reached: u64, target: u64) -> PlanError {
        let gaps = self.gaps(reached, target);
        if !gaps.is_empty() {
            return PlanError::Gaps { gaps, reachable: reached };
        }
        let after = self.entries().iter().filter(|e| !e.is_full() && e.max_txid > target);
        let after = after.map(|e| e.max_txid).min().unwrap_or(target);
        PlanError::Merged { wished: target, before: reached, after }
    }

    /// The transactions above `from` and up to `to` that no file has, fulls aside.
    fn gaps(&self, from: u64, to: u64) -> Vec<Gap> {
        let mut spans: Vec<(u64, u64)> = self
            .entries()
            .iter()
            .filter(|entry| !entry.is_full() && entry.max_txid > from)
            .map(|entry| (entry.min_txid, entry.max_txid))
            .collect();
        spans.sort_unstable();
        let mut gaps = Vec::new();
        let mut reached = from;
        for (min_txid, max_txid) in spans.into_iter().take_while(|(min_txid, _)| *min_txid <= to) {
            if min_txid > reached.saturating_add(1) {
                gaps.push(Gap { from: reached + 1, to: min_txid - 1 });
            }
            reached = reached.max(max_txid);
        }
        if reached < to {
            gaps.push(Gap { from: reached + 1, to });
        }
        gaps
    }
}

/// Goes on from a full, each time by the file that leads farthest.
fn climb(full: &Entry, steps: &[&Entry]) -> (Vec<Entry>, u64) {
    let mut entries = vec![*full];
    let mut reached = full.max_txid;
    let mut rest = steps.iter();
    let mut best: Option<&Entry> = None;
    // Of two that lead equally far the one that holds less.
    let worth = |entry: &Entry| (entry.max_txid, entry.min_txid, std::cmp::Reverse(entry.bytes));
    loop {
        let fitting = rest.clone().take_while(|step| step.min_txid <= reached.saturating_add(1));
        let count = fitting.clone().count();
        best = fitting.copied().chain(best).max_by_key(|entry| worth(entry));
        rest = rest.as_slice()[count..].iter();
        match best {
            Some(next) if next.max_txid > reached => {
                entries.push(*next);
                reached = next.max_txid;
            }
            _ => return (entries, reached),
        }
    }
}

fn plan(root: &Path, entries: Vec<Entry>) -> Plan {
    let (txid, time_ms) = entries.last().map_or((0, 0), |last| (last.max_txid, last.time_ms));
    Plan { root: root.to_owned(), entries, txid, time_ms }
}
