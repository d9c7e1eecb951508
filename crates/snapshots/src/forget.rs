//! Forgetting snapshots by the rules, and giving the room of what nothing uses back.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use rustic_core::PruneOptions;
use serde::Serialize;

use crate::error::Error;
use crate::keep::{Decision, Kept, Point, Rules, decide, source};
use crate::label::{Class, Snapshot};
use crate::repository::{Listing, Repository};

/// What forgetting did, or would do.
#[derive(Debug, Serialize)]
pub struct Forgotten {
    /// Every snapshot, oldest first, and what becomes of it.
    pub decisions: Vec<(Snapshot, Decision)>,
    /// Whether those that go are gone.
    pub done: bool,
}

/// What pruning did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Bytes of packs that are removed now: they were marked long enough ago.
    pub bytes_removed: u64,
    /// Bytes that nothing uses any more and that are marked, to be removed by a later prune.
    pub bytes_marked: u64,
    /// Bytes of pieces in use that are written anew, because their packs are mostly unused.
    pub bytes_rewritten: u64,
    /// Bytes of packs in the repository that are in use afterwards.
    pub bytes_in_use: u64,
    /// Whether it is done.
    pub done: bool,
}

impl Repository {
    /// Forgets what the rules of each class let go; with `dry`, says what it would do.
    ///
    /// Only snapshots go; their pieces stay until [`Repository::prune`].
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] while any snapshot file cannot be read: what it holds is not known, so
    /// nothing may be judged beside it.
    pub fn forget(
        &self,
        rules: impl Fn(Class) -> Rules,
        now: Timestamp,
        zone: &TimeZone,
        dry: bool,
    ) -> Result<Forgotten, Error> {
        let _turn = self.turn();
        let decisions = decide_all(self.whole_listing()?, rules, now, zone);
        let going: Vec<_> = decisions
            .iter()
            .filter(|(_, decision)| !decision.keeps())
            .filter_map(|(snapshot, _)| snapshot.id.parse().ok())
            .collect();
        if !dry && !going.is_empty() {
            self.inner
                .delete_snapshots(&going)
                .map_err(|error| self.fail("remove snapshots", error))?;
        }
        Ok(Forgotten { decisions, done: !dry })
    }

    /// Marks packs that nothing uses and removes those marked at least `grace` ago.
    ///
    /// Two phases, so that a snapshot that is being taken by somebody else, from an index read
    /// before, never loses a piece it counts on.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] while anything that says what is in use cannot be read.
    pub fn prune(&self, grace: SignedDuration, dry: bool) -> Result<Pruned, Error> {
        let _turn = self.turn();
        self.whole_listing()?;
        let seconds = grace.as_secs().max(0);
        let options = PruneOptions::default().keep_delete(Span::new().seconds(seconds));
        let plan =
            self.inner.prune_plan(&options).map_err(|error| self.fail("plan a prune", error))?;
        let sizes = plan.stats.size_sum();
        let pruned = Pruned {
            bytes_removed: plan.stats.size_to_delete.remove,
            bytes_marked: sizes.remove + sizes.repackrm + plan.stats.size_unref,
            bytes_rewritten: sizes.repack.saturating_sub(sizes.repackrm),
            bytes_in_use: sizes.used,
            done: !dry,
        };
        if !dry {
            self.inner.prune(&options, plan).map_err(|error| self.fail("prune", error))?;
        }
        Ok(pruned)
    }

    /// The snapshots, if every one of them can be read.
    fn whole_listing(&self) -> Result<Vec<Snapshot>, Error> {
        let Listing { snapshots, mut damaged } = self.list()?;
        match damaged.pop() {
            None => Ok(snapshots),
            Some(fault) => Err(Error::Damaged {
                place: self.place.clone(),
                file: fault.file,
                what: fault.what,
            }),
        }
    }
}

/// Decides over each source by itself.
fn decide_all(
    snapshots: Vec<Snapshot>,
    rules: impl Fn(Class) -> Rules,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<(Snapshot, Decision)> {
    let mut sources: BTreeMap<(Class, String), Vec<usize>> = BTreeMap::new();
    for (index, snapshot) in snapshots.iter().enumerate() {
        if let Some(source) = source(snapshot) {
            sources.entry(source).or_default().push(index);
        }
    }
    let mut decisions = vec![Decision::Keep(vec![Kept::NotOurs]); snapshots.len()];
    for ((class, _), members) in sources {
        let points: Vec<Point> = members
            .iter()
            .map(|&index| &snapshots[index])
            .map(|snapshot| Point { time: snapshot.time, partial: snapshot.partial })
            .collect();
        let answers = decide(&points, &rules(class), now, zone);
        for (index, answer) in members.into_iter().zip(answers) {
            decisions[index] = answer;
        }
    }
    snapshots.into_iter().zip(decisions).collect()
}
