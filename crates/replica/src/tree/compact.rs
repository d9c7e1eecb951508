//! Fewer and larger files: what a minute shipped, what changed since a full, and fulls made of both.

use super::catalogue::{Catalogue, Entry};
use super::error::TreeError;
use super::plan::At;
use super::{DIFFERENTIALS, FULLS, MINUTES, SHIPPED, Tree};
use std::time::Duration;

/// What one file of the first level spans.
pub const MINUTE: Duration = Duration::from_mins(1);
/// How often a differential is made.
pub const DIFFERENTIAL_EVERY: Duration = Duration::from_hours(6);

impl Tree {
    /// Merges what was shipped in each minute that is over into one file of the first level. What
    /// was merged stays until retention lets it go.
    ///
    /// # Errors
    /// Files that are damaged, or what the disk said; minutes before that are done then.
    pub fn compact(&self, now_ms: i64) -> Result<Vec<Entry>, TreeError> {
        let catalogue = self.list()?;
        let minutes = minutes(&catalogue, now_ms);
        minutes.iter().map(|minute| self.merge(MINUTES, minute)).collect()
    }

    /// Makes a differential: everything since the newest full in one file, from the tree alone.
    /// `None` where that would be nothing new.
    ///
    /// # Errors
    /// No full, files that are missing or damaged, or what the disk said.
    pub fn differential(&self) -> Result<Option<Entry>, TreeError> {
        let catalogue = self.list()?;
        let plan = catalogue.plan(At::Latest)?;
        let Some((_full, since)) = plan.entries.split_first() else { return Ok(None) };
        let Some(first) = since.first() else { return Ok(None) };
        let wanted = (first.min_txid, plan.txid);
        let mut made = catalogue.of_level(DIFFERENTIALS);
        if made.any(|made| (made.min_txid, made.max_txid) == wanted) {
            return Ok(None);
        }
        self.merge(DIFFERENTIALS, since).map(Some)
    }

    /// Makes a full of the newest full and what goes on top of it, without touching the database.
    /// `None` where there is nothing on top.
    ///
    /// # Errors
    /// As [`differential`](Self::differential).
    pub fn full_from_tree(&self) -> Result<Option<Entry>, TreeError> {
        let plan = self.list()?.plan(At::Latest)?;
        if plan.entries.len() < 2 {
            return Ok(None);
        }
        self.merge(FULLS, &plan.entries).map(Some)
    }
}

/// What was shipped and not yet merged, by minutes that are over; a group never spans a gap.
fn minutes(catalogue: &Catalogue, now_ms: i64) -> Vec<Vec<Entry>> {
    let length = i64::try_from(MINUTE.as_millis()).unwrap_or(i64::MAX);
    let minute = |time_ms: i64| time_ms.div_euclid(length);
    let done = catalogue.of_level(MINUTES).map(|entry| entry.max_txid).max().unwrap_or_default();
    let mut groups: Vec<Vec<Entry>> = Vec::new();
    for entry in catalogue.of_level(SHIPPED).filter(|entry| entry.max_txid > done) {
        let follows = groups.last().and_then(|group| group.last()).is_some_and(|before| {
            minute(before.time_ms) == minute(entry.time_ms)
                && entry.min_txid == before.max_txid.saturating_add(1)
        });
        match groups.last_mut() {
            Some(group) if follows => group.push(*entry),
            _ => groups.push(vec![*entry]),
        }
    }
    // A clock that was set back makes the newest minute one of the future: it is over likewise.
    groups.retain(|group| group.last().is_some_and(|last| minute(last.time_ms) != minute(now_ms)));
    groups
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shipped(txid: u64, time_ms: i64) -> Entry {
        Entry { level: SHIPPED, min_txid: txid, max_txid: txid, time_ms, bytes: 1 }
    }

    fn groups(entries: &[Entry], now_ms: i64) -> Vec<Vec<u64>> {
        let catalogue = Catalogue::new(Path::new("/"), entries.iter().copied());
        let numbers = |group: Vec<Entry>| group.iter().map(|entry| entry.max_txid).collect();
        minutes(&catalogue, now_ms).into_iter().map(numbers).collect()
    }

    #[test]
    fn only_minutes_that_are_over_are_merged() {
        let entries = [shipped(5, 1), shipped(6, 59_999), shipped(7, 60_000), shipped(8, 130_000)];
        assert_eq!(groups(&entries[..2], 59_999), [[0; 0]; 0]);
        assert_eq!(groups(&entries[..3], 60_001), [vec![5, 6]]);
        assert_eq!(groups(&entries, 130_001), [vec![5, 6], vec![7]]);
    }

    #[test]
    fn a_gap_is_not_hidden_in_a_merged_file() {
        let entries = [shipped(5, 1), shipped(7, 2)];
        assert_eq!(groups(&entries, 60_000), [[5], [7]]);
    }

    #[test]
    fn what_was_merged_before_is_not_merged_again() {
        let merged = Entry { level: MINUTES, min_txid: 4, max_txid: 6, time_ms: 9, bytes: 1 };
        let entries = [shipped(4, 1), shipped(5, 2), shipped(6, 9), merged, shipped(7, 60_001)];
        assert_eq!(groups(&entries, 120_000), [[7]]);
    }
}
