//! What a far side lacks and what it need not keep: a pure rule over two listings.

use std::collections::HashSet;

use replica::tree::{At, Catalogue, Entry, PlanError};

/// The level whose files are points of their own, and many.
const SHIPPED: u8 = replica::tree::SHIPPED;

/// What tells one file of a history from another.
type Key = (u8, u64, u64);

fn key(entry: &Entry) -> Key {
    (entry.level, entry.min_txid, entry.max_txid)
}

/// What is to be done for one timeline.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// What leads to the newest recovery point, in the order in which it does.
    pub(super) recovery: Vec<Entry>,
    /// What else is kept here and not there, newest first.
    pub(super) history: Vec<Entry>,
    /// What was forgotten here and may go there.
    pub(super) gone: Vec<Entry>,
}

/// What is known besides the two listings.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Known {
    /// The newest transaction that a verification has brought back from there.
    pub(super) proven: Option<u64>,
    /// There is no room left there, so that what may go has to go first.
    pub(super) pressed: bool,
}

/// Compares what is here with what is whole there.
pub(super) fn decide(here: &Catalogue, there: &Catalogue, known: Known) -> Work {
    let theirs: HashSet<Key> = there.entries().iter().map(key).collect();
    let lacks = |entry: &&Entry| !theirs.contains(&key(entry));
    let plan = here.plan(At::Latest).map(|plan| plan.entries).unwrap_or_default();
    let recovery: Vec<Entry> = plan.iter().filter(lacks).copied().collect();
    let planned: HashSet<Key> = plan.iter().map(key).collect();
    let merged = Merged::of(here);
    let mut history: Vec<Entry> = here
        .entries()
        .iter()
        .filter(lacks)
        .filter(|entry| !planned.contains(&key(entry)))
        .filter(|entry| entry.level != SHIPPED || !merged.holds(entry))
        .copied()
        .collect();
    history.sort_unstable_by_key(|entry| std::cmp::Reverse((entry.max_txid, entry.level)));
    let gone = if recovery.is_empty() || known.pressed {
        gone(here, there, known.proven)
    } else {
        Vec::new()
    };
    Work { recovery, history, gone }
}

/// The spans of what was merged, fulls aside: after a break there may be thousands of single
/// transactions, and what was missed goes over merged, by the minute.
struct Merged(Vec<(u64, u64)>);

impl Merged {
    fn of(here: &Catalogue) -> Self {
        let merged =
            here.entries().iter().filter(|entry| entry.level != SHIPPED && !entry.is_full());
        let mut spans: Vec<(u64, u64)> =
            merged.map(|entry| (entry.min_txid, entry.max_txid)).collect();
        spans.sort_unstable();
        let mut farthest = 0;
        for span in &mut spans {
            farthest = farthest.max(span.1);
            span.1 = farthest;
        }
        Self(spans)
    }

    /// Whether one of them holds all that is in the entry.
    fn holds(&self, entry: &Entry) -> bool {
        let until = self.0.partition_point(|(from, _)| *from <= entry.min_txid);
        self.0[..until].last().is_some_and(|(_, farthest)| *farthest >= entry.max_txid)
    }
}

/// What of there was forgotten here, and is needed by no recovery point that has to stay.
///
/// A house whose own history is empty, broken or behind has nothing to say about what others may
/// forget.
fn gone(here: &Catalogue, there: &Catalogue, proven: Option<u64>) -> Vec<Entry> {
    let (Ok(ours), Ok(theirs)) = (here.plan(At::Latest), there.plan(At::Latest)) else {
        return Vec::new();
    };
    if ours.txid < theirs.txid {
        return Vec::new();
    }
    let kept: HashSet<Key> = here.entries().iter().map(key).collect();
    let mut needed: HashSet<Key> = theirs.entries.iter().map(key).collect();
    if let Some(proven) = proven {
        // A point that was merged away is reached by the nearest before it.
        let plan = match there.plan(At::Txid(proven)) {
            Err(PlanError::Merged { before, .. }) => there.plan(At::Txid(before)),
            plan => plan,
        };
        match plan {
            Ok(plan) => needed.extend(plan.entries.iter().map(key)),
            // What was proven cannot be found any more: better to keep too much.
            Err(_unreachable) => return Vec::new(),
        }
    }
    there
        .entries()
        .iter()
        .filter(|entry| !kept.contains(&key(entry)) && !needed.contains(&key(entry)))
        .copied()
        .collect()
}

/// How far there lies behind here.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) struct Behind {
    /// When the oldest transaction was seen here that cannot be brought back from there, in
    /// milliseconds since 1970; nothing where all can.
    pub(super) since_ms: Option<i64>,
    /// The newest transaction that can be brought back from there.
    pub(super) reached: Option<u64>,
}

/// Looks how far there lies behind here.
pub(super) fn behind(here: &Catalogue, there: &Catalogue) -> Behind {
    let reached = match there.plan(At::Latest) {
        Ok(plan) => Some(plan.txid),
        Err(PlanError::Gaps { reachable, .. }) => Some(reachable),
        Err(_none) => None,
    };
    let waits = here.entries().iter().filter(|entry| reached.is_none_or(|at| entry.max_txid > at));
    Behind { since_ms: waits.map(|entry| entry.time_ms).min(), reached }
}

#[cfg(test)]
mod tests;
